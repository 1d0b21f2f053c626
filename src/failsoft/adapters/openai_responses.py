"""OpenAI's responses, and every server that speaks them: Azure, xAI, OpenRouter, DeepSeek.

Nothing is stored (``store`` is true where it isn't said), and ``strict`` is always said. The interface takes no ``seed`` and
no ``stop``: a sampling's are left out. A reply is read by `failsoft.adapters.openai_responses_reply`; a streamed one is
put together first (`failsoft.adapters.openai_responses_stream`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_object, as_text
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.openai_dialect import TOOL, Dialect, configured, instructed, instruction, schema_of
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_messages import input_content
from failsoft.adapters.openai_reply import request_id, upstream
from failsoft.adapters.openai_responses_reply import read_response
from failsoft.adapters.openai_responses_stream import ResponsePulse, assemble_response
from failsoft.adapters.reading import Reading
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest
from failsoft.fault import Fault
from failsoft.outcome import Grade, Served

OWN_FIELDS = frozenset({"model", "input", "text", "stream", "tools", "tool_choice", "background"})
"""Fields of the body that options can't set."""

PATH = "/responses"


class OpenAIResponses(HttpCodec):
    """A codec for responses.

    Args:
        access: how to get at the server; its base URL is what comes before ``/responses``.
        dialect: what it takes, and how it's asked.
        path: of the interface, where it's another.
        named: what the request's body says in place of the pin's model; None: that.
        key_header: the header that carries the key.
        key_prefix: what stands before the key in it.

    Raises:
        ConfigurationError: an argument is unusable; never shows a key.
    """

    pulse = ResponsePulse

    def __init__(
        self,
        access: Access,
        dialect: Dialect,
        *,
        path: str = PATH,
        named: str | None = None,
        key_header: str = "authorization",
        key_prefix: str = "Bearer ",
    ) -> None:
        self.dialect = dialect
        super().__init__(access, path, key_header=key_header, key_prefix=key_prefix)
        self._named = named
        self._body = {"store": False, **dialect.body}
        self._leave_out = dialect.leave_out - OWN_FIELDS
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
        strict = self.dialect.strict is not False
        asked: dict[str, Any]
        match self.dialect.structured:
            case "native":
                told = {"type": "json_schema", "name": answer.name, "schema": schema, "strict": strict}
                asked = {"text": {"format": told}}
            case "tool":
                tool = {"type": "function", "name": TOOL, "parameters": schema, "strict": strict}
                asked = {"tools": [tool], "tool_choice": {"type": "function", "name": TOOL}}
            case "json":
                asked = {"text": {"format": {"type": "json_object"}}}
            case _:  # in the prompt only
                return b"}"
        return b"," + to_json(asked)[1:]

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the server takes none of what the prompt holds.
        """
        fields: dict[str, Any] = {
            "input": [
                {"role": each.role, "content": input_content(each, self.dialect)} for each in ask.prompt.messages
            ],
            "model": self._named or ask.pin.model,
            "stream": self.streaming is not None,
            "max_output_tokens": ask.sampling.max_tokens,
        }
        if ask.sampling.temperature is not None:
            fields["temperature"] = ask.sampling.temperature
        fields |= self._body
        for name in self._leave_out:
            fields.pop(name, None)
        body = to_json(fields)
        if self._told:
            body = instructed(body, "input", instruction(ask.answer, self.dialect))
        body = body[:-1] + self.prepare(ask.answer)
        return HttpRequest(self.url, self.headers, body, "POST", *self._timing)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a response says."""
        return read_response(reply, body, self.served_of(reply, body), self._tool)

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream says: as much of it as came."""
        found = assemble_response(reply.body)
        reading = self.read(reply, found.body)
        if found.fault is not None:
            reading.fault, reading.answer = found.fault, None
        return reading

    def served_of(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        """Who gave a reply, as stated."""
        model = as_text(body.get("model"))
        fingerprint = as_object(body.get("metadata")).get("system_fingerprint")  # xAI's place for it
        return Served(
            model,
            self.dialect.grade if model is not None else Grade.UNKNOWN,
            as_text(body.get("system_fingerprint")) or as_text(fingerprint),
            request_id(reply, body.get("id")),
            upstream(body),
        )

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_error(reply, body)


def responses_codec(access: Access, dialect: Dialect, options: Options, own: Collection[str] = ()) -> OpenAIResponses:
    """A server of this dialect.

    Args:
        access: how to get at it.
        dialect: what it takes.
        options: of which its own were read.
        own: further fields of the body that they set.
    """
    dialect = configured(dialect, access, options, OWN_FIELDS | frozenset(own))
    options.done()
    return OpenAIResponses(access, dialect)
