"""Who acts, where nobody says so."""

from __future__ import annotations

import getpass
import os


def logged_in() -> str:
    """The login name; ``uid-1000`` where this user has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for this user, or no way to ask
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"
