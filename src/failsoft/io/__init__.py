"""Waits: transports, and the drivers that perform what a call asks of the world."""
