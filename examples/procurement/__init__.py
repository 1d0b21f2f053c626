"""A procurement office's three questions of AI, and how they are answered without it."""
