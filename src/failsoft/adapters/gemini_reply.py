"""What a reply of Google's generateContent says, whole or in chunks.

Theory of operation
-------------------

A whole reply has one candidate, whose content has parts: texts, thoughts (``thought: true``), function calls, and what the
provider's own tools did. The text is all texts together that aren't thoughts. Why it ended is ``finishReason``; where
there's no candidate, ``promptFeedback.blockReason`` says why the prompt was blocked.

A stream is such replies, each with the next parts, the last one with the reason. Put together they are one reply, which is
read like any other. A stream without a reason was cut, unless the prompt was blocked; what follows the reason without one of
its own (the first models gave each chunk one), or is of another answer (``responseId``), isn't guessed at.
Of several candidates the first one is kept whole, beside that fault.

Source: https://ai.google.dev/api/generate-content, and 219 recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from failsoft.adapters.base import as_array, as_count, as_object, as_text, json_text
from failsoft.adapters.event_reading import ObjectPulse, Refused
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

_K = FaultKind

FINISH: Mapping[str, FaultKind] = {
    **dict.fromkeys(("MAX_TOKENS", "CONTINUATION"), _K.TRUNCATED),
    **dict.fromkeys(
        (
            *(
                "SAFETY",
                "RECITATION",
                "LANGUAGE",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MODEL_ARMOR",
                "ESCALATION",
            ),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"),
        ),
        _K.FILTERED,
    ),
    **dict.fromkeys(
        (
            *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
            *("MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"),
        ),
        _K.MALFORMED_ANSWER,
    ),
    "NO_IMAGE": _K.EMPTY_REPLY,
    "OTHER": _K.SERVER_ERROR,
    "FINISH_REASON_UNSPECIFIED": _K.SERVER_ERROR,
    "PUP_LIMITED_DISABLED": _K.QUOTA_SPENT,  # the account is limited, or disabled, under the prohibited-use policy
}
"""Reasons to finish that aren't an answer. ``STOP`` is; one that's in neither is none."""

_NUMBERS = ("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION")
"""What they are where a client asked for enums as numbers. From 5 on Gemini's and Vertex's numbers differ."""

_ENVELOPE = ("candidates", "promptFeedback", "modelVersion", "responseId")


def read_reply(body: dict[str, Any], *, forced: bool) -> Reading:
    """What a reply without an error means. Never raises.

    Args:
        body: the JSON object, of a reply whose status is 200.
        forced: the model had to call one function, whose arguments are the answer.
    """
    if not any(name in body for name in _ENVELOPE):
        return Reading(Served(), Fault(_K.NOT_AN_ANSWER, "another kind of object than a generated content", 200))
    reading = Reading(served_of(body), tokens=tokens_of(as_object(body.get("usageMetadata"))))
    candidates = as_array(body.get("candidates"))
    candidate = as_object(candidates[0] if candidates else None)
    parts = [as_object(each) for each in as_array(as_object(candidate.get("content")).get("parts"))]
    reading.text = "".join(_text(each) for each in parts)
    reading.calls = tuple(_call(as_object(each["functionCall"])) for each in parts if each.get("functionCall"))
    reading.finish = finish_of(candidate)
    if len(candidates) != 1:
        reading.fault = _not_one(len(candidates), as_object(body.get("promptFeedback")))
    else:
        reading.fault = _fault_of(reading, forced=forced)
    if reading.fault is None and forced and reading.calls:
        reading.answer = reading.calls[0].arguments
    return reading


def served_of(body: dict[str, Any]) -> Served:
    """Who answered: what ``modelVersion`` says, without ``models/``."""
    model = as_text(body.get("modelVersion"))
    grade = Grade.UNKNOWN if model is None else Grade.PROVIDER
    return Served(model and model.removeprefix("models/"), grade, None, as_text(body.get("responseId")))


def tokens_of(usage: dict[str, Any]) -> Tokens | None:
    """What was used. Thoughts are written, what tools brought is read: all four together are the stated total.

    A count of 0 may be left out; where both of a kind are missing, it's unknown.
    """
    asked = _sum(usage, "promptTokenCount", "toolUsePromptTokenCount")
    written = _sum(usage, "candidatesTokenCount", "thoughtsTokenCount")
    return None if asked is None and written is None else Tokens(asked, written)


def _sum(usage: dict[str, Any], *names: str) -> int | None:
    counts = [count for name in names if (count := as_count(usage.get(name))) is not None]
    return sum(counts) if counts else None


def finish_of(candidate: dict[str, Any]) -> str | None:
    """Why it ended; None where it isn't said."""
    reason: object = candidate.get("finishReason")
    if type(reason) is int:
        return _NUMBERS[reason] if 0 <= reason < len(_NUMBERS) else str(reason)
    return as_text(reason)


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) and not part.get("thought") else ""


