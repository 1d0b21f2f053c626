"""Google's Gemini by generateContent: at AI Studio with a key, on Vertex AI with a bearer token.

The model stands in the path. The schema is asked for as JSON schema; ``structured`` says otherwise:

    native   ``responseJsonSchema``: from 2.5 on
    schema   ``responseSchema``, the older subset of OpenAPI
    tool     one function, which the model must call
    json     JSON of any shape, the schema told in words
    prompt   the schema told in words, nothing else

At AI Studio requests say ``store: false``: projects made since 2026-10-26 keep prompts and answers for 55 days otherwise
(https://ai.google.dev/gemini-api/docs/logs-datasets). Vertex knows no such field. Safety settings are the provider's own
unless ``body`` says otherwise. Claude on Vertex speaks Anthropic's dialect (`failsoft.adapters.vertex_claude`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from attrs import evolve

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_array, as_object
from failsoft.adapters.event_reading import object_of, take_each
from failsoft.adapters.event_stream import events
from failsoft.adapters.gemini_errors import fault_of_google
from failsoft.adapters.gemini_reply import Chunks, GeminiPulse, read_reply, served_of
from failsoft.adapters.google_schema import json_schema, openapi_schema
from failsoft.adapters.reading import Reading
from failsoft.adapters.request_parts import (
    RequestOptions,
    base64_of,
    cannot_show,
    members_of,
    sampling_fields,
    schema_in_words,
    spliced,
    tool_description,
    tool_name,
)
from failsoft.adapters.strict_json import WHITE_SPACE, decoded, loads_text
from failsoft.adapters.vertex_claude import VertexClaude
from failsoft.adapters.ways import ManyWays, Way
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest
from failsoft.fault import Fault
from failsoft.prompt import Content, Image, Message

# Google takes each name in both spellings: an own one mustn't come in by the other.
_OWN = frozenset(
    {
        *("contents", "systemInstruction", "tools", "toolConfig", "model"),
        *("system_instruction", "tool_config", "generation_config"),
    }
)
_OWN_IN_CONFIG = frozenset(
    {
        *("responseMimeType", "responseJsonSchema", "responseSchema", "candidateCount"),
        *("response_mime_type", "response_json_schema", "response_schema", "candidate_count"),
    }
)
_MODELS, _TUNED = "models", "tunedModels/"
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp"})


class Gemini(ManyWays):
    """The codec of one model.

    Args:
        access: how to get at it; ``access.model`` may begin with ``models/``, at AI Studio with ``tunedModels/``.
        place: of models in the URL.
        key_header: the header that carries the key.
        key_prefix: what stands before the key in it.
        own: fields of the body that this place takes besides.
        others: interfaces of this place that other codecs speak.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    pulse = GeminiPulse

    def __init__(
        self,
        access: Access,
        place: str,
        *,
        key_header: str,
        key_prefix: str = "",
        own: dict[str, Any] | None = None,
        others: tuple[str, ...] = (),
    ) -> None:
        options = Options(access.options)
        options.choice("api", "generate-content", *others)
        request = RequestOptions.read(options, _OWN, *_SCHEMAS)
        self._request, self._config = _with_config(options, request)
        options.done()
        self._place, self._own = place, own or {}
        streamed = access.streaming
        self._method, self._query = (
            ("generateContent", "") if streamed is None else ("streamGenerateContent", "alt=sse")
        )
        super().__init__(access, self._path_of(access.model), key_header=key_header, key_prefix=key_prefix)
        self._url = self._with_query(self.url)

    def _path_of(self, model: str) -> str:
        name = model.removeprefix(f"{self._place}/").removeprefix("models/")
        tuned = self._place == _MODELS and name.startswith(_TUNED)
        place, name = (_TUNED[:-1], name.removeprefix(_TUNED)) if tuned else (self._place, name)
        return f"/{place}/{quote(name, safe='@')}:{self._method}"

    def _with_query(self, url: str) -> str:
        return f"{url}{'&' if '?' in url else '?'}{self._query}" if self._query else url

    # --- asking -------------------------------------------------------------------------------------------------------

    def ways(self) -> Mapping[str, Way]:
        """How a schema can be asked for here: by members of ``generationConfig``, of the body itself, or by a text."""
        return _SCHEMAS

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes.

        Raises:
            CannotAsk: the prompt holds a picture or a document that isn't taken.
        """
        way = self._request.structured
        messages, schema = self.asked(ask)
        fields: dict[str, Any] = {
            "contents": [_content(each) for each in messages if each.role != "system"],
            **self._own,
        }
        said = [part for each in messages if each.role == "system" for part in _instructions(each)]
        if said:
            fields["systemInstruction"] = {"parts": said}
        config = sampling_fields(ask.sampling, seed="seed", max_tokens="maxOutputTokens", stop="stopSequences")
        config = self._config.applied(config)
        if way == "json":
            config["responseMimeType"] = "application/json"
        members = schema if way in ("native", "schema") else b""
        last = b'"generationConfig":' + spliced(config, members)
        if way == "tool":
            last += b"," + schema
        model = ask.pin.model
        url = self._url if model == self._access.model else self._with_query(self.url_of(self._path_of(model)))
        return HttpRequest(url, self.headers, spliced(self._request.applied(fields), last), "POST", *self._timing)

    # --- reading ------------------------------------------------------------------------------------------------------

    def parse(self, reply: HttpReply) -> Reading:
        """What the reply says; also where it's a list of chunks, as a stream comes to who asked for no events."""
        if reply.status == 200 and reply.body.lstrip(WHITE_SPACE.encode())[:1] == b"[":
            return self._struck(self._read_list(reply))
        return super().parse(reply)

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a reply's JSON object means."""
        if reply.status != 200 or body.get("error"):
            return Reading(served_of(body), self.fault_of(reply, body))
        return read_reply(body, forced=self._request.structured == "tool")

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_google(reply, body)

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream means."""
        chunks = Chunks()
        fault = take_each(events(reply.body), lambda event: chunks.take(object_of(event)))
        return self._read_chunks(reply, chunks, fault)

    def _read_list(self, reply: HttpReply) -> Reading:
        chunks = Chunks()
        return self._read_chunks(reply, chunks, take_each(_listed(reply.body), chunks.take))

    def _read_chunks(self, reply: HttpReply, chunks: Chunks, fault: Fault | None) -> Reading:
        reading = read_reply(chunks.body(), forced=self._request.structured == "tool")
        if chunks.error:
            fault = self.fault_of(reply, chunks.error)
        reading.fault = fault or chunks.ended() or reading.fault
        return reading


def gemini(access: Access) -> Gemini:
    """Gemini at AI Studio: what `failsoft.providers` names."""
    return Gemini(access, _MODELS, key_header="x-goog-api-key", own={"store": False})


def vertex(access: Access) -> Gemini | VertexClaude:
    """Gemini on Vertex AI, or Claude as option ``api`` says: what `failsoft.providers` names.

    The base URL ends with project and location: ``…-aiplatform.googleapis.com/v1/projects/P/locations/L``. The key is an
    OAuth access token, which lives an hour.
    """
    if access.options.get("api") == "anthropic":
        return VertexClaude(access)
    return Gemini(
        access, "publishers/google/models", key_header="authorization", key_prefix="Bearer ", others=("anthropic",)
    )


def _with_config(options: Options, request: RequestOptions) -> tuple[RequestOptions, RequestOptions]:
    """What the options say of the body, and what of ``generationConfig`` in it, which holds fields of the library's own."""
    body = dict(request.body)
    config: object = body.pop("generationConfig", {})
    if not isinstance(config, dict) or _OWN_IN_CONFIG.intersection(as_object(config)):
        options.refuse("body", f"generationConfig must be a table without {', '.join(sorted(_OWN_IN_CONFIG))}")
    return evolve(request, body=body), evolve(request, body=as_object(config))


