"""Confined Python sessions: the room behind the code_interpreter tool.

Nothing is imported here, because the fork server imports this package and every session inherits its memory.
Start at `sessions.Sessions` (a pool keyed by thread) and `choose.choose` (which back-end holds on this machine).
"""
