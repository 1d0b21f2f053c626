"""Every recorded exchange of OpenAI's family, read by the codec of its provider and held against what stands in it."""

from __future__ import annotations

import json
import random
from functools import cache

import pytest
from recorded import (
    PROVIDERS,
    Row,
    expected_calls,
    expected_finish,
    expected_text,
    expected_usage,
    needs_recordings,
    rows,
)

from failsoft.adapters.openai_compatible import openai_compatible
from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply, Reply, Unusable
from failsoft.fault import FaultKind
from failsoft.outcome import Grade

pytestmark = needs_recordings

K = FaultKind

ERRORS = {
    K.UNAUTHENTICATED: {
        "openai": {0, 4, 9, 10, 15, 16, 22, 23, 28, 193, 195, 199, 204, 312},
        "azure_openai": {0},
        "deepseek": {0},
        "openrouter": {0},
        "xai": {0},
    },
    K.MODEL_NOT_FOUND: {"openai": {1, 5, 8, 14, 18, 20, 26, 30, 31, 34, 35, 196, 202}},
    K.NOT_FOUND: {"openai": {7, 198}, "other_compat": {1, 58}},
    K.REQUEST_REJECTED: {
        "openai": {2, 3, 6, 19, 24, 29, 32, 33, 37, 194, 197, 200, 203, 205, 310, 311, 313},
        "local_compat": {0},  # its code is null: only its text says that it's too long
    },
    K.CAPABILITY_BUG: {"openai": {21}},
    K.CONTEXT_TOO_LONG: {"openai": {13}, "other_compat": {0}},
    K.SERVER_ERROR: {"openai": {12}},
    K.RATE_LIMITED: {"openrouter": {1}},
    # in a 200
    K.MALFORMED_REPLY: {"openai": {76, 164}},
    K.TRUNCATED_STREAM: {"openai": {166}},
    K.MALFORMED_ANSWER: {"groq": {11}},
    K.EMPTY_REPLY: {"openrouter": {85}},
    K.REFUSED: {"openai": {11, 17, 25, 192, 201, 308, 309}},
    K.FILTERED: {"azure_openai": {1, 33}},
}
"""Typed by hand."""

NO_STATUS = {149, 285}
"""Rows of openai that say "complete" where "completed" was meant: written by hand, and no status that is known."""


@cache
def family() -> list[Row]:
    return [row for row in rows(*PROVIDERS) if "/anthropic/" not in row.url]


@cache
def readings() -> list[tuple[Row, Reading]]:
    return [(row, row.codec().parse(row.reply)) for row in family()]


def expected_fault(row: Row) -> FaultKind | None:
    for kind, files in ERRORS.items():
        if row.number in files.get(row.file, ()):
            return kind
    body = row.body
    if isinstance(body, dict):
        answers = "choices" in body or body.get("object") == "response" or "message" in body or "response" in body
        if not answers or body.get("status") == "queued":
            return K.NOT_AN_ANSWER
        if len(body.get("choices") or ()) > 1 or (row.file == "openai" and row.number in NO_STATUS):
            return K.AMBIGUOUS_REPLY
    if expected_finish(row) in ("length", "max_output_tokens"):
        return K.TRUNCATED
    return K.AMBIGUOUS_REPLY if expected_calls(row) else None


def disagreements(read: object, expected: object) -> list[object]:
    """`read` of each reading against `expected` of each row."""
    return [
        (row.name, found, wanted)
        for row, reading in readings()
        if (found := read(reading)) != (wanted := expected(row))  # type: ignore[operator]
    ]


def test_all_rows_of_eight_files_are_read() -> None:
    assert {row.file for row in family()} == set(PROVIDERS)
    assert len(family()) >= 770


def test_every_text_is_read_as_it_stands() -> None:
    assert disagreements(lambda reading: reading.text, expected_text) == []


