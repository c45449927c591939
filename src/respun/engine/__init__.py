"""Drives runs to their end: model calls, tools, leases, and the live events that streams are made of."""