def _call(call: dict[str, Any]) -> ToolCall:
    arguments = json_text(call.get("args") or {})
    return ToolCall(as_text(call.get("name")) or "", arguments, as_text(call.get("id")))


def _not_one(count: int, feedback: dict[str, Any]) -> Fault:
    if count:
        return Fault(_K.AMBIGUOUS_REPLY, f"{count} candidates where one was asked for", 200)
    if feedback.get("blockReason"):
        return Fault(_K.FILTERED, "the prompt was blocked", 200)
    return Fault(_K.EMPTY_REPLY, "no candidates", 200)


def _fault_of(reading: Reading, *, forced: bool) -> Fault | None:
    """Why one candidate is no answer."""
    finish = reading.finish
    if finish != "STOP":
        if finish is None:
            return Fault(_K.SERVER_ERROR, "no reason why it ended", 200)
        known = FINISH.get(finish)
        if known is None:
            return Fault(_K.MALFORMED_REPLY, "an unknown reason why it ended", 200)
        return Fault(known, f"it ended with {finish}", 200)
    if len(reading.calls) > (1 if forced else 0):
        return Fault(_K.AMBIGUOUS_REPLY, "a function call where an answer was asked for", 200)
    if not reading.calls and not reading.text.strip():
        return Fault(_K.EMPTY_REPLY, "no text", 200)
    return None


# --- in chunks --------------------------------------------------------------------------------------------------------


@define(eq=False)
class Chunks:
    """A stream's chunks so far."""

    _envelope: dict[str, Any] = field(factory=dict[str, Any])
    _candidate: dict[str, Any] = field(factory=dict[str, Any])
    _parts: list[object] = field(factory=list[object])
    _others: bool = False
    error: dict[str, Any] = field(factory=dict[str, Any])
    """The chunk that was an error, which ends the answer; empty where none was."""

    def take(self, chunk: dict[str, Any]) -> None:
        """The next one.

        Raises:
            Refused: it can't belong to one answer.
        """
        if self.error or chunk.get("error"):
            self.error = self.error or chunk
            return
        number = chunk.get("responseId")
        if number and self._envelope.setdefault("responseId", number) != number:
            raise Refused(_K.AMBIGUOUS_REPLY, "chunks of two answers")
        if chunk.get("modelVersion"):
            self._envelope.setdefault("modelVersion", chunk["modelVersion"])
        for name in ("usageMetadata", "promptFeedback"):
            if chunk.get(name):
                self._envelope[name] = chunk[name]
        candidates = as_array(chunk.get("candidates"))
        if candidates:
            firsts = [each for each in map(as_object, candidates) if each.get("index") in (0, None)]
            self._others = self._others or len(candidates) > 1 or not firsts
            if firsts:
                self._choose(firsts[0])

    def _choose(self, candidate: dict[str, Any]) -> None:
        """The next parts of the first candidate."""
        parts = as_array(as_object(candidate.get("content")).get("parts"))
        reason: object = candidate.get("finishReason")
        if self._candidate.get("finishReason") and not reason and any(is_said(each) for each in parts):
            raise Refused(_K.AMBIGUOUS_REPLY, "content behind the answer's end")
        self._parts += parts
        if reason:
            self._candidate["finishReason"] = reason
        self._candidate["content"] = {"parts": self._parts}

    def ended(self) -> Fault | None:
        """The stream has ended: may it?"""
        blocked = as_object(self._envelope.get("promptFeedback")).get("blockReason")
        if self._others and not self.error:
            return Fault(_K.AMBIGUOUS_REPLY, "more than one candidate", 200)
        if self.error or self._candidate.get("finishReason") or (blocked and not self._candidate):
            return None
        return Fault(_K.TRUNCATED_STREAM, "the stream ended before its answer did", 200)

    def body(self) -> dict[str, Any]:
        """The reply that it would have been in one piece."""
        return {**self._envelope, "candidates": [self._candidate] if self._candidate else []}


def is_said(part: object) -> bool:
    """Does a part hold anything?"""
    return any(value for name, value in as_object(part).items() if name != "thoughtSignature")


class GeminiPulse(ObjectPulse):
    """Hears one streamed reply."""

    __slots__ = ()

    def means(self, chunk: dict[str, Any]) -> bool:
        """A part that holds anything, a thought too; a reason why it ended; an error."""
        if chunk.get("error") or chunk.get("promptFeedback"):
            return True
        for candidate in map(as_object, as_array(chunk.get("candidates"))):
            parts = as_array(as_object(candidate.get("content")).get("parts"))
            if candidate.get("finishReason") or any(is_said(each) for each in parts):
                return True
        return False
