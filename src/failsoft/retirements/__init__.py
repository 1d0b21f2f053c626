"""Announced retirements: which models end when, what replaces them, and when that was announced."""
