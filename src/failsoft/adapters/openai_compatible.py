"""OpenAI's chat completions, and every server that speaks them.

`encode` sends one strict JSON schema and asks for one choice. A reply is taken apart in an order that matters
(`failsoft.adapters.openai_reply`); a streamed one is put together first (`failsoft.adapters.openai_stream`). Whatever bytes
come, it returns a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import MAX_COUNT, MAX_TEXT, as_object, as_text
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.openai_dialect import TOOL, Dialect, configured, instructed, instruction, schema_of, strictly
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_messages import chat_content
from failsoft.adapters.openai_reply import read_completion, request_id, upstream
from failsoft.adapters.openai_responses import OpenAIResponses, responses_codec
from failsoft.adapters.openai_stream import ChatPulse, assemble
from failsoft.adapters.reading import Reading
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest, Tokens
from failsoft.fault import Fault
from failsoft.outcome import Grade, Served

OWN_FIELDS = frozenset(
    {
        *("model", "messages", "response_format", "stream", "stream_options", "n"),
        *("tools", "tool_choice", "functions", "function_call"),
    }
)
"""Fields of the body that options can't set."""

PATH = "/chat/completions"

_WITH_USAGE = {"include_usage": True}
_NOT_USUAL = ("error", "x_groq", "provider")
_INSTEAD_OF_TEXT = ("refusal", "tool_calls", "function_call")
_UPSTREAM = "x-inference-provider"  # Hugging Face's router


