"""Ollama's own interfaces: ``/api/chat`` (the default), ``/api/generate``; OpenAI's under ``/v1`` by ``api = "openai"``.

The schema is the field ``format``. Replies are streamed unless the request says that they aren't, as JSON lines; the last
one says ``done``. The model's name is the tag that was asked for: nothing tells which file it stands for. Source: Ollama's
API reference (November 2026), and recorded replies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import define, field
from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_array, as_count, as_object, as_text
from failsoft.adapters.event_reading import take_each
from failsoft.adapters.event_stream import EventPulse
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.json_lines import MEDIA_TYPE, LineReader, lines
from failsoft.adapters.openai_compatible import OWN_FIELDS as CHAT_FIELDS
from failsoft.adapters.openai_compatible import PATH, OpenAICompatible
from failsoft.adapters.openai_dialect import GRAMMAR_BOUNDS, Dialect, Structured, configured, instruction, schema_of
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_messages import base64_of, refuse
from failsoft.adapters.openai_reply import behind_thoughts, calls_of, request_id
from failsoft.adapters.openai_stream import Assembled
from failsoft.adapters.reading import Reading
from failsoft.adapters.strict_json import loads_text
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest, Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served
from failsoft.prompt import Document, Image, Message

_K = FaultKind

OLLAMA = Dialect(bounds=GRAMMAR_BOUNDS)
_OWN_FIELDS = frozenset({"model", "messages", "prompt", "system", "images", "format", "stream", "tools", "raw"})
_WAYS: tuple[Structured, ...] = ("native", "json", "prompt")  # no tool can be demanded there


class OllamaPulse(EventPulse):
    """Hears one stream of Ollama's."""

    __slots__ = ()

    def reader(self) -> LineReader:
        """Its events are lines."""
        return LineReader()

    def is_meaningful(self, kind: str, data: str) -> bool:
        """Does a line mean that the answer goes on?"""
        try:
            line = as_object(json.loads(data))
        except (ValueError, RecursionError):
            return False
        message = as_object(line.get("message"))
        said = any(message[name] for name in message if name != "role")
        return said or any(line.get(name) for name in ("response", "thinking", "done", "error"))


