"""A procurement office's two questions of AI, and how they are answered without it."""