def _listed(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects of a list."""
    yield from map(as_object, as_array(loads_text(decoded(body).strip(WHITE_SPACE))))


def _content(message: Message) -> dict[str, Any]:
    role = "model" if message.role == "assistant" else "user"
    return {"role": role, "parts": [_part(each) for each in message.parts]}


def _part(part: Content) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    if isinstance(part, Image) and part.media_type not in _IMAGES:
        raise cannot_show(part)
    return {"inlineData": {"mimeType": part.media_type, "data": base64_of(part)}}


def _instructions(message: Message) -> list[dict[str, str]]:
    """A system message's parts: texts only."""
    for part in message.parts:
        if not isinstance(part, str):
            raise cannot_show(part, "a system message")
    return [{"text": each} for each in message.parts if isinstance(each, str)]


def _native(answer: AnswerSchema) -> bytes:
    return members_of(responseMimeType="application/json", responseJsonSchema=json_schema(answer.schema))


def _schema(answer: AnswerSchema) -> bytes:
    return members_of(responseMimeType="application/json", responseSchema=openapi_schema(answer.schema))


def _tool(answer: AnswerSchema) -> bytes:
    name = tool_name(answer)
    declared = {
        "name": name,
        "description": tool_description(answer),
        "parametersJsonSchema": json_schema(answer.schema),
    }
    calling = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}
    return members_of(tools=[{"functionDeclarations": [declared]}], toolConfig=calling)


_SCHEMAS: dict[str, Way] = {
    "native": _native,
    "schema": _schema,
    "tool": _tool,
    "json": schema_in_words,
    "prompt": schema_in_words,
}
