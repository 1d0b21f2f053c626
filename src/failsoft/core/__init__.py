"""Decides: never waits, does no I/O, reads no clock but the one that it is given."""
