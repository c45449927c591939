"""The server: the one place that wires stores, models and dialects into an application."""
