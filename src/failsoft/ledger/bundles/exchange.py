"""What went to an AI and what came back, word for word: its instruction, the prompt as it was sent, each reply as it came.

Only what a bundle discloses is told; of anything else it's said why it isn't here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from failsoft.ledger.bundles.markup import Markup, tag
from failsoft.ledger.bundles.shown import (
    ERASED,
    OMITTED,
    REDACTED,
    WITHHELD,
    as_it_came,
    disclosed,
    letters,
    value_of,
    written,
)
from failsoft.ledger.bundles.told import Told
from failsoft.ledger.bundles.tried import omitted, unknown
from failsoft.ledger.bundles.values import cut
from failsoft.ledger.format.commitment import Disclosure

Fields = dict[str, Any]

FIRST = 1500
"""Characters of an instruction beside the question; what was sent holds all, further down."""

_WHOSE = MappingProxyType(
    {
        "system": "Instruction:",
        "user": "Put to the AI:",
        "assistant": "Said before, in the AI's name:",
    }
)
_TOLD = "What the AI was to do with it:"
_NONE_APART = "No instruction stands apart from the question in what the AI was given: that stands further down."
_NOT_HERE = "Which instruction to an AI goes with it isn't on record in this copy."
_UNSEEN = "Characters that can't be seen are named, each in a frame."
_AS_SENT = (
    "The words are the application's, as it handed them on. Each provider's service has a form of its own for them, which "
    f"isn't on record. What came back stands here character for character. {_UNSEEN}"
)
_ALL_IN_ONE = "The application put this to the AI by itself. An instruction, where there is one, is part of it."
_AS_OBSERVED = (
    f"What the application sent and what came back stand here character for character, as they are on record. {_UNSEEN}"
)
_NOT_SENT = "These words for an AI are on record, and no attempt to put them to one is named there."
_NO_REPLY = "Nothing that came back is on record."


def instruction(told: Told) -> list[Markup]:
    """What an AI is to do with a question: of the prompt, else of the lock that the call was held to."""
    if told.observed:
        return [tag("p", _ALL_IN_ONE, cls="note")]
    prompt = disclosed(told.selection, told.completed, "prompt")
    if isinstance(prompt, Disclosure) and (said := _instructed(prompt)):
        return list(_begins(_TOLD, said, "further down"))
    if prompt != WITHHELD and (said := _written_down(told)):
        caption = "What an AI is to do with it, as it was written down beforehand:"
        return list(_begins(caption, said, "in this copy's files"))
    if isinstance(prompt, Disclosure):
        return [tag("p", _NONE_APART, cls="note")]
    if prompt in (WITHHELD, ERASED, OMITTED):
        return [tag("p", _TOLD, cls="caption"), tag("p", prompt, cls="withheld")]
    return [tag("p", _NOT_HERE, cls="note")]


def _begins(caption: str, said: str, where: str) -> Iterator[Markup]:
    shown = cut(said, FIRST)
    yield tag("p", caption, cls="caption")
    yield tag("p", shown, cls="said")
    if shown != said:
        yield tag("p", f"Cut here: more of it stands {where}.", cls="note")


def _instructed(prompt: Disclosure) -> str:
    """The instruction in a prompt; an empty text where none stands apart."""
    try:
        messages = _messages(prompt)
    except ValueError:
        return ""
    return "\n\n".join(said for whose, said in messages if whose == "system")


def _written_down(told: Told) -> str:
    """The instruction in the lock; an empty text where there's none."""
    try:
        lock: Any = json.loads(told.selection.artifacts.get(told.lock or "", b"{}"))
        said = lock["capabilities"][told.fields["capability"]["name"]]["instruction"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return said if isinstance(said, str) else ""


def exchange(told: Told) -> list[Markup]:
    """What each AI was given, and what came back; nothing where none was asked."""
    entry, completed = told.completed, {} if told.completed is None else told.completed.fields
    if not told.attempts:
        written = any(each["path"] == "prompt" for each in completed.get("commitments", []))
        return [tag("p", _NOT_SENT), *_given(told, "prompt")] if written else unknown(told)
    parts = [tag("p", _AS_OBSERVED if told.observed else _AS_SENT, cls="note"), tag("h3", "The words for the AI")]
    if told.observed:
        parts.append(as_it_came(told.selection, told.started, "request"))
    else:
        parts += _given(told, "prompt")
    known = [*(each["path"] for each in completed.get("commitments", [])), *completed.get("omitted", [])]
    for each in told.attempts:
        number, who = each["n"], each["adapter"]
        if f"prompt/{number}" in known:
            parts += [tag("h3", f"The words for {who} in attempt {number}"), *_given(told, f"prompt/{number}")]
        parts.append(tag("h3", f"What came back from {who} in attempt {number}"))
        came = f"reply/{number}" in known
        parts.append(as_it_came(told.selection, entry, f"reply/{number}") if came else tag("p", _NO_REPLY))
        if f"error/{number}" in known:
            parts.append(tag("p", "What the application noted about it:", cls="caption"))
            parts.append(as_it_came(told.selection, entry, f"error/{number}"))
    if "redacted" in completed or (told.observed and "redacted" in told.fields):
        parts.append(tag("p", REDACTED, cls="note"))
    if said := omitted(told):
        parts.append(tag("p", said, cls="withheld"))
    return parts


def _given(told: Told, path: str) -> Iterator[Markup]:
    """A prompt, message by message."""
    prompt = disclosed(told.selection, told.completed, path)
    if isinstance(prompt, str):
        yield tag("p", prompt, cls="withheld")
        return
    try:
        messages = _messages(prompt)
    except ValueError:
        yield letters(prompt)
        return
    for whose, said in messages:
        yield tag("p", _WHOSE[whose], cls="caption")
        yield written(said)


def _messages(prompt: Disclosure) -> list[tuple[str, str]]:
    """Whose words, and the words.

    Raises:
        ValueError: it isn't a prompt as `failsoft.prompt.Prompt.to_json` writes it.
    """
    messages: Any = value_of(prompt)
    try:
        found = [(each["role"], _content(each["content"])) for each in messages]
        known = all(whose in _WHOSE for whose, _ in found)
    except (LookupError, TypeError) as error:
        raise ValueError("this isn't a list of messages") from error
    if not found or not known:
        raise ValueError("there's no message, or one of somebody who isn't known")
    return found


def _content(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(map(_part, content))


def _part(part: Any) -> str:
    """A text; of a picture or a document what it is, since a page has no room for it."""
    if part["type"] == "text":
        return str(part["text"])
    data = str(part["data"])
    size = len(data) // 4 * 3 - data[-2:].count("=")
    what = "a picture" if part["type"] == "image" else f"a document named {part['name']}"
    return f"[{what}, {part['media_type']}, {size} bytes: it stands in this copy's files]"
