"""AWS Bedrock's InvokeModel: each vendor's own body and reply, told apart by their shapes.

A reply's shape says whose it is, not the model's name: a profile's ARN has none. What a guardrail did stands beside a text
that would pass as an answer. Source: Bedrock's pages of inference parameters and guardrails, November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from attrs import define, field
from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_array, as_count, as_object, as_text
from failsoft.adapters.bedrock_codec import BedrockCodec
from failsoft.adapters.bedrock_errors import fault_of_error
from failsoft.adapters.bedrock_reply import read_converse
from failsoft.adapters.bedrock_stream import ConverseStream, ErrorFrame, chunks_of
from failsoft.adapters.bedrock_vendors import VENDORS, fields_of, vendor_of
from failsoft.adapters.claude_body import PROMPT, TOOL, ClaudeBody
from failsoft.adapters.claude_errors import fault_of_error as fault_of_claude
from failsoft.adapters.claude_reply import read_message
from failsoft.adapters.claude_stream import assemble
from failsoft.adapters.ending import arguments_of, judge_ending
from failsoft.adapters.event_reading import take_each
from failsoft.adapters.openai_reply import behind_thoughts
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.request_parts import RequestOptions, schema_in_words
from failsoft.adapters.strict_json import loads
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest, Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
_GUARDRAIL: Final = "amazon-bedrock-guardrailAction"
_INTERVENED: Final = "INTERVENED"
_METRICS: Final = "amazon-bedrock-invocationMetrics"

_ANSWERED: Final = (
    *("stop", "end_turn", "stop_sequence", "finish", "finished", "complete", "endoftext", "stop_criteria_met"),
    *("tool_use", "tool_calls", "tool_call"),
)
_NOT_ANSWERED: Final[Mapping[str, tuple[FaultKind, str]]] = {
    "length": (FaultKind.TRUNCATED, "the answer was cut at its token cap"),
    "max_tokens": (FaultKind.TRUNCATED, "the answer was cut at its token cap"),
    "error_limit": (FaultKind.TRUNCATED, "the answer was cut where the context ended"),
    "content_filtered": (FaultKind.FILTERED, "a content filter"),
    "content_filter": (FaultKind.FILTERED, "a content filter"),
    "error_toxic": (FaultKind.FILTERED, "a content filter"),
    "error": (FaultKind.SERVER_ERROR, "the model broke off"),
}
"""Of all vendors, in lower case."""

_LISTS: Final = ("results", "generations", "outputs", "completions", "choices")
_TEXTS: Final = ("outputText", "generation", "completion", "text")
_WITHIN: Final = ("data", "message", "delta")
_COUNTS: Final = (
    ("prompt_tokens", "prompt_token_count", "inputTextTokenCount"),
    ("completion_tokens", "generation_token_count", "totalOutputTextTokenCount", "tokenCount"),
)
"""Of OpenAI's shape, of Llama's, of Titan's: what was asked, and what was written."""
_FINISHES: Final = ("completionReason", "stop_reason", "finish_reason", "finishReason")

_OWN_FIELDS: Final = frozenset({"messages", "system", "prompt", "inputText", "message"})


