"""Backboard.io's API at `/api`: the same threads, assistants and runs, told in its words."""
