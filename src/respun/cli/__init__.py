"""The command `respun`. What takes long to import is imported by the verb that needs it."""
