"""Recorded calls run again, as far as they're deterministic, and compared with what's on record."""
