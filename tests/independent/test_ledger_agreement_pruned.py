"""The tests of pruning again, in a file: wherever they verify it, both verifiers do, and must agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.independent.agreeing import in_place_of_ours

import test_ledger_pruning  # isort: skip
from test_ledger_pruning import *  # noqa: F403 # isort: skip

from failsoft.ledger.location import InFile

with_both = in_place_of_ours(test_ledger_pruning)


@pytest.fixture
def place(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "x.db")
