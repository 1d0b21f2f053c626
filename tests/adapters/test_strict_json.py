from __future__ import annotations

import cProfile
import json
import pstats
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.adapters import strict_json
from failsoft.adapters.strict_json import MAX_DEPTH, MAX_VALUES, StrictJsonError, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(VALUES, st.booleans())
def test_everything_strict_comes_out_as_the_standard_library_reads_it(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert loads(text.encode()) == loads(text) == json.loads(text)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(StrictJsonError):
        loads(data)


@given(st.text(alphabet='[]{}":,\\u0dD8 1eE+-.ntfNI', max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(StrictJsonError):
        loads(text)


REFUSED: dict[str, bytes] = {
    "empty": b"",
    "white space only": b" \r\n\t",
    "cut": b'{"a": 1',
    "trailing text": b'{"a": 1} thanks',
    "two documents": b"{}{}",
    "a code fence": b"```json\n{}\n```",
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "invalid UTF-8": b'{"a": "\xff"}',
    "a duplicate key": b'{"a": 1, "a": 1}',
    "a duplicate key deep inside": b'[{"b": {"a": 1, "\\u0061": 2}}]',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "1e999": b'{"a": 1e999}',
    "minus 1E+400": b"[-1E+400]",
    "a long number beyond a double": b"[" + b"9" * 400 + b".0]",
    "2 to the 64th": b"[18446744073709551616]",
    "below minus 2 to the 63rd": b"[-9223372036854775809]",
    "5,000 digits": b"[" + b"1" * 5000 + b"]",
    "a lone surrogate": b'{"a": "\\ud83d"}',
    "a lone low surrogate": b'["\\uDe00"]',
    "a lone surrogate in a key": b'{"\\ud83d": 1}',
    "a raw control character": b'["\x01"]',
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 open arrays": b"[" * 100_000,
    "one level too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "a vertical tab around": b"\x0b{}",
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(case: str) -> None:
    with pytest.raises(StrictJsonError):
        loads(REFUSED[case])


ACCEPTED: dict[str, tuple[bytes, Any]] = {
    "white space around": (b"\r\n {} \t", {}),
    "a surrogate pair": (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    "the deepest": (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
    "the deepest with a neighbour": (b"[[]," + b"[" * (MAX_DEPTH - 1) + b"]" * MAX_DEPTH, None),
    "many brackets in strings": (json.dumps({"a": '[{"' * 500}).encode(), {"a": '[{"' * 500}),
    "many brackets side by side": (json.dumps([[]] * 5000).encode(), [[]] * 5000),
    "64 bits": (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
    "a large exponent that fits": (b"1e308", 1e308),
    "a tiny number": (b"1e-999", 0.0),
    "a long fraction": (b"0.1234567890123456789012345", 0.1234567890123456789),
    "a scalar": (b'"x"', "x"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_it_is_accepted(case: str) -> None:
    data, expected = ACCEPTED[case]
    value = loads(data)
    assert expected is None or value == expected


def test_a_lone_surrogate_in_a_string_argument_is_refused_too() -> None:
    with pytest.raises(StrictJsonError, match="surrogate"):
        loads('"\ud83d"')


@given(st.text(alphabet="0123456789eE+-. ", max_size=60) | st.from_regex(r"[0-9]{15,25}([eE][+-]?[0-9]{1,4})?"))
def test_every_number_that_could_be_too_great_is_looked_at(text: str) -> None:
    plainly = re.search(r"[0-9][eE]\+?[0-9]{3}|[0-9]{19}", text)
    assert (strict_json._GREAT_NUMBER.search(text) is None) == (plainly is None)


def test_a_nearly_full_stack_is_an_error_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> None:
        raise RecursionError

    monkeypatch.setattr(strict_json._PLAIN, "raw_decode", full)
    with pytest.raises(StrictJsonError, match="stack"):
        loads("[]")


def test_the_message_never_quotes_the_text() -> None:
    with pytest.raises(StrictJsonError) as error:
        loads(b'{"a": sk-secret}')
    assert "secret" not in str(error.value)


def test_an_unterminated_string_with_many_escapes_is_refused_in_linear_time() -> None:
    with pytest.raises(StrictJsonError):
        loads(b"[" * 70 + b'"' + b'\\"' * 300_000)


def test_a_chat_completion_costs_few_calls() -> None:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4.1-2025-04-14",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 700}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}},
        }
    ).encode()
    loads(body)
    profile = cProfile.Profile()
    profile.enable()
    loads(body)
    profile.disable()
    assert pstats.Stats(profile).total_calls <= 28


@pytest.mark.parametrize("value", ["1", "[]", "{}", '""'])
def test_more_values_than_any_answer_holds_are_refused_before_they_are_read(value: str) -> None:
    few, many = ("[" + ",".join([value] * count) + "]" for count in (1_000, MAX_VALUES + 1))
    assert len(loads(few)) == 1_000
    with pytest.raises(StrictJsonError, match="values"):
        loads(many)


def test_a_long_text_is_one_value() -> None:
    assert loads('"' + "a" * (MAX_VALUES + 1) + '"') == "a" * (MAX_VALUES + 1)