def test_every_call_of_a_tool_is_read_as_it_stands() -> None:
    read = lambda reading: [(each.name, each.arguments) for each in reading.calls]  # noqa: E731
    assert disagreements(read, expected_calls) == []


def test_every_reason_to_finish_is_read_as_it_stands() -> None:
    assert disagreements(lambda reading: reading.finish, expected_finish) == []


def test_all_usage_is_read_as_it_stands() -> None:
    read = lambda reading: None if reading.tokens is None else (reading.tokens.input, reading.tokens.output)  # noqa: E731
    assert disagreements(read, expected_usage) == []


def test_every_fault_is_what_the_table_says() -> None:
    read = lambda reading: None if reading.fault is None else reading.fault.kind  # noqa: E731
    assert disagreements(read, expected_fault) == []


def test_every_served_model_and_fingerprint_is_read_as_it_stands() -> None:
    def model(row: Row) -> str | None:
        return row.reply.headers.get("x-ms-served-model") or row.held["served_model"] or None

    def fingerprint(row: Row) -> str | None:
        return next(iter(row.held["system_fingerprint"]), None) or None

    assert disagreements(lambda reading: reading.served.model, model) == []
    assert disagreements(lambda reading: reading.served.fingerprint, fingerprint) == []


def test_openrouter_says_which_vendor_answered_and_azure_which_deployment() -> None:
    stated = {row.name: reading.served for row, reading in readings()}
    chats = [row for row in family() if row.file == "openrouter" and row.api == "chat" and expected_text(row)]
    assert len(chats) > 60
    assert all(stated[row.name].upstream and stated[row.name].grade is Grade.GATEWAY for row in chats)
    assert stated["azure_openai", 2].upstream == "openllmetry-testing"


def test_azure_grades_what_it_says_by_where_it_says_it() -> None:
    grades = {row.name[1]: reading.served.grade for row, reading in readings() if row.file == "azure_openai"}
    assert grades[2] is Grade.PROVIDER  # a dated name in a completion
    assert grades[9] is Grade.PROVIDER  # a header
    assert grades[10] is Grade.ECHOED  # a response states the deployment's name
    assert grades[12] is Grade.ECHOED  # an undated name in a completion
    assert grades[4] is Grade.ECHOED  # another vendor's model


def test_structured_answers_come_out_as_their_json() -> None:
    answered = 0
    for row in family():
        if row.held["kind"] == "structured" and expected_fault(row) is None:
            reply = row.codec().decode(row.reply)
            if isinstance(reply, Reply):
                answered += 1
                assert json.loads(reply.answer) == json.loads(expected_text(row))
            else:
                assert reply.fault.kind is K.MALFORMED_ANSWER
    assert answered >= 35


@pytest.mark.parametrize("size", [1, 7])
def test_pieces_of_any_size_give_the_same_pulse(size: int) -> None:
    heard = 0
    for row in family():
        if not row.held["stream"]:
            continue
        pulse = row.codec()._timing[0]
        whole, pieces, body = pulse(), pulse(), row.reply.body
        meaningful = whole.heard(body)
        parts = [pieces.heard(body[at : at + size]) for at in range(0, len(body), size)]
        assert any(parts) == meaningful, row.name
        assert pieces.full is whole.full is False
        heard += meaningful
    assert heard >= 200


def test_no_stream_that_is_cut_is_accepted_with_less_text() -> None:
    chosen = random.Random(7)
    for row, reading in readings():
        if row.held["stream"] and reading.fault is None:
            made, reply = row.codec(), row.reply
            for _ in range(15):
                cut = HttpReply(200, reply.headers, reply.body[: chosen.randrange(len(reply.body))])
                part = made.parse(cut)
                assert reading.text.startswith(part.text), row.name
                assert part.fault is not None or part.text == reading.text, row.name


def test_no_recorded_reply_of_any_provider_makes_it_raise() -> None:
    for row in rows():
        assert isinstance(openai_compatible("http://127.0.0.1:1/v1").decode(row.reply), Reply | Unusable)
