"""The catalogue as a whole: no row is missing, every test that it names exists, and its page says what it says."""

from __future__ import annotations

import re
from pathlib import Path

import catalogue_page
import pytest
from catalogue_data import CASES, DIRECTED, NOT_BUILT, ROWS, Case
from catalogue_shows import show

from failsoft.fault import FaultKind

ROOT = Path(__file__).resolve().parents[3]


def test_every_row_has_an_entry() -> None:
    rows = {each.row for each in (*CASES, *DIRECTED, *NOT_BUILT)}
    assert sorted(set(range(1, ROWS + 1)) - rows) == []
    assert sorted(rows - set(range(1, ROWS + 1))) == []


@pytest.mark.parametrize("case", CASES, ids=lambda each: f"{each.row}-{each.show}")
def test_each_case_can_be_shown_and_has_a_name_of_the_closed_list(case: Case) -> None:
    assert callable(show(case.show))
    assert case.fault in {each.value for each in FaultKind}


@pytest.mark.parametrize("test", sorted({each.test for each in DIRECTED}), ids=lambda test: test.partition("::")[2])
def test_each_test_that_is_named_exists(test: str) -> None:
    file, _, function = test.partition("::")
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE)


def test_each_row_of_its_circumstances_has_an_entry() -> None:
    file = Path(__file__).with_name("test_catalogue_circumstances.py")
    written = set(re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert written <= {each.test.partition("::")[2] for each in DIRECTED}


def test_nothing_of_the_library_reads_the_catalogue() -> None:
    for each in (ROOT / "src").rglob("*.py"):
        assert "catalogue_data" not in each.read_text(encoding="utf-8"), each


def test_the_page_is_the_catalogues() -> None:
    assert catalogue_page.PAGE.read_text(encoding="utf-8") == catalogue_page.page(), (
        "write it anew: python tests/faults/catalogue/catalogue_page.py"
    )
