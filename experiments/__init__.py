"""Thin mains: parse flags, call the library, write a run folder."""
