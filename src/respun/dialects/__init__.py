"""Dialects: wire APIs over the workspace. Each has routes, shapes, frames, and its own way to show a problem."""
