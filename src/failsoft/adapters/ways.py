"""Codecs that can ask for a schema in several ways: the option ``structured`` chooses one, and each has bytes of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.adapters.access import Access, Options
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.request_parts import RequestOptions, sampling_fields, spliced, with_schema_in_words
from failsoft.core.effects import AnswerSchema, Ask, HttpRequest
from failsoft.prompt import Content, Message

Way = Callable[[AnswerSchema], bytes]


class ManyWays(HttpCodec):
    """A codec whose subclass has set `_request` before it calls this constructor."""

    _request: RequestOptions

    @abstractmethod
    def ways(self) -> Mapping[str, Way]:
        """Each way to ask for a schema, by the word that chooses it: members of the body, or a text."""

    def schema_dialect(self) -> str:
        """Each way has bytes of its own."""
        return self._request.structured

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """Members of the body, or a text, as ``structured`` is.

        Raises:
            ConfigurationError: the response type can't be said in this dialect.
        """
        return self.ways()[self._request.structured](answer)

    def asked(self, ask: Ask) -> tuple[tuple[Message, ...], bytes]:
        """The messages to send, with the schema in words among them where nothing else tells it; and its bytes."""
        schema = self.prepare(ask.answer)
        if self._request.structured in ("json", "prompt"):
            return with_schema_in_words(ask.prompt, schema), b""
        return ask.prompt.messages, schema


class ChatWays(ManyWays):
    """One whose requests are a list of messages, each with a role and a content: a text, or a list of parts.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    path: str
    """Of the interface."""
    own: frozenset[str]
    """The fields of a body that the codec writes itself."""
    json_object = b'"response_format":{"type":"json_object"}'
    """Members of the body that ask for JSON without a schema."""
    names: Mapping[str, str]
    """What the dialect calls ``seed``, ``max_tokens`` and ``stop``."""

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "chat")
        self._request = RequestOptions.read(options, self.own, *self.ways())
        options.done()
        super().__init__(access, self.path)

    @abstractmethod
    def part_of(self, part: Content) -> dict[str, Any]:
        """A part of a content in this dialect.

        Raises:
            CannotAsk: it isn't taken.
        """

    def _content_of(self, content: str | tuple[Content, ...]) -> str | list[dict[str, Any]]:
        return content if isinstance(content, str) else [self.part_of(each) for each in content]

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the prompt holds what isn't taken.
        """
        messages, schema = self.asked(ask)
        if self._request.structured == "json":
            schema = self.json_object
        fields: dict[str, Any] = {
            "model": ask.pin.model,
            "messages": [{"role": each.role, "content": self._content_of(each.content)} for each in messages],
            "stream": self.streaming is not None,
            **sampling_fields(ask.sampling, **self.names),
        }
        body = spliced(self._request.applied(fields), schema)
        return HttpRequest(self.url, self.headers, body, "POST", *self._timing)
