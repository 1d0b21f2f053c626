"""The short way through the usual envelope: it costs little, and it reads nothing otherwise than the long way."""

from __future__ import annotations

import cProfile
import itertools
import json
import pstats
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_openai_compatible import JSON_LIKE, REPLIES, answered, completion

from failsoft.adapters.access import Access
from failsoft.adapters.openai_compatible import OpenAICompatible
from failsoft.adapters.openai_dialect import Dialect
from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply, Reply, Unusable
from failsoft.outcome import Grade

ACCESS = Access("m", "openai-compatible", "http://127.0.0.1:8080/v1")
JSON = {"content-type": "application/json"}


class Careful(OpenAICompatible):
    """Reads every envelope on the long way."""

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        return self.read_any(reply, body)


def usual() -> dict[str, Any]:
    """About 1 KB."""
    answer = {"fsc": "5305", "reason": "a threaded fastener with a head, driven by a wrench or a driver"}
    message = {"refusal": None, "annotations": [], "tool_calls": []}
    changes = {"created": 1764000000, "service_tier": "default", "padding": "x" * 480}
    return completion(json.dumps(answer), message=message, choice={"logprobs": None}, **changes)


def everything_in(result: Reply | Unusable) -> dict[str, Any]:
    """With the types of the counts: True isn't 1 in a ledger."""
    values = attrs.asdict(result)
    return {**values, "tokens": repr(values["tokens"]), "kind of result": type(result)}


def assert_both_ways_agree(reply: HttpReply) -> None:
    straight = OpenAICompatible(ACCESS, Dialect(grade=Grade.GATEWAY)).decode(reply)
    careful = Careful(ACCESS, Dialect(grade=Grade.GATEWAY)).decode(reply)
    assert everything_in(straight) == everything_in(careful)


@pytest.mark.parametrize("headers", [JSON, {**JSON, "x-request-id": "req-1"}])
def test_reading_an_answer_costs_few_calls(headers: dict[str, str]) -> None:
    made, reply = OpenAICompatible(ACCESS), answered(usual(), headers=headers)
    assert isinstance(made.decode(reply), Reply)
    profile = cProfile.Profile()
    profile.enable()
    made.decode(reply)
    profile.disable()
    assert pstats.Stats(profile).total_calls <= 47


def test_the_usual_shape_is_read_on_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(OpenAICompatible, "read_any")
    assert isinstance(OpenAICompatible(ACCESS).decode(answered(usual())), Reply)


# --- both ways --------------------------------------------------------------------------------------------------------

ABSENT = object()
STRANGE = [
    ABSENT,
    None,
    True,
    False,
    0,
    7,
    0.5,
    "",
    " ",
    "x",
    "x" * 600,
    [],
    ["x"],
    [{}],
    {},
    {"id": "n"},
    {"code": 429},
]
CONTENTS = [
    *("{", "{}", "{} ", " {}", "{}\n", "{}\u00a0", "\u00a0{}", "\u00a0", "[1]", "{}{}", "1e5", '{"ü": "\\u00fc"}'),
    *('{"a": 1, "a": 1}', '{"a": 1e999}', '{"a": NaN}', '{"a": "\\ud83d"}', '{"a": ' * 70, '{"a": 1%s}' % ("0" * 25)),
    [{"type": "text", "text": "{}"}],
]
FINISHES = ["stop", "length", "content_filter", "tool_calls", "error", "network_error"]
SLOTS: dict[tuple[str, str], list[Any]] = {
    ("envelope", "error"): STRANGE,
    ("envelope", "object"): [*STRANGE, "list"],
    ("envelope", "id"): STRANGE,
    ("envelope", "model"): STRANGE,
    ("envelope", "system_fingerprint"): STRANGE,
    ("envelope", "x_groq"): STRANGE,
    ("envelope", "provider"): STRANGE,
    ("envelope", "usage"): STRANGE,
    ("envelope", "choices"): [*STRANGE, [[]], [None], {"message": 1}, [{"message": "x"}], [*usual()["choices"] * 2]],
    ("choice", "message"): STRANGE,
    ("choice", "error"): STRANGE,
    ("choice", "finish_reason"): [*STRANGE, *FINISHES],
    ("choice", "native_finish_reason"): [*STRANGE, *FINISHES],
    ("message", "content"): [*STRANGE, *CONTENTS],
    ("message", "refusal"): STRANGE,
    ("message", "tool_calls"): STRANGE,
    ("message", "function_call"): STRANGE,
    ("usage", "prompt_tokens"): STRANGE,
    ("usage", "completion_tokens"): STRANGE,
    ("usage", "total_tokens"): STRANGE,
}


def changed(changes: list[tuple[tuple[str, str], Any]]) -> dict[str, Any]:
    body = usual()
    [choice] = body["choices"]
    places = {"envelope": body, "choice": choice, "message": choice["message"], "usage": body["usage"]}
    for (place, name), value in changes:
        if value is ABSENT:
            places[place].pop(name, None)
        else:
            places[place][name] = value
    return body


@pytest.mark.parametrize("slot", SLOTS, ids=" ".join)
def test_one_strange_value_is_read_the_same_both_ways(slot: tuple[str, str]) -> None:
    for value in SLOTS[slot]:
        assert_both_ways_agree(answered(changed([(slot, value)])))


@pytest.mark.parametrize("asked", [-1, 0, 1, True, 1.0, None, 2**53, 2**53 + 1])
def test_counts_are_believed_the_same_both_ways(asked: Any) -> None:
    for written, more in itertools.product([-1, 0, 1, False, 2**53], [-1, 0, 1, 0.0, 2**53]):
        usage = {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": (asked or 0) + written + more}
        assert_both_ways_agree(answered({**usual(), "usage": usage}))


@pytest.mark.parametrize("row", REPLIES)
def test_a_reply_that_does_not_answer_is_the_same_fault_both_ways(row: str) -> None:
    assert_both_ways_agree(answered(REPLIES[row][0]))


CHANGES = st.one_of(
    [
        st.tuples(st.just(slot), st.sampled_from(values) | st.text(max_size=5) | JSON_LIKE)
        for slot, values in SLOTS.items()
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-request-id", "x-ds-trace-id", "retry-after", "x-inference-provider"]),
    st.sampled_from(["", "n", "n" * 600]),
    max_size=2,
)


@settings(max_examples=300)
@given(st.lists(CHANGES, max_size=4), HEADERS, st.sampled_from([200, 200, 200, 400, 429, 500]))
def test_any_nearly_usual_envelope_is_read_the_same_both_ways(
    changes: list[tuple[tuple[str, str], Any]], headers: dict[str, str], status: int
) -> None:
    assert_both_ways_agree(answered(changed(changes), status, headers))
