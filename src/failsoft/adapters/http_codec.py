"""What the codecs of HTTP providers have in common: headers checked once, replies told apart before their dialect is read.

A dialect subclasses `HttpCodec` and says how the schema is asked for (`schema_bytes`), what a request's body is (`encode`),
what a reply's JSON means (`read`, `fault_of`) and, where replies are streamed, what a stream means (`read_stream`). All is
pure. `parse` and `decode` never raise, whatever bytes come.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from failsoft.adapters.access import Access
from failsoft.adapters.base import USER_AGENT, endpoint_url, header_problem, secrets_of, with_token
from failsoft.adapters.openai_reply import envelope_of
from failsoft.adapters.reading import Reading, ToolCall, answer_of
from failsoft.adapters.stream_start import stream_in
from failsoft.core.effects import EVENT_STREAM, AnswerSchema, Ask, HttpReply, HttpRequest, Pulse, Reply, Unusable
from failsoft.core.judge import struck
from failsoft.credentials import Credential, Token
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

_OWN_HEADERS = frozenset(
    {"content-type", "content-length", "host", "accept", "accept-encoding", "transfer-encoding", "connection"}
)


class HttpCodec(ABC):
    """A provider's dialect, at one place, with one key.

    Args:
        access: how to get at the provider.
        path: of the interface, appended to the base URL; a dialect that puts the model into its URL calls `url_of` itself.
        own: headers of the dialect, in lower case; the configuration may not set them again.
        key_header: the header that carries the key.
        key_prefix: what stands before the key in it.

    Raises:
        ConfigurationError: what `access` holds is unusable; never shows a key.
    """

    version = "2"
    """Changes whenever the same ask is encoded, or the same reply read, in another way."""

    takes: tuple[type[Credential], ...] = (Token,)
    """The kinds of credential that `authorize` can put into a request."""

    stream_type = EVENT_STREAM
    """The media type of its streamed replies."""

    pulse: type[Pulse] | None = None
    """What listens to a streamed reply; None: its parts come whenever they like."""

    def __init__(
        self,
        access: Access,
        path: str,
        *,
        own: Mapping[str, str] | None = None,
        key_header: str = "authorization",
        key_prefix: str = "Bearer ",
    ) -> None:
        self.provider = access.provider
        self.streaming = access.streaming
        self._timing: tuple[Any, ...] = ()  # the last arguments of each `HttpRequest`
        if self.streaming is not None:
            self._timing = (self.pulse, self.streaming.first_ns, self.streaming.gap_ns, self.stream_type)
        self._access = access
        self._key_header, self._key_prefix = key_header, key_prefix
        self.url, address = endpoint_url(access.base_url, path)
        self.endpoint: str | None = address
        self.headers = self._made_headers(access, own or {}, key_header, key_prefix)
        self.secrets = (*secrets_of(access.api_key, access.headers), *access.secrets)
        self._dialect = f"{type(self).__module__}.{type(self).__qualname__}/{self.version}/{self.schema_dialect()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(provider={self.provider!r}, endpoint={self.endpoint!r})"

    def _made_headers(
        self, access: Access, own: Mapping[str, str], key_header: str, key_prefix: str
    ) -> tuple[tuple[str, str], ...]:
        key, extra = access.api_key, access.headers
        problems = [problem for name, value in extra.items() if (problem := header_problem(name, value))]
        taken = {*_OWN_HEADERS, *own, key_header}
        problems += [f"extra_headers: {name} is set by the library" for name in extra if name.lower() in taken]
        if key is not None and (not key or header_problem("api_key", key)):
            problems.append("api_key: must be printable ASCII without white space around it, not empty")
        if problems:
            raise ConfigurationError(problems)
        streamed = "" if self.streaming is None else f"{self.stream_type}, "
        made = {
            "content-type": "application/json",
            "accept": f"{streamed}application/json",
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
            **own,
            **{name.lower(): value for name, value in extra.items()},
        }
        if key is not None:
            made[key_header] = f"{key_prefix}{key}"
        return tuple(made.items())

    def url_of(self, path: str) -> str:
        """The URL of another path of the same place."""
        return endpoint_url(self._access.base_url, path)[0]

    # --- asking -------------------------------------------------------------------------------------------------------

    def schema_dialect(self) -> str:
        """What of this codec's options changes how a schema is asked for: schemas are kept by it."""
        return ""

    @abstractmethod
    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The schema in this dialect's bytes, to be spliced into each request.

        Raises:
            ConfigurationError: the response type can't be said in this dialect.
        """

    def prepare(self, answer: AnswerSchema) -> bytes:
        """The schema in this dialect's bytes, made once for each capability; `encode` does it where it wasn't done before.

        Raises:
            ConfigurationError: the response type can't be said in this dialect.
        """
        found = answer.cache.get(self._dialect)
        if found is None:
            found = answer.cache[self._dialect] = self.schema_bytes(answer)
        return found

    @abstractmethod
    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: this dialect, or this model, can't be shown what the prompt holds.
        """

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        """The request with a credential that it wasn't encoded with.

        Raises:
            TypeError: this provider takes another kind of credential.
        """
        return with_token(request, credential, self._key_header, self._key_prefix)

    def auth_problem(self) -> str | None:
        """Why credentials that come with each attempt can't be put into its requests; None if they can."""
        return None

    # --- reading ------------------------------------------------------------------------------------------------------

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        """The answer's JSON text and who gave it, or why there is none. Never raises."""
        return answer_of(self.parse(reply), reply.status)

    def parse(self, reply: HttpReply) -> Reading:
        """What the reply says, answer or not. Never raises."""
        status = reply.status
        if status != 200 and status < 400:
            kind = FaultKind.MALFORMED_REPLY if status == 204 else FaultKind.UNEXPECTED_STATUS
            return Reading(Served(), Fault(kind, "a success without an answer", status))
        if status == 200 and self.streaming is not None:
            stream = stream_in(reply, self.stream_type)
            if stream is not None:
                return self._struck(self.read_stream(stream))
        body = envelope_of(reply, streams=self.streaming is not None)
        if type(body) is Fault:
            return Reading(Served(), body if status == 200 else self.fault_of(reply, {}))
        return self.read(reply, body)

    @abstractmethod
    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a reply's JSON object means; it isn't empty, its status is 200 or an error's. Must not raise."""

    @abstractmethod
    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means; `body` is empty where it's no JSON object. Must not raise."""

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream means. Must not raise."""
        return Reading(Served(), Fault(FaultKind.MALFORMED_REPLY, "a stream, which this dialect has none of", 200))

    def _struck(self, reading: Reading) -> Reading:
        """A key that came in pieces is whole again in what they were put together to."""
        if self.secrets:
            reading.text = self._without_keys(reading.text)
            if reading.answer is not None:
                reading.answer = self._without_keys(reading.answer)
            reading.calls = tuple(
                ToolCall(each.name, self._without_keys(each.arguments), each.number) for each in reading.calls
            )
        return reading

    def _without_keys(self, text: str) -> str:
        return struck(HttpReply(200, {}, text.encode()), self.secrets).body.decode()
