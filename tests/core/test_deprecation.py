"""Headers that announce an end: what is read, and that nonsense announces nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.deprecation import DeprecationNotice, announced

JULY = datetime(2026, 7, 1, tzinfo=UTC)
DATE = "Wed, 01 Jul 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "notice"),
    [
        ({}, None),
        ({"link": '<https://h/x>; rel="deprecation"'}, None),
        ({"deprecation": "@1782864000"}, DeprecationNotice(JULY)),
        ({"deprecation": DATE}, DeprecationNotice(JULY)),
        ({"deprecation": "true"}, DeprecationNotice()),
        ({"deprecation": "?1"}, DeprecationNotice()),
        ({"deprecation": "false"}, None),
        ({"deprecation": "@99999999999999999"}, None),
        ({"deprecation": "@999999999999"}, None),
        ({"sunset": DATE}, DeprecationNotice(sunset=JULY)),
        ({"sunset": "Wednesday, 01-Jul-26 00:00:00 GMT"}, DeprecationNotice(sunset=JULY)),
        ({"sunset": "soon"}, None),
        (
            {"deprecation": "@1782864000", "sunset": DATE, "x-api-warning": "retired"},
            DeprecationNotice(JULY, JULY, "retired"),
        ),
        (
            {"deprecation": "true", "sunset": DATE, "link": '<https://h/a>; rel="next", <https://h/b>; type="text/html"; rel="sunset"'},
            DeprecationNotice(sunset=JULY, link="https://h/b"),
        ),
        ({"x-api-warning": "model 'x' is deprecated\x1b[1m"}, DeprecationNotice(text="model 'x' is deprecated[1m")),
        ({"x-api-warning": " \n "}, None),
        ({"x-api-warning": "You have not yet added your payment method"}, None),
        ({"x-api-warning": "retired " + "a" * 9999}, DeprecationNotice(text="retired " + "a" * 504)),
    ],
)  # fmt: skip
def test_what_a_header_announces(headers: dict[str, str], notice: DeprecationNotice | None) -> None:
    assert announced(headers) == notice


@given(st.dictionaries(st.sampled_from(["deprecation", "sunset", "x-api-warning", "link"]), st.text(max_size=60)))
def test_any_header_is_read(headers: dict[str, str]) -> None:
    announced(headers)


@pytest.mark.parametrize(("before", "found"), [(4_000, "https://h/b"), (4_090, "")])
def test_of_a_link_header_4096_characters_are_read(before: int, found: str) -> None:
    notice = announced({"deprecation": "true", "link": " " * before + '<https://h/b>; rel="sunset"'})
    assert notice == DeprecationNotice(link=found)


def test_a_long_link_is_read_in_no_time() -> None:
    announced({"deprecation": "true", "link": "<a>; " * 100_000})
    announced({"deprecation": "true", "link": "<" * 100_000})


def test_the_recorded_warnings_are_read_and_nothing_else_is(data: Path) -> None:
    told: set[str] = set()
    for path in sorted((data / "recordings").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            notice = announced({name.lower(): value for name, value in row["response"]["headers"].items()})
            if notice is not None:
                told.add(f"{path.name.partition('.')[0]}: {notice.text}")
    assert told == {
        f"cohere: model '{name}' is deprecated and will be removed September 15 2025. Please consider upgrading to a newer model to "
        "avoid future service disruptions"
        for name in ("command", "command-r")
    }  # fmt: skip
