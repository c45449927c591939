"""respun: a server that keeps Assistants & Threads programs working, with any model."""

__version__ = "0.1.0"
