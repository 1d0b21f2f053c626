"""Recorded replies read by OpenAI's own SDK, whose transport is handed the same bytes.

It's a decoder to compare with where a reply answers, not an oracle for failure: where the two differ, `DISAGREEMENTS` says
who is right. The SDK is none of the project's dependencies; it's compared with where it's installed.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
from recorded import PROVIDERS, Row, needs_recordings, rows

openai = pytest.importorskip("openai", reason="OpenAI's SDK isn't installed")
httpx = pytest.importorskip("httpx2", reason="OpenAI's SDK is of another age")

pytestmark = needs_recordings

Said = tuple[str, str | None, str | None, list[tuple[str, str]]]
"""Text, model, reason to finish, calls."""

DISAGREEMENTS: dict[tuple[str, int], str] = {
    # no answer at all, which the SDK shows as one without choices, or raises on without saying why: ours is right
    ("openai", 76): "an empty 200",
    ("openai", 164): "an empty 200",
    ("openai", 166): "an empty stream: no event, and no error",
    ("azure_openai", 1): "filtered, without the message that the SDK's types promise",
    ("azure_openai", 33): "an error in a 200: choices are None there, and nothing is raised",
    # an error within a stream: raised without what came before it
    ("openrouter", 54): "cut, and then an error that explains it",
    ("groq", 11): "the model's call didn't fit: an error without a status",
}


def client(row: Row) -> Any:
    """Of the SDK, whose transport answers with the row's bytes."""
    reply = row.reply

    def answer(_: Any) -> Any:
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)

    transport = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://host.example/v1", max_retries=0, http_client=transport)


def chat_of(row: Row) -> Said:
    made = client(row).chat.completions.create(model="m", messages=[], stream=row.held["stream"])
    if not row.held["stream"]:
        choice = made.choices[0]
        calls = [(each.function.name, each.function.arguments or "{}") for each in choice.message.tool_calls or []]
        if (old := choice.message.function_call) is not None and old.name:
            calls.append((old.name, old.arguments or "{}"))
        content = choice.message.content
        spoken = choice.message.audio.transcript if choice.message.audio else ""
        return content if isinstance(content, str) else spoken, made.model, choice.finish_reason, calls
    text, model, finish = "", None, None
    named: dict[int, list[str]] = {}
    for chunk in made:
        model = model or chunk.model
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            if getattr(choice, "delta", None) is None:  # Azure's last chunk: what its filter found
                continue
            text += choice.delta.content if isinstance(choice.delta.content, str) else ""
            for piece in choice.delta.tool_calls or []:
                call = named.setdefault(piece.index, ["", ""])
                call[0] = call[0] or piece.function.name or ""
                call[1] += piece.function.arguments or ""
    return text, model, finish, [(name, arguments or "{}") for name, arguments in named.values()]


def response_of(row: Row) -> Said:
    made = client(row).responses.create(model="m", input="", stream=row.held["stream"])
    if row.held["stream"]:
        made = next(event.response for event in made if event.type in ("response.completed", "response.incomplete"))
    calls = [(item.name, item.arguments) for item in made.output if item.type == "function_call"]
    reason = made.incomplete_details.reason if made.incomplete_details else None
    return made.output_text, made.model, reason or made.status, calls


def is_compared(row: Row) -> bool:
    if row.held["response"]["status"] != 200 or row.provider == "ollama" or "/anthropic/" in row.url:
        return False
    if row.url.endswith("/completions") and not row.url.endswith("/chat/completions"):
        return False
    answers = isinstance(row.body, str) or "choices" in row.body or row.body.get("object") == "response"
    return row.api in ("chat", "responses", "models") and (answers or row.name in DISAGREEMENTS)


@cache
def compared() -> list[tuple[Row, object, Said]]:
    found: list[tuple[Row, object, Said]] = []
    for row in filter(is_compared, rows(*PROVIDERS)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs: object = (response_of if row.api == "responses" else chat_of)(row)
            except Exception as error:
                theirs = type(error).__name__
        ours = row.codec().parse(row.reply)
        calls = [(each.name, each.arguments) for each in ours.calls]
        found.append((row, theirs, (ours.text, ours.served.model, ours.finish, calls)))
    return found


def differs(row: Row, theirs: object, ours: Said) -> bool:
    if not isinstance(theirs, tuple):
        return True
    text, model, finish, calls = theirs
    if "x-ms-served-model" in row.reply.headers:
        model = row.reply.headers["x-ms-served-model"]  # the SDK shows a deployment's name
    items = row.body["output"] if row.api == "responses" and isinstance(row.body, dict) else []
    if any(item.get("phase") == "commentary" for item in items):
        text = ours[0]  # the SDK joins what was said on the way to the answer
    return (text, model or None, finish or None, calls) != ours


def test_the_sdk_and_the_codecs_differ_where_the_table_says_and_nowhere_else() -> None:
    assert len(compared()) >= 620
    found = {row.name: (theirs, ours) for row, theirs, ours in compared() if differs(row, theirs, ours)}
    assert {name: each for name, each in found.items() if name not in DISAGREEMENTS} == {}
    assert found.keys() == DISAGREEMENTS.keys()


def test_in_each_disagreement_the_codec_tells_a_fault() -> None:
    for row, _, _ in compared():
        if row.name in DISAGREEMENTS:
            assert row.codec().parse(row.reply).fault is not None, row.name
