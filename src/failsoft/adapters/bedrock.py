"""AWS Bedrock: Converse, one shape for the models of all vendors, with Bedrock's own structured output.

Its replies name no model: the pin's name in the request is all there is, and the grade is unknown, unless the option
``body`` asks for more (``additionalModelResponseFieldPaths``) or a router says whom it chose. Source: the API reference of
Bedrock Runtime, November 2026; 121 recorded exchanges.
"""

from __future__ import annotations

from typing import Any, Final

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_object, json_text
from failsoft.adapters.bedrock_body import converse_messages, inference
from failsoft.adapters.bedrock_codec import BedrockCodec
from failsoft.adapters.bedrock_errors import fault_of_error
from failsoft.adapters.bedrock_invoke import BedrockInvoke
from failsoft.adapters.bedrock_reply import read_converse
from failsoft.adapters.bedrock_stream import ConverseStream, ErrorFrame, events_of
from failsoft.adapters.claude_body import NATIVE, PROMPT, TOOL, claude_schema, system_texts
from failsoft.adapters.claude_names import is_claude, takes_sampling
from failsoft.adapters.json_schema import strict_schema
from failsoft.adapters.reading import Reading
from failsoft.adapters.request_parts import (
    RequestOptions,
    members_of,
    schema_in_words,
    spliced,
    tool_description,
    tool_name,
)
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

_OWN_FIELDS: Final = frozenset({"modelId", "messages", "system", "outputConfig", "toolConfig"})


class BedrockConverse(BedrockCodec):
    """A codec for Converse. Options, besides `BedrockCodec`'s:

    - ``structured``: how the schema is asked for: ``native``, ``tool`` (Claude 3 and Nova), ``prompt``;
    - ``leave_out``: fields never to send, of the body or its ``inferenceConfig``; ``body``: further fields.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "converse", "invoke")
        self._wishes = RequestOptions.read(options, _OWN_FIELDS, NATIVE, TOOL, PROMPT)
        self._structured = self._wishes.structured
        given = self._wishes.body.get("inferenceConfig", {})
        if not isinstance(given, dict):
            options.refuse("body", "inferenceConfig must be a table")
        self._inference = as_object(given)
        self._samples = not is_claude(access.model) or takes_sampling(access.model)
        super().__init__(access, options, "converse", "converse-stream")

    def schema_dialect(self) -> str:
        """How it's asked for."""
        return self._structured

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The members of the body that ask for the schema; or the words that do.

        Raises:
            ConfigurationError: the response type can't be said so.
        """
        if self._structured == PROMPT:
            return schema_in_words(answer)
        if self._structured == NATIVE:
            described = {"name": answer.name, "schema": json_text(claude_schema(answer.schema))}  # a text in the JSON
            form = {"type": "json_schema", "structure": {"jsonSchema": described}}
            return members_of(outputConfig={"textFormat": form})
        name = tool_name(answer)
        tool = {"name": name, "description": tool_description(answer)}
        tools = [{"toolSpec": {**tool, "inputSchema": {"json": strict_schema(answer.schema)}}}]
        return members_of(toolConfig={"tools": tools, "toolChoice": {"tool": {"name": name}}})

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the interface can't be shown what the prompt holds.
        """
        schema = self.prepare(ask.answer)
        told = [schema.decode()] if self._structured == PROMPT else []
        sampling = {**inference(ask.sampling, samples=self._samples), **self._inference}
        left_out = self._wishes.leave_out
        fields = self._wishes.applied({"messages": converse_messages(ask.prompt.messages)})
        fields["inferenceConfig"] = {name: each for name, each in sampling.items() if name not in left_out}
        system = [*system_texts(ask.prompt.messages), *told]
        if system:
            fields["system"] = [{"text": each} for each in system]
        return self.request(ask.pin.model, spliced(fields, b"" if told else schema))

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """An answer, an error, or something that is no answer."""
        served = self._who(reply, body)
        if reply.status != 200 or "__type" in body:
            return Reading(served, fault_of_error(reply, body))
        if "output" not in body:
            return Reading(served, Fault(FaultKind.NOT_AN_ANSWER, "another kind of object than Converse's", 200))
        return read_converse(body, served, forced=self._structured == TOOL)

    def read_stream(self, reply: HttpReply) -> Reading:
        """The answer that the events are of."""
        answer = ConverseStream()
        try:
            fault = answer.take_all(events_of(reply.body))
        except ErrorFrame as error:
            fault = fault_of_error(reply, error.body, error.name)
        body = answer.body()
        reading = read_converse(body, self._who(reply, body), forced=self._structured == TOOL)
        reading.fault = fault or reading.fault
        return reading

    def _who(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        routed = as_object(as_object(body.get("trace")).get("promptRouter")).get("invokedModelId")
        return self.served(reply, routed or as_object(body.get("additionalModelResponseFields")).get("model"))


def codec(access: Access) -> BedrockCodec:
    """The codec of `access`: what `failsoft.providers` names."""
    return BedrockInvoke(access) if access.options.get("api") == "invoke" else BedrockConverse(access)
