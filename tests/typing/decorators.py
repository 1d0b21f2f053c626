"""What type checkers infer of a decorated adapter: the function keeps its own type."""

from __future__ import annotations

from typing import assert_type

from failsoft import Isolation
from failsoft.core.effects import Ask


def a_decorated_adapter_keeps_its_type(isolation: Isolation, ask: Ask) -> None:
    @isolation.adapter("legacy", model="m-1")
    def legacy(ask: Ask) -> int:
        return 3

    assert_type(legacy(ask), int)
