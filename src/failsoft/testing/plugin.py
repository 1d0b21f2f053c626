"""The pytest plugin: under tests a capability's own bug raises instead of hiding behind its fallback.

It's active wherever failsoft is installed beside pytest. It sets the *default* of ``on_bug``; a configuration that says
otherwise keeps its word.
"""

from __future__ import annotations

import os

DEFAULT_ON_BUG = "FAILSOFT_ON_BUG"
"""The environment variable that the configuration reads as its default."""


def pytest_configure() -> None:
    """Make bugs of capabilities loud, in this process and in those that it starts."""
    os.environ.setdefault(DEFAULT_ON_BUG, "raise")
