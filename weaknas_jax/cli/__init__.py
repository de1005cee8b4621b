"""Commands: the mains, and what they share."""