class BedrockInvoke(BedrockCodec):
    """A codec for InvokeModel. Options, besides `BedrockCodec`'s:

    - ``vendor``: whose body the model takes; default: by its name;
    - ``structured``: how the schema is asked for: of Claude as in `ClaudeBody`, of others ``prompt``;
    - ``leave_out``: fields never to send; ``body``: further fields.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable, or the name doesn't say whose body the model takes.
    """

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "invoke")
        named = options.choice("vendor", "by-name", *VENDORS)
        vendor = vendor_of(access.model) if named == "by-name" else named
        if vendor is None:
            options.refuse("vendor", f"must be one of {', '.join(VENDORS)}: the model's name doesn't say whose it is")
        self._vendor = vendor or "chat"
        self._claude: ClaudeBody | None = None
        self._wishes = RequestOptions(PROMPT)
        if vendor == "anthropic":
            self._claude = ClaudeBody(options, access.model)
        else:
            self._wishes = RequestOptions.read(options, _OWN_FIELDS, PROMPT)
        self._forced = self._claude is not None and self._claude.structured == TOOL
        super().__init__(access, options, "invoke", "invoke-with-response-stream")

    def schema_dialect(self) -> str:
        """How it's asked for."""
        return PROMPT if self._claude is None else self._claude.dialect

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The members of Claude's body that ask for the schema; or the words that do.

        Raises:
            ConfigurationError: the response type can't be said so.
        """
        return schema_in_words(answer) if self._claude is None else self._claude.schema_bytes(answer)

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the vendor can't be shown what the prompt holds.
        """
        schema = self.prepare(ask.answer)
        if self._claude is not None:
            body = self._claude.encode(ask, schema, {"anthropic_version": ANTHROPIC_VERSION})
            return self.request(ask.pin.model, body)
        fields = self._wishes.applied(fields_of(self._vendor, ask, schema.decode()))
        return self.request(ask.pin.model, to_json(fields))

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """An answer, an error, or something that is no answer."""
        said_by_claude = body.get("type") == "message"  # others name the file that they run, if anything
        grade = Grade.GATEWAY if said_by_claude else Grade.UNKNOWN
        served = self.served(reply, body.get("model"), body.get("id"), grade)
        if reply.status != 200 or "__type" in body:
            return Reading(served, fault_of_error(reply, body))
        if said_by_claude:
            reading = read_message(body, served, forced=self._forced)
        elif "output" in body:
            reading = read_converse(body, served, forced=False)
        else:
            said = _Said()
            if not said.hear(body):
                return Reading(served, Fault(FaultKind.NOT_AN_ANSWER, "a shape that no answer has", 200))
            reading = said.reading(served)
        return _guarded(reading, body.get(_GUARDRAIL) == _INTERVENED, _counted(reply.headers))

    def read_stream(self, reply: HttpReply) -> Reading:
        """The answer that the chunks are of: Claude's events, Nova's, or pieces of text."""
        chunks = _Chunks(reply)
        first: list[dict[str, Any]] = []
        fault = take_each(islice(chunks.rest, 1), first.append)
        if fault is not None:
            return Reading(self.served(reply), fault)
        reading = self._of_first(reply, first[0] if first else {}, chain(first, chunks.rest))
        reading.fault = chunks.fault or reading.fault
        return _guarded(reading, chunks.intervened, _metered(chunks.metrics))

    def _of_first(self, reply: HttpReply, first: dict[str, Any], chunks: Iterator[dict[str, Any]]) -> Reading:
        if "type" in first:
            found = assemble(chunks)
            served = self.served(reply, found.body.get("model"), found.body.get("id"))
            reading = read_message(found.body, served, forced=self._forced)
            reading.fault = found.fault or reading.fault
            if found.error is not None:
                reading.fault = fault_of_claude(reply, found.error)
            return reading
        if "messageStart" in first or "contentBlockDelta" in first or "contentBlockStart" in first:
            answer = ConverseStream()
            fault = answer.take_all((name, as_object(each[name])) for each in chunks for name in each)
            reading = read_converse(answer.body(), self.served(reply), forced=False)
            reading.fault = fault or reading.fault
            return reading
        said = _Said()
        fault = take_each(chunks, said.add)
        reading = said.reading(self.served(reply))
        if fault is None and not said.finish:
            fault = Fault(FaultKind.TRUNCATED_STREAM, "the stream ended before its answer did", 200)
        reading.fault = fault or reading.fault
        return reading


