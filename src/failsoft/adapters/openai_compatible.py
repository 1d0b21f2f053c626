"""OpenAI's chat completions, and every server that speaks them.

`encode` sends one strict JSON schema and asks for one choice. `decode` takes a reply apart in an order that matters: an
error wherever it hides, then refusal and filter, then a cut, and only then the text, which must be one strict JSON document.
A streamed reply is put together first (`failsoft.adapters.openai_stream`). Whatever bytes come, it returns a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, final

from attrs import define, field
from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import (
    MAX_COUNT,
    MAX_TEXT,
    USER_AGENT,
    as_object,
    as_text,
    endpoint_url,
    header_problem,
    media_type,
    secrets_of,
    with_token,
)
from failsoft.adapters.json_schema import BOUNDS, strict_schema
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_reply import envelope_of, request_id, text_of, tokens_of
from failsoft.adapters.openai_stream import ChatPulse, assemble
from failsoft.adapters.streaming import Ending, Streaming
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, loads_text
from failsoft.core.effects import EVENT_STREAM, AnswerSchema, Ask, HttpReply, HttpRequest, Reply, Tokens, Unusable
from failsoft.core.judge import struck
from failsoft.credentials import Credential
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

_OWN_FIELDS = frozenset({"model", "messages", "response_format", "stream", "stream_options", "n", "tools", "functions"})
_OWN_HEADERS = frozenset(
    {"authorization", "content-type", "content-length", "host", "accept-encoding", "transfer-encoding", "connection"}
)
_WITH_USAGE = {"include_usage": True}
_INSTEAD_OF_TEXT = ("refusal", "tool_calls", "function_call")


@final
@define(eq=False)
class Said:
    """What a model said, whatever it is.

    Args:
        text: the message's text, not empty.
        served: who said it.
        tokens: usage, as stated.
    """

    text: str = field(repr=False)
    served: Served
    tokens: Tokens | None


class OpenAICompatible:
    """A codec for chat completions.

    Args:
        base_url: what comes before ``/chat/completions``; a query (an API version) is kept.
        api_key: sent as a bearer token; None sends none. Never shown.
        provider: the name that records carry.
        grade: how far the model's name in a reply can be believed.
        extra_headers: sent with each request.
        extra_body: fields of the request's body; they win over sampling.
        leave_out: fields of the body never to send: reasoning models refuse ``temperature`` and ``seed``.
        max_tokens_field: what the cap on the answer's tokens is called.
        bounds: keywords of `failsoft.adapters.json_schema.BOUNDS` that the server takes in a schema.
        streaming: have replies streamed, so; None: whole.

    Raises:
        ConfigurationError: an argument is unusable; never shows a key.
    """

    version = "2"

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        provider: str = "openai-compatible",
        grade: Grade = Grade.ECHOED,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        leave_out: Collection[str] = (),
        max_tokens_field: str = "max_tokens",
        bounds: frozenset[str] = BOUNDS,
        streaming: Streaming | None = None,
    ) -> None:
        self.provider = provider
        self._streaming = streaming
        self._timing: tuple[Any, ...] = () if streaming is None else (ChatPulse, streaming.first_ns, streaming.gap_ns)
        self._url, address = endpoint_url(base_url, "/chat/completions")
        self.endpoint: str | None = address
        self._grade = grade
        accepted = "application/json" if streaming is None else "text/event-stream, application/json"
        self._headers = _headers(api_key, extra_headers or {}, accepted)
        self.secrets = secrets_of(api_key, extra_headers or {})
        self._extra = _extra_fields(extra_body or {})
        self._leave_out = frozenset(leave_out) - (_OWN_FIELDS - {"stream_options"})
        self._max_tokens_field = max_tokens_field
        self._bounds = bounds
        self._dialect = "chat-completions " + " ".join(sorted(bounds))

    def __repr__(self) -> str:
        return f"OpenAICompatible(provider={self.provider!r}, endpoint={self.endpoint!r})"

    # --- asking -------------------------------------------------------------------------------------------------------

    def prepare(self, answer: AnswerSchema) -> bytes:
        """The schema as this dialect's bytes, made once per capability; `encode` does it where it wasn't done before.

        Raises:
            ConfigurationError: the response type can't be said in the strict dialect.
        """
        found = answer.cache.get(self._dialect)
        if found is None:
            schema = strict_schema(answer.schema, self._bounds)
            found = to_json(
                {"type": "json_schema", "json_schema": {"name": answer.name, "strict": True, "schema": schema}}
            )
            answer.cache[self._dialect] = found
        return found

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes."""
        sampling = ask.sampling
        fields: dict[str, Any] = {
            "model": ask.pin.model,
            "messages": [{"role": each.role, "content": each.content} for each in ask.prompt.messages],
            "stream": self._streaming is not None,
            self._max_tokens_field: sampling.max_tokens,
        }
        if self._streaming is not None:
            fields["stream_options"] = _WITH_USAGE
        if sampling.temperature is not None:
            fields["temperature"] = sampling.temperature
        if sampling.seed is not None:
            fields["seed"] = sampling.seed
        if sampling.stop:
            fields["stop"] = sampling.stop
        if self._extra:
            fields |= self._extra
        for name in self._leave_out:
            fields.pop(name, None)
        body = to_json(fields)
        # Spliced: a schema with hundreds of enum values isn't written anew for every call.
        response_format = ask.answer.cache.get(self._dialect) or self.prepare(ask.answer)
        body = b'%b,"response_format":%b}' % (body[:-1], response_format)
        return HttpRequest(self._url, self._headers, body, "POST", *self._timing)

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        """The request with a token that it wasn't encoded with. Raises TypeError for another kind of credential."""
        return with_token(request, credential, "authorization", "Bearer ")

    # --- reading ------------------------------------------------------------------------------------------------------

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        """The answer's JSON text and who gave it, or why there is none. Never raises."""
        said = self.read_text(reply)
        if type(said) is not Said:
            return said
        answer = said.text.strip(WHITE_SPACE)
        try:
            loads_text(answer)
        except StrictJsonError as error:
            fault = Fault(FaultKind.MALFORMED_ANSWER, f"the answer isn't one JSON document: {error}", reply.status)
            return Unusable(fault, said.served, said.tokens, answer.encode())
        return Reply(answer.encode(), said.served, said.tokens)  # encodable: the envelope was read strictly

    def read_text(self, reply: HttpReply) -> Said | Unusable:
        """What the model said, JSON or not. Never raises."""
        status = reply.status
        if status != 200 and status < 400:
            kind = FaultKind.MALFORMED_REPLY if status == 204 else FaultKind.UNEXPECTED_STATUS
            return Unusable(Fault(kind, "a success without an answer", status))
        if self._streaming is not None and status == 200 and media_type(reply.headers) == EVENT_STREAM:
            return self._read_stream(reply, self._streaming.end)
        body = envelope_of(reply)
        if type(body) is Fault:
            return Unusable(fault_of_error(reply, None) if status != 200 else body)
        return self._read_usual(reply, body) or self._read_any(reply, body)

    def _read_usual(self, reply: HttpReply, body: dict[str, Any]) -> Said | None:
        """The shape that most answers have, read on a short way; None for any other.

        It decides nothing that `_read_any` would decide otherwise: what's unusual in the least is left to that.
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
                return None
        if "error" in body or "x_groq" in body or "error" in choice or "native_finish_reason" in choice:
            return None
        for name in message:
            if name in _INSTEAD_OF_TEXT and message[name]:
                return None
        counted = type(asked) is type(written) is type(total) is int
        if not counted or not 0 <= asked <= total <= MAX_COUNT or asked + written != total:
            return None
        fingerprint = as_text(body["system_fingerprint"]) if "system_fingerprint" in body else None
        served = Served(model[:MAX_TEXT], self._grade, fingerprint, request_id(reply, number))
        return Said(text, served, Tokens(asked, written))

    def _read_stream(self, reply: HttpReply, end: Ending) -> Said | Unusable:
        found = assemble(reply.body, end)
        read = self._read_any(reply, found.body)
        if found.fault is not None:
            return Unusable(found.fault, read.served, read.tokens)
        if type(read) is Said and self.secrets:  # a key may have come in pieces
            text = struck(HttpReply(200, {}, read.text.encode()), self.secrets).body.decode()
            return Said(text, read.served, read.tokens)
        return read

    def _read_any(self, reply: HttpReply, body: dict[str, Any]) -> Said | Unusable:
        status = reply.status
        served = self._served(reply, body)
        usage = as_object(body.get("usage"))
        tokens = tokens_of(usage) if usage else None
        if status != 200 or body.get("error"):
            return Unusable(fault_of_error(reply, body), served, tokens)
        if body.get("object") not in ("chat.completion", None, ""):
            fault = Fault(FaultKind.MALFORMED_REPLY, "another kind of object than a chat completion", status)
            return Unusable(fault, served, tokens)
        text = text_of(reply, body)
        if isinstance(text, Fault):
            return Unusable(text, served, tokens)
        return Said(text, served, tokens)

    def _served(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        model = as_text(body.get("model"))
        return Served(
            model,
            self._grade if model is not None else Grade.UNKNOWN,
            as_text(body.get("system_fingerprint")),
            request_id(reply, as_object(body.get("x_groq")).get("id") or body.get("id")),
        )


def openai_compatible(base_url: str, api_key: str | None = None, **options: Any) -> OpenAICompatible:
    """Any server of this dialect: its model's name is the operator's label, so it counts as echoed unless told.

    Args:
        base_url: what comes before ``/chat/completions``.
        api_key: None sends none.
        options: as for `OpenAICompatible`.
    """
    return OpenAICompatible(base_url, api_key, **options)


def codec(access: Access) -> OpenAICompatible:
    """The codec of `access`: what `failsoft.providers` names."""
    Options(access.options).done()
    return openai_compatible(access.base_url, access.api_key, extra_headers=access.headers, streaming=access.streaming)


def _headers(api_key: str | None, extra: Mapping[str, str], accepted: str) -> tuple[tuple[str, str], ...]:
    problems = [problem for name, value in extra.items() if (problem := header_problem(name, value))]
    problems.extend(f"extra_headers: {name} is set by the library" for name in extra if name.lower() in _OWN_HEADERS)
    if api_key is not None and (not api_key or header_problem("api_key", api_key)):
        problems.append("api_key: must be printable ASCII without white space around it, not empty")
    if problems:
        raise ConfigurationError(problems)
    own = {
        "content-type": "application/json",
        "accept": accepted,
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
        **{name.lower(): value for name, value in extra.items()},
    }
    if api_key is not None:
        own["authorization"] = f"Bearer {api_key}"
    return tuple(own.items())


def _extra_fields(extra: Mapping[str, Any]) -> dict[str, Any]:
    problems = [f"extra_body: {name} is set by the library" for name in extra if name in _OWN_FIELDS]
    if problems:
        raise ConfigurationError(problems)
    return dict(extra)
