"""Searches on tables: configuration, and many runs side by side in one compiled program."""
