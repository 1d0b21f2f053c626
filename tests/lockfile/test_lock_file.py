"""The file: written one way only, read back, and each way to be wrong told with the way out."""

from __future__ import annotations

import dataclasses
import enum
import random
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from failsoft.errors import ConfigurationError
from failsoft.lockfile.compare import differences
from failsoft.lockfile.document import Lock, LockedAdapter, Seen, parse_lock, read_lock
from failsoft.lockfile.facts import seen_again, with_seen
from failsoft.lockfile.plain import plain
from failsoft.lockfile.toml import dumps
from tests.lockfile.shop import change, importable, isolation, locked, make

NAMES = st.text(max_size=8).filter(lambda each: not re.search("[\ud800-\udfff]", each))
TEXTS = st.text(max_size=30).filter(lambda each: not re.search("[\ud800-\udfff]", each))
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.recursive(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
    lambda inner: st.dictionaries(NAMES, SCALARS | inner | st.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=12,
)


@given(TABLES)
def test_what_is_written_is_read_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(table)) == table


@pytest.mark.parametrize("value", [None, 2**63, float("nan"), float("inf"), "\ud800", object()])
def test_what_toml_has_no_place_for_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        dumps({"x": value})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SHOP_KEY", "unread-key")
    with importable(tmp_path):
        yield make(tmp_path)


ADAPTER = LockedAdapter(provider="openai", model="gpt-5.6-sol", name_class="fixed", served=["gpt-5.6-sol"], codec="1")
LOCK = Lock(failsoft="0.1.0", pydantic="2.14", adapters={"gpt": ADAPTER})
TEXT = LOCK.text()


def test_a_lock_of_an_application_is_read_back_as_it_was(folder: Path) -> None:
    made = locked(folder)
    made.write(folder / "failsoft.lock")
    found = read_lock(folder / "failsoft.lock")
    assert found == made
    assert found.text() == (folder / "failsoft.lock").read_text()
    assert differences(found, made) == []
    assert "unread-key" not in made.text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT.replace("failsoft =", "<<<<<<< ours\nfailsoft ="), "failsoft.lock: line 5: a merge left its marks: settle the code and the "
         "configuration, then write it anew: failsoft lock"),
        (TEXT.replace("failsoft =", "=======\nfailsoft ="), "failsoft.lock: line 5: a merge left its marks"),
        (TEXT + "\n>>>>>>> theirs", "a merge left its marks"),
        ("not toml", "failsoft.lock: isn't TOML (Expected '=' after a key in a key/value pair (at line 1, column 5)): write it anew: failsoft lock"),
        ("x = " + "[" * 100_000, "failsoft.lock: isn't TOML ("),
        (TEXT.replace("version = 1", "version = 2") + "\n[later]\nx = 1", "failsoft.lock: written by a newer failsoft (format 2; this one reads 1): "
         "upgrade failsoft, or write it anew: failsoft lock"),
        (TEXT.replace("gpt-5.6-sol", "gpt-6-sol"), "failsoft.lock: changed by hand or by a merge (its digest doesn't fit): review it, then "
         "write it anew: failsoft lock"),
        (TEXT.replace("version = 1", "version = 0"), "changed by hand"),
        (TEXT.replace("version = 1", "version = true"), "changed by hand"),
        (TEXT.replace("version = 1\n", ""), "changed by hand"),
        (re.sub('digest = ".*"', "digest = 5", TEXT), "changed by hand"),
        (TEXT.replace('provider = "openai"\n', ""), "failsoft.lock: isn't a lock (adapters.gpt.provider): write it anew: failsoft lock"),
        ("", "failsoft.lock: isn't a lock (failsoft): write it anew: failsoft lock"),
        (TEXT + "\n[extra]\n", "failsoft.lock: isn't a lock (extra): "),
    ],
)  # fmt: skip
def test_each_way_to_be_wrong_is_told_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_lock(text.encode())
    (problem,) = caught.value.problems
    assert told in problem
    assert "failsoft lock" in problem


def test_a_mark_that_an_editor_put_before_the_text_does_no_harm() -> None:
    assert parse_lock(b"\xef\xbb\xbf" + TEXT.encode()) == LOCK


def test_a_file_that_is_no_text_too_large_or_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "failsoft.lock"
    with pytest.raises(ConfigurationError, match="there is no lock: write one: failsoft lock"):
        read_lock(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="isn't UTF-8 text"):
        read_lock(path)
    monkeypatch.setattr("failsoft.lockfile.document.MAX_FILE", 0)
    with pytest.raises(ConfigurationError, match="more than 0 MiB, so it's no lock"):
        read_lock(path)
    with pytest.raises(ConfigurationError, match=r"can't be read: Not a directory"):
        read_lock(path / "below")


def test_writing_replaces_the_file_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "failsoft.lock"
    LOCK.write(path)
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    LOCK.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["failsoft.lock"]
    with pytest.raises(ConfigurationError, match=r"failsoft.lock: can't be written: No such file or directory"):
        LOCK.write(tmp_path / "nowhere" / "failsoft.lock")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="can't be written"):
        LOCK.write(tmp_path / "folder")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["failsoft.lock", "folder"]


# --- who answered ---------------------------------------------------------------------------------------------------------


