"""The `failsoft` command."""
