"""The durable records: repositories in domain words over one of two backends, SQLite or PostgreSQL."""