def test_who_was_seen_is_no_part_of_what_is_in_force() -> None:
    seen = with_seen(LOCK, {"gpt": Seen(served="x", grade="echoed", first="2026-01-01", last="2026-01-02")})
    assert differences(LOCK, seen) == []
    assert [str(each) for each in differences(LOCK, seen, seen=True)] == [
        "adapter gpt: x answered (echoed); before: nobody yet"
    ]
    other = with_seen(LOCK, {"gpt": Seen(grade="unknown", first="2026-01-03", last="2026-01-03")})
    assert [str(each) for each in differences(seen, other, seen=True)] == [
        "adapter gpt: a model that wasn't named answered (unknown); before: x"
    ]
    assert [str(each) for each in differences(other, seen, seen=True)] == [
        "adapter gpt: x answered (echoed); before: a model that wasn't named"
    ]
    later = with_seen(seen, {"gpt": Seen(served="x", grade="echoed", first="2026-01-01", last="2026-01-09")})
    assert differences(seen, later, seen=True) == []


def test_the_first_and_the_latest_day_are_kept_until_another_answers() -> None:
    first = seen_again(None, "x", "echoed", "2026-01-05")
    again = seen_again(first, "x", "provider-stated", "2026-01-07")
    earlier = seen_again(again, "x", "provider-stated", "2026-01-01")
    assert (earlier.first, earlier.last, earlier.grade) == ("2026-01-01", "2026-01-07", "provider-stated")
    assert seen_again(again, "y", "echoed", "2026-01-08") == Seen(
        served="y", grade="echoed", first="2026-01-08", last="2026-01-08"
    )


def test_who_was_seen_is_taken_over_while_the_pin_is_the_same(folder: Path) -> None:
    seen = Seen(served="small", grade="echoed", first="2026-01-01", last="2026-01-02")
    before = with_seen(locked(folder), {"local": seen, "gpt": seen, "gone": seen})
    change(folder, "failsoft.toml", "gpt-4.1-2025-04-14", "gpt-5.6-sol")
    after = isolation(folder).lock(before)
    assert after.adapters["local"].seen == seen
    assert after.adapters["gpt"].seen is None
    change(folder, "failsoft.toml", "[adapters.gpt]", "[adapters.gpt]\nattempts = 2")
    assert isolation(folder).lock(after) == after


# --- comparing what no application shows ------------------------------------------------------------------------------------


def test_many_names_are_counted_and_other_facts_told() -> None:
    new = ADAPTER.model_copy(
        update={"provider": "x", "name_class": "dated", "options": "{}", "endpoint": "https://h/v1"}
    )
    found = [str(each) for each in differences(LOCK, LOCK.model_copy(update={"adapters": {"gpt": new}}))]
    assert found == [
        "adapter gpt: the name gpt-5.6-sol counts as dated, it was fixed",
        "adapter gpt: its provider: openai became x",
        "adapter gpt: its endpoint: none became https://h/v1",
        "adapter gpt: its options: none became {}",
    ]


def test_a_piece_that_is_not_there_has_no_digest() -> None:
    assert LOCK.digest_at("nowhere:x") is None


# --- values ---------------------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    x: set[str]


@attrs.frozen
class Value:
    x: int


@dataclasses.dataclass
class Data:
    x: int


def test_values_are_plain_whatever_they_are() -> None:
    here = __name__
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    assert plain([Colour.RED, {"b", "a"}, frozenset({2, 1}), MappingProxyType({2: "x", "k": 1}), (b"x", 1.5, None, True)]) == [
        "red", ["a", "b"], [1, 2], {"2": "x", "k": 1},
        [{"bytes": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}, 1.5, None, True],
    ]  # fmt: skip
    assert plain([Model(x={"b", "a"}), Value(1), Data(2)]) == [
        {f"{here}:Model": {"x": ["a", "b"]}}, {f"{here}:Value": {"x": 1}}, {f"{here}:Data": {"x": 2}}
    ]  # fmt: skip
    assert plain([re.compile("a", re.IGNORECASE), Path("/somewhere/table.csv"), date(2026, 1, 2), "\ud800"]) == [
        {"pattern": "a", "flags": 34}, {"path": "table.csv"}, "2026-01-02", "\\ud800"
    ]  # fmt: skip
    assert plain([Value, len, object()]) == [
        {"object": f"{here}:Value"}, {"object": "builtins:builtin_function_or_method"}, {"object": "builtins:object"}
    ]  # fmt: skip
    assert "…" in str(plain(deep))


def test_a_file_that_was_changed_anywhere_is_never_taken_for_a_lock() -> None:
    chance = random.Random(7)
    raw = TEXT.encode()
    content = raw.index(b"failsoft =")
    for _ in range(3000):
        changed = bytearray(raw)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(content, len(changed))
            match chance.randrange(3):
                case 0:
                    changed[place] = chance.randrange(256)
                case 1:
                    del changed[place : place + chance.randint(1, 40)]
                case _:
                    changed[place:place] = chance.choice([b"[", b'"', b"\n", b"]]", b"x = 1\n", b"\x00", b"=", b"{}"])
        try:
            found = parse_lock(bytes(changed))
        except ConfigurationError:
            continue
        assert found == LOCK