@define(eq=False)
class _Said:
    """What vendors' own shapes say, whole or in pieces."""

    texts: list[str] = field(factory=list[str])
    calls: list[ToolCall] = field(factory=list[ToolCall])
    finish: str | None = None
    refused: bool = False
    others: bool = False
    asked: int | None = None
    written: int | None = None

    def add(self, piece: dict[str, Any]) -> None:
        """One piece more of a stream."""
        self.hear(piece)

    def hear(self, body: dict[str, Any]) -> bool:
        """A whole reply, or one piece more. Is it of a shape that's known?"""
        known = next((name for name in _LISTS if isinstance(body.get(name), list)), None)
        choices = [body] if known is None else as_array(body[known])
        self._count(body, as_object(choices[0] if choices else None))
        firsts = [each for each in map(as_object, choices) if not _is_later(each)]
        self.others = self.others or len(choices) > 1 or len(firsts) < len(choices)
        if choices and not firsts:
            return True
        choice = firsts[0] if firsts else {}
        inner = {**choice, **{name: each for part in _WITHIN for name, each in as_object(choice.get(part)).items()}}
        texts = [inner[name] for name in (*_TEXTS, "content") if isinstance(inner.get(name), str)]
        self.texts += texts[:1]
        self.calls += [_call(as_object(each)) for each in as_array(inner.get("tool_calls"))]
        self.refused = self.refused or bool(as_text(inner.get("refusal")))
        found = next((choice[name] for name in _FINISHES if choice.get(name)), None)
        self.finish = as_text(as_object(found).get("reason") or found) or self.finish
        return known is not None or any(name in body for name in _TEXTS)

    def _count(self, body: dict[str, Any], choice: dict[str, Any]) -> None:
        """What was used; of a stream the last one that says it. Titan counts the answer in the choice."""
        for told in (as_object(body.get("usage")), body, choice):
            asked, written = (_first_count(told, names) for names in _COUNTS)
            self.asked = self.asked if asked is None else asked
            self.written = self.written if written is None else written

    def reading(self, served: Served) -> Reading:
        """What was said, behind what was thought."""
        reading = Reading(served, None, "".join(self.texts), tuple(self.calls), self.finish)
        reading.answer = behind_thoughts(reading.text)
        if self.asked is not None or self.written is not None:
            reading.tokens = Tokens(self.asked, self.written)
        if self.finish is not None:
            reading.finish = self.finish.lower()
        judge_ending(reading, _ANSWERED, _NOT_ANSWERED, forced=False)
        reading.finish = self.finish
        if self.refused:
            reading.fault = Fault(FaultKind.REFUSED, "the model refused", 200)
        if self.others:
            reading.fault = Fault(FaultKind.AMBIGUOUS_REPLY, "more than one answer where one was asked for", 200)
        return reading


def _first_count(told: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((count for name in names if (count := as_count(told.get(name))) is not None), None)


def _is_later(choice: dict[str, Any]) -> bool:
    index = choice.get("index")
    return isinstance(index, (int, float)) and index > 0


def _call(call: dict[str, Any]) -> ToolCall:
    """Cohere's call, or OpenAI's."""
    function = as_object(call.get("function")) or call
    arguments = function.get("arguments", function.get("parameters"))
    return ToolCall(as_text(function.get("name")) or "", arguments_of(arguments), as_text(call.get("id")))


class _Chunks:
    """The documents of one stream, and what stands beside them."""

    def __init__(self, reply: HttpReply) -> None:
        self._reply = reply
        self.fault: Fault | None = None
        self.intervened = False
        self.metrics: dict[str, Any] = {}
        self.rest = self._read()

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            for chunk in chunks_of(self._reply.body):
                fields = as_object(loads(chunk))
                self.metrics = as_object(fields.pop(_METRICS, None)) or self.metrics
                self.intervened = fields.pop(_GUARDRAIL, None) == _INTERVENED or self.intervened
                yield fields
        except ErrorFrame as error:
            self.fault = fault_of_error(self._reply, error.body, error.name)


def _guarded(reading: Reading, intervened: bool, counted: Tokens | None) -> Reading:
    """A text that a guardrail blocked or masked is no answer; usage is what the body says, else what stands beside it."""
    if intervened:
        reading.fault = Fault(FaultKind.FILTERED, "a guardrail blocked or masked the answer", 200)
    reading.tokens = reading.tokens or counted
    return reading


def _counted(headers: Mapping[str, str]) -> Tokens | None:
    asked, written = (_number(headers.get(f"x-amzn-bedrock-{each}-token-count", "")) for each in ("input", "output"))
    return None if asked is None and written is None else Tokens(asked, written)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def _metered(metrics: dict[str, Any]) -> Tokens | None:
    asked, written = as_count(metrics.get("inputTokenCount")), as_count(metrics.get("outputTokenCount"))
    return None if asked is None and written is None else Tokens(asked, written)
