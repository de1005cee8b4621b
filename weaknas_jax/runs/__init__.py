"""Searches on tables: one run as a fixed-size state, many of them in one compiled program."""
