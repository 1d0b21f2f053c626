"""Anthropic's Messages API.

The API's version is part of what is pinned: another one changes what requests may hold and what replies mean, so it stands
in the codec's own version, which records carry. The served name is the provider's statement, but for an alias that comes
back as it was sent. Source: Anthropic's API reference, November 2026; 205 recorded exchanges.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_text
from failsoft.adapters.claude_body import TOOL, ClaudeBody
from failsoft.adapters.claude_errors import fault_of_error
from failsoft.adapters.claude_names import SAMPLING_VERSION
from failsoft.adapters.claude_reply import read_message
from failsoft.adapters.claude_stream import MessagePulse, assemble, server_sent
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.name_class import NameClass, name_class
from failsoft.adapters.reading import Reading
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

_DATE: Final = re.compile(r"20\d\d-[01]\d-[0-3]\d")
_BETA: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


class Messages(HttpCodec):
    """Claude's messages, at whatever place.

    Args:
        access: how to get at it.
        path: of the interface.
        body: makes the bodies.
        first: their fields that depend on the place.
        facts: as for `HttpCodec`.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    pulse = MessagePulse

    def __init__(self, access: Access, path: str, body: ClaudeBody, first: Mapping[str, Any], **facts: Any) -> None:
        self._body, self._first = body, first
        self._model = access.model
        super().__init__(access, path, **facts)

    @abstractmethod
    def place_of(self, model: str) -> tuple[str, Mapping[str, Any]]:
        """Where a model is asked, and the first fields of the body."""

    def schema_dialect(self) -> str:
        """How it's asked for, and what else stands in the same field."""
        return self._body.dialect

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The members of the body that ask for the schema.

        Raises:
            ConfigurationError: the response type can't be said in Claude's dialect.
        """
        return self._body.schema_bytes(answer)

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: Claude can't be shown what the prompt holds.
        """
        url, first = self.place_of(ask.pin.model)
        body = self._body.encode(ask, self.prepare(ask.answer), first)
        return HttpRequest(url, self.headers, body, "POST", *self._timing)

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """A message, an error, or something that is no answer."""
        served = self._served(reply, body)
        if reply.status != 200 or body.get("type") == "error" or "error" in body:
            return Reading(served, self.fault_of(reply, body))
        if body.get("type") == "completion" or isinstance(body.get("completion"), str):  # before there were messages
            text = {"type": "text", "text": body.get("completion")}
            return read_message({**body, "content": [text]}, served, forced=False)
        if body.get("type") != "message":
            return Reading(served, Fault(FaultKind.NOT_AN_ANSWER, "another kind of object than a message", 200))
        return read_message(body, served, forced=self._body.structured == TOOL)

    def read_stream(self, reply: HttpReply) -> Reading:
        """The message that the events are of."""
        found = assemble(server_sent(reply.body))
        served = self._served(reply, found.body)
        reading = read_message(found.body, served, forced=self._body.structured == TOOL)
        reading.fault = found.fault or reading.fault
        if found.error is not None:
            reading.fault = fault_of_error(reply, found.error)
        return reading

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_error(reply, body)

    def _served(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        model = as_text(body.get("model"))
        grade = Grade.UNKNOWN if model is None else Grade.PROVIDER
        if model is not None and model == self._model and name_class("anthropic", model) is NameClass.FLOATING:
            grade = Grade.ECHOED
        number = reply.headers.get("request-id") or body.get("request_id") or body.get("id")
        return Served(model, grade, None, as_text(number))


class Anthropic(Messages):
    """A codec for the Messages API. Options:

    - ``structured``: how the schema is asked for: ``native`` (from Claude 4.5 on), ``tool`` (before), ``prompt``;
    - ``version``: of the API, a date; default 2023-06-01;
    - ``beta``: names for the header ``anthropic-beta``;
    - ``leave_out``: fields never to send; ``body``: further fields.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "messages")
        self._api_version = options.text("version", SAMPLING_VERSION)
        if _DATE.fullmatch(self._api_version) is None:
            options.refuse("version", f'must be a date such as "{SAMPLING_VERSION}"')
        beta = options.texts("beta")
        if not all(map(_BETA.fullmatch, beta)):
            options.refuse("beta", "must be names of letters, digits, dots and hyphens")
        body = ClaudeBody(options, access.model, self._api_version)
        options.done()
        first: dict[str, Any] = {} if access.streaming is None else {"stream": True}
        own = {"anthropic-version": self._api_version} | ({"anthropic-beta": ",".join(beta)} if beta else {})
        old = self._api_version <= SAMPLING_VERSION  # later ones' keys go out as bearer tokens (SDK 2.14)
        header, prefix = ("x-api-key", "") if old else ("authorization", "Bearer ")
        super().__init__(access, "/messages", body, first, own=own, key_header=header, key_prefix=prefix)
        self.version = f"{type(self).version}+{self._api_version}"

    def place_of(self, model: str) -> tuple[str, Mapping[str, Any]]:
        """Where a model is asked, and what of the body says so: the body names it."""
        return self.url, {"model": model, **self._first}


def codec(access: Access) -> Anthropic:
    """The codec of `access`: what `failsoft.providers` names."""
    return Anthropic(access)