class Ollama(HttpCodec):
    """A codec for Ollama's own interfaces.

    Args:
        access: how to get at the server; its base URL is what comes before ``/api``.
        dialect: how it's asked.
        api: ``chat`` or ``generate``.

    Raises:
        ConfigurationError: an argument is unusable; never shows a key.
    """

    stream_type = MEDIA_TYPE
    pulse = OllamaPulse

    def __init__(self, access: Access, dialect: Dialect, api: str) -> None:
        self.dialect = dialect
        super().__init__(access, f"/api/{api}")
        self._generates = api == "generate"

    # --- asking -------------------------------------------------------------------------------------------------------

    def schema_dialect(self) -> str:
        """What changes how a schema is asked for."""
        return self.dialect.schemas

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """What of a request's body asks for the schema, from the comma before it to the body's end."""
        match self.dialect.structured:
            case "native":
                return b',"format":%b}' % to_json(schema_of(answer, self.dialect))
            case "json":
                return b',"format":"json"}'
            case _:
                return b"}"

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the prompt holds a document; or an example, and ``generate`` takes one question only.
        """
        sampling = ask.sampling
        stated = {"temperature": sampling.temperature, "seed": sampling.seed, "stop": list(sampling.stop) or None}
        told = {name: value for name, value in stated.items() if value is not None}
        told["num_predict"] = sampling.max_tokens
        system = json.loads(b'"%b"' % instruction(ask.answer, self.dialect)) if self.dialect.told else ""
        fields: dict[str, Any] = {
            **(_question if self._generates else _turns)(system, ask.prompt.messages),
            "model": ask.pin.model,
            "stream": self.streaming is not None,
            **self.dialect.body,
            "options": {
                **as_object(self.dialect.body.get("options")),
                **{name: value for name, value in told.items() if name not in self.dialect.leave_out},
            },
        }
        body = to_json(fields)[:-1] + self.prepare(ask.answer)
        return HttpRequest(self.url, self.headers, body, "POST", *self._timing)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a reply says: a chat's message, or what was generated."""
        message = as_object(body.get("message"))
        text = message.get("content") if message else body.get("response")
        model = as_text(body.get("model"))
        asked, written = as_count(body.get("prompt_eval_count")), as_count(body.get("eval_count"))
        reading = Reading(
            Served(model, self.dialect.grade if model else Grade.UNKNOWN, None, request_id(reply, None)),
            text=text if isinstance(text, str) else "",
            calls=calls_of(message),
            finish=as_text(body.get("done_reason")),
            tokens=None if asked is None and written is None else Tokens(asked, written),
        )
        reading.fault = _fault(reply, body, message, reading)
        reading.answer = behind_thoughts(reading.text)
        return reading

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream says: as much of it as came."""
        found = assemble_lines(reply.body)
        reading = self.read(reply, found.body)
        reading.fault = found.fault or reading.fault
        return reading

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_error(reply, body)


def _fault(reply: HttpReply, body: dict[str, Any], message: dict[str, Any], reading: Reading) -> Fault | None:
    status = reply.status
    if status != 200 or body.get("error"):
        return fault_of_error(reply, body)
    if "message" not in body and "response" not in body:
        return Fault(_K.NOT_AN_ANSWER, "neither a chat's message nor what was generated", status)
    if body.get("done") is not True:
        return Fault(_K.MALFORMED_REPLY, "an answer that isn't done", status)
    if reading.finish == "length":
        return Fault(_K.TRUNCATED, "the answer was cut at its token cap", status)
    if message.get("tool_calls"):
        return Fault(_K.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", status)
    if not reading.text.strip():  # "load", "unload": the model was only put into memory, or out of it
        return Fault(_K.EMPTY_REPLY, "no text", status)
    if body.get("done_reason") not in ("stop", None):  # old servers state none
        return Fault(_K.AMBIGUOUS_REPLY, "no reason to finish that is known", status)
    return None


# --- messages ---------------------------------------------------------------------------------------------------------


def _turns(system: str, messages: tuple[Message, ...]) -> dict[str, Any]:
    """As ``/api/chat`` takes them."""
    made = [_turn(each) for each in messages]
    if system and made and made[0]["role"] == "system":
        made[0]["content"] = system + made[0]["content"]
    elif system:
        made.insert(0, {"role": "system", "content": system.rstrip()})
    return {"messages": made}


def _turn(message: Message) -> dict[str, Any]:
    images = _images(message)
    made = {"role": message.role, "content": message.text}
    return {**made, "images": images} if images else made


def _question(system: str, messages: tuple[Message, ...]) -> dict[str, Any]:
    """As ``/api/generate`` takes them: one system text, one question."""
    if any(each.role == "assistant" for each in messages):
        raise refuse("an example")
    told = [each.text for each in messages if each.role == "system"]
    asked = [each.text for each in messages if each.role == "user"]
    images = [image for each in messages for image in _images(each)]
    made: dict[str, Any] = {"system": system + "\n\n".join(told), "prompt": "\n\n".join(asked)}
    return {**made, "images": images} if images else made


def _images(message: Message) -> list[str]:
    if any(isinstance(each, Document) for each in message.parts):
        raise refuse("a document")
    return [base64_of(each) for each in message.parts if isinstance(each, Image)]


# --- streams ----------------------------------------------------------------------------------------------------------


def assemble_lines(stream: bytes) -> Assembled:
    """One reply of a whole stream. Never raises."""
    made = _Lines()
    fault = take_each(_each_line(stream), made.hear)
    if fault is None and not made.ended:
        fault = Fault(_K.TRUNCATED_STREAM, "the stream ended before its answer did", 200)
    elif fault is None and made.behind:
        fault = Fault(_K.AMBIGUOUS_REPLY, "lines behind the answer's end", 200)
    return Assembled(made.body(), fault)


def _each_line(stream: bytes) -> Iterator[dict[str, Any]]:
    for event in lines(stream):
        yield as_object(loads_text(event.data))


@define(eq=False)
class _Lines:
    """The answer so far."""

    _last: dict[str, Any] = field(factory=dict[str, Any])
    _text: list[str] = field(factory=list[str])
    _calls: list[object] = field(factory=list[object])
    _chats: bool = False
    ended: bool = False
    behind: bool = False

    def hear(self, line: dict[str, Any]) -> None:
        """One more line."""
        self.behind = self.behind or self.ended
        self.ended = self.ended or line.get("done") is True or bool(line.get("error"))
        self._last |= line
        message = as_object(line.get("message"))
        self._chats = self._chats or bool(message)
        text = message.get("content") if message else line.get("response")
        if isinstance(text, str):
            self._text.append(text)
        self._calls += as_array(message.get("tool_calls"))

    def body(self) -> dict[str, Any]:
        """As it would have come in one piece."""
        text = "".join(self._text)
        if self._chats:
            return {**self._last, "message": {"content": text, "tool_calls": self._calls}}
        return {**self._last, "response": text} if self._text else self._last


def codec(access: Access) -> Ollama | OpenAICompatible:
    """The codec of `access`: what `failsoft.providers` names."""
    options = Options(access.options)
    api = options.choice("api", "chat", "generate", "openai")
    if api == "openai":
        dialect = configured(OLLAMA, access, options, CHAT_FIELDS)
        options.done()
        return OpenAICompatible(access, dialect, path=f"/v1{PATH}")
    dialect = configured(OLLAMA, access, options, _OWN_FIELDS, _WAYS)
    if not isinstance(dialect.body.get("options", {}), dict):
        options.refuse("body", "options must be a table, such as { num_ctx = 8192 }")
    options.done()
    return Ollama(access, dialect, api)