class OpenAICompatible(HttpCodec):
    """A codec for chat completions.

    Args:
        access: how to get at the server; its base URL is what comes before ``/chat/completions``.
        dialect: what it takes, and how it's asked.
        path: of the interface, where it's another.
        named: what the request's body says in place of the pin's model; None: that.
        key_header: the header that carries the key.
        key_prefix: what stands before the key in it.

    Raises:
        ConfigurationError: an argument is unusable; never shows a key.
    """

    version = "4"
    pulse = ChatPulse

    def __init__(
        self,
        access: Access,
        dialect: Dialect | None = None,
        *,
        path: str = PATH,
        named: str | None = None,
        key_header: str = "authorization",
        key_prefix: str = "Bearer ",
    ) -> None:
        self.dialect = dialect = dialect or Dialect()
        super().__init__(access, path, key_header=key_header, key_prefix=key_prefix)
        self._named = named
        self._grade = dialect.grade
        self._cap = dialect.cap
        self._body = dict(dialect.body)
        self._leave_out = dialect.leave_out - (OWN_FIELDS - {"stream_options"})
        self._told = dialect.told
        self._tool = TOOL if dialect.structured == "tool" else None

    # --- asking -------------------------------------------------------------------------------------------------------

    def schema_dialect(self) -> str:
        """What changes how a schema is asked for."""
        return self.dialect.schemas

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """What of a request's body asks for the schema, from the comma before it to the body's end.

        Raises:
            ConfigurationError: the response type can't be said in the strict dialect.
        """
        schema = schema_of(answer, self.dialect)
        asked: dict[str, Any]
        match self.dialect.structured:
            case "native" if self.dialect.flat:
                asked = {"response_format": {"type": "json_schema", "schema": schema}}
            case "native":
                told = strictly(self.dialect, {"name": answer.name, "schema": schema})
                asked = {"response_format": {"type": "json_schema", "json_schema": told}}
            case "tool":
                function = strictly(self.dialect, {"name": TOOL, "parameters": schema})
                choice = {"type": "function", "function": {"name": TOOL}}
                asked = {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
            case "json":
                asked = {"response_format": {"type": "json_object"}}
            case _:  # in the prompt only
                return b"}"
        return b"," + to_json(asked)[1:]

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the server takes none of what the prompt holds.
        """
        sampling = ask.sampling
        fields: dict[str, Any] = {
            "messages": [
                {
                    "role": each.role,
                    "content": each.content if each.content.__class__ is str else chat_content(each, self.dialect),
                }
                for each in ask.prompt.messages
            ],
            "model": self._named or ask.pin.model,
            "stream": self.streaming is not None,
            self._cap: sampling.max_tokens,
        }
        if self.streaming is not None:
            fields["stream_options"] = _WITH_USAGE
        if sampling.temperature is not None:
            fields["temperature"] = sampling.temperature
        if sampling.seed is not None:
            fields["seed"] = sampling.seed
        if sampling.stop:
            fields["stop"] = sampling.stop
        if self._body:
            fields |= self._body
        for name in self._leave_out:
            fields.pop(name, None)
        body = to_json(fields)
        if self._told:
            body = instructed(body, "messages", instruction(ask.answer, self.dialect))
        # Spliced: a schema with hundreds of enum values isn't written anew for every call.
        body = body[:-1] + (ask.answer.cache.get(self._dialect) or self.prepare(ask.answer))
        return HttpRequest(self.url, self.headers, body, "POST", *self._timing)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a completion says.

        The shape that most answers have is read on a short way. That decides nothing that `read_any` would decide otherwise:
        what's unusual in the least is left to it.
        """
        match body:
            case {
                "object": "chat.completion",
                "id": str(number),
                "model": str(model),
                "choices": [{"message": {"content": str(text)} as message, "finish_reason": "stop"} as choice],
                "usage": {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": total},
            } if reply.status == 200 and model and text[:1] == "{":
                pass
            case _:
                return self.read_any(reply, body)
        for name in _NOT_USUAL:
            if name in body:
                return self.read_any(reply, body)
        if "error" in choice or "native_finish_reason" in choice or _UPSTREAM in reply.headers:
            return self.read_any(reply, body)
        for name in message:
            if name in _INSTEAD_OF_TEXT and message[name]:
                return self.read_any(reply, body)
        counted = type(asked) is type(written) is type(total) is int
        if not counted or not 0 <= asked <= total <= MAX_COUNT or asked + written != total:
            return self.read_any(reply, body)
        fingerprint = as_text(body["system_fingerprint"]) if "system_fingerprint" in body else None
        served = Served(model[:MAX_TEXT], self._grade, fingerprint, request_id(reply, number))
        return Reading(served, None, text, (), "stop", Tokens(asked, written))

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream says: as much of it as came."""
        assert self.streaming is not None
        found = assemble(reply.body, self.streaming.end)
        reading = self.read_any(reply, found.body)
        if found.fault is not None:
            reading.fault, reading.answer = found.fault, None
        return reading

    def read_any(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a completion of any shape says."""
        return read_completion(reply, body, self.served_of(reply, body), self._tool)

    def served_of(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        """Who gave a reply, as stated."""
        model = as_text(body.get("model"))
        return Served(
            model,
            self._grade if model is not None else Grade.UNKNOWN,
            as_text(body.get("system_fingerprint")),
            request_id(reply, as_object(body.get("x_groq")).get("id") or body.get("id")),
            upstream(body) or as_text(reply.headers.get(_UPSTREAM)),
        )

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_error(reply, body)


def openai_compatible(
    base_url: str,
    api_key: str | None = None,
    *,
    model: str = "",
    extra_headers: Mapping[str, str] | None = None,
    streaming: Streaming | None = None,
    leave_out: Collection[str] = (),
    **facts: Any,
) -> OpenAICompatible:
    """Any server of this dialect: its model's name is the operator's label, so it counts as echoed unless told.

    Args:
        base_url: what comes before ``/chat/completions``; a query (an API version) is kept.
        api_key: sent as a bearer token; None sends none. Never shown.
        model: that will be asked for.
        extra_headers: sent with each request.
        streaming: have replies streamed, so; None: whole.
        leave_out: fields of the body never to send.
        facts: as for `failsoft.adapters.openai_dialect.Dialect`.
    """
    access = Access(model, "openai-compatible", base_url, api_key, extra_headers or {}, streaming)
    return OpenAICompatible(access, Dialect(leave_out=frozenset(leave_out), **facts))


def chat_codec(
    access: Access, dialect: Dialect, options: Options | None = None, own: Collection[str] = ()
) -> OpenAICompatible:
    """A server of this dialect.

    Args:
        access: how to get at it.
        dialect: what it takes.
        options: of which its own were read; None: it has none of its own.
        own: further fields of the body that they set.
    """
    options = options or Options(access.options)
    dialect = configured(dialect, access, options, OWN_FIELDS | frozenset(own))
    options.done()
    return OpenAICompatible(access, dialect)


def either(access: Access, chat: Dialect, responses: Dialect) -> OpenAICompatible | OpenAIResponses:
    """Chat completions or responses, as option ``api`` says."""
    options = Options(access.options)
    if options.choice("api", "chat", "responses") == "responses":
        return responses_codec(access, responses, options)
    return chat_codec(access, chat, options)


def codec(access: Access) -> OpenAICompatible | OpenAIResponses:
    """The codec of `access`: what `failsoft.providers` names."""
    return either(access, Dialect(), Dialect())
