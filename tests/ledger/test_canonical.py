from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from test_merkle import VECTORS, vectors

from failsoft.ledger.format import canonical
from failsoft.ledger.format.canonical import MAX_BYTES, ProfileError, dump, read, real

keys = st.text("ABCxyz019_.-", min_size=1, max_size=64)
scalars = st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(keys, inner, max_size=4)
)
documents = st.dictionaries(keys, values, max_size=6)


@given(documents)
@settings(deadline=None)
def test_the_dump_is_that_of_rfc_8785_and_is_read_back(document: dict[str, Any]) -> None:
    """For 100,000 documents: ``FAILSOFT_HYPOTHESIS_PROFILE=long`` and ``-o faulthandler_timeout=0``."""
    body = dump(document)
    assert body == rfc8785.dumps(document)
    assert read(body) == document


@vectors
def test_the_records_of_the_vectors_are_read_and_dumped_to_the_byte() -> None:
    for text in json.loads(VECTORS.read_text())["ledger"]["records"]:
        assert dump(read(text.encode())) == text.encode()


MALFORMED = {
    "duplicate key": b'{"a":1,"a":1}',
    "duplicate key, other value": b'{"a":1,"a":2}',
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "float": b'{"a":1.0}',
    "float that looks canonical": b'{"a":1.5}',
    "exponent": b'{"a":1e0}',
    "2^53": b'{"a":9007199254740992}',
    "-2^53 in a list": b'{"a":[-9007199254740992]}',
    "minus zero": b'{"a":-0}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "null": b'{"a":null}',
    "null in a list": b'{"a":[null]}',
    "null in an object in a list": b'{"a":[{"b":null}]}',
    "empty list": b'{"a":[]}',
    "empty list in a list": b'{"a":[[]]}',
    "needless escape": b'{"a":"\\u0041"}',
    "escaped slash": b'{"a":"\\/"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "overlong utf-8": b'{"a":"\xc0\x80"}',
    "depth 33": b'{"a":' * 33 + b"1" + b"}" * 33,
    "depth 33 in lists": b'{"a":' + b"[" * 32 + b"1" + b"]" * 32 + b"}",
    "depth 33 in both": b'{"a":' + b'[{"b":' * 16 + b"1" + b"}]" * 16 + b"}",
    "float beyond any": b'{"a":1e999}',
    "depth 5,000": b'{"a":' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}",
    "depth 25,000": b'{"a":' + b"[" * 25000 + b"1" + b"]" * 25000 + b"}",
    "newline in a key": b'{"a\\n":1}',
    "newline after a key": b'{"a\n":1}',
    "empty key": b'{"":1}',
    "key of 65": b'{"' + b"k" * 65 + b'":1}',
    "unsorted": b'{"b":1,"a":1}',
    "space": b'{"a": 1}',
    "trailing newline": b'{"a":1}\n',
    "trailing text": b'{"a":1}x',
    "leading zero": b'{"a":01}',
    "plus": b'{"a":+1}',
    "other digits": '{"a":٣}'.encode(),
    "list at the top": b"[1]",
    "string at the top": b'"a"',
    "nothing": b"",
    "cut": b'{"a":',
    "huge integer": b'{"a":' + b"9" * 5000 + b"}",
    "too long": b'{"a":"' + b"x" * MAX_BYTES + b'"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_outside_the_profile_is_refused(body: bytes) -> None:
    with pytest.raises(ProfileError):
        read(body)


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1.5},
        {"a": None},
        {"a": []},
        {"a": [None]},
        {"a": ()},
        {"a": b"x"},
        {"a": 2**53},
        {"a": [2**53]},
        {"a b": 1},
        {1: 1},
        {"a": "\ud800"},
        {"a": "x" * MAX_BYTES},
        {"a": {"b": {"c": {1, 2}}}},
        [{}],
        "text",
        7,
        json.loads('{"a":' + "[" * 32 + "1" + "]" * 32 + "}"),
    ],
)
def test_a_value_outside_the_profile_is_not_dumped(document: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        dump(document)


def test_a_record_has_at_most_61440_bytes() -> None:
    fits = b'{"a":"' + b"x" * (61_440 - 8) + b'"}'
    assert dump(read(fits)) == fits
    with pytest.raises(ProfileError, match="bytes"):
        read(fits[:-2] + b'x"}')
    with pytest.raises(ProfileError, match="bytes"):
        dump({"a": "x" * (61_441 - 8)})


@pytest.mark.parametrize(
    "document",
    [
        {"k" * 64: 1},
        {"a": 2**53 - 1, "b": 1 - 2**53},
        json.loads('{"a":' + "[" * 31 + "1" + "]" * 31 + "}"),
        json.loads('{"a":' + '[{"b":' * 15 + "[1]" + "}]" * 15 + "}"),
        {"a": [True, "x", 1, {}]},
    ],
)
def test_the_last_that_is_inside_the_profile(document: dict[str, Any]) -> None:
    assert read(dump(document)) == document


def test_depth_32_is_the_last_that_is_allowed() -> None:
    document: dict[str, Any] = {"a": 1}
    for _ in range(31):
        document = {"a": document}
    assert read(dump(document)) == document
    with pytest.raises(ProfileError, match="deeper"):
        dump({"a": document})


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_a_finite_float_is_stored_as_its_repr(value: float) -> None:
    assert float(real(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ProfileError):
        real(value)


def test_hostile_keys_do_not_grow_the_memory_without_end() -> None:
    long = {f"k{number:02}": number for number in range(33)}
    for _ in range(2):
        assert read(dump(long)) == long
    assert tuple(long) not in canonical._shapes
    for number in range(3000):
        read(dump({f"key-{number}": 1}))
    assert len(canonical._shapes) <= canonical._SHAPES_KEPT
    with pytest.raises(ProfileError, match="canonical"):  # also of keys that aren't remembered any more
        read(b'{"key-2":1,"key-1":1}')
    assert dump({"key-2": 1, "key-1": 1}) == b'{"key-1":1,"key-2":1}'


@pytest.mark.parametrize(
    "body", [b'{"b":1,"a":1}', b'{"a":{"d":1,"c":1}}', b'{"a":[[{"d":1,"c":1}]]}', b'{"a":1,"B":1}']
)
def test_keys_out_of_order_are_refused_however_often_they_come(body: bytes) -> None:
    for _ in range(2):
        with pytest.raises(ProfileError, match="canonical"):
            read(body)
        assert json.loads(dump(json.loads(body))) == json.loads(body)


class Label(StrEnum):
    cui = "CUI"


def test_a_text_of_a_kind_of_its_own_is_written_as_the_text_that_it_is() -> None:
    class Loud(str):
        def __str__(self) -> str:
            raise NotImplementedError

    assert dump({"a": Label.cui, "b": [Loud("x")], "c": {"d": Label.cui}}) == b'{"a":"CUI","b":["x"],"c":{"d":"CUI"}}'
    with pytest.raises(ProfileError, match="a key that"):
        dump({Label.cui: 1})
