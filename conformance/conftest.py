"""A server for what drives it from outside."""

pytest_plugins = ["plugins.postgres", "plugins.server"]
