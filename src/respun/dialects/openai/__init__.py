"""The OpenAI Assistants API v2 as clients knew it, with a few routes more."""
