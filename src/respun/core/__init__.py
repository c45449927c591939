"""Objects and rules, pure: no I/O, no clock, no randomness. What the outside gives arrives as arguments."""
