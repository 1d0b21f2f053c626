"""The vendors' own SDKs, fed the same recorded bytes: where both read an answer, they read the same.

Skipped where an SDK isn't installed: none of them is a dependency. Tried with google-genai 3.6.1, mistralai 3.7.0, cohere
7.3.1. Known disagreements, each with who is right:

    gemini, vertex   14 replies with enums as numbers: google-genai raises on them. The codec is right; it never asks for such.
    gemini           lists of chunks, as a stream comes without ``alt=sse``: google-genai reads nothing of them, without an error.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.adapters.replayed import SCHEMA, Row, access, ask, needs_recordings, reply_of, rows, streaming

from failsoft.adapters import cohere, gemini, mistral
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply
from failsoft.fault import FaultKind
from failsoft.prompt import Image, Message, Prompt, Sampling

pytestmark = [needs_recordings, pytest.mark.filterwarnings("ignore")]

TRUSTED = ssl.create_default_context()
"""For all clients: each would make its own, which takes longer than all that's compared."""

Told = tuple[str, list[tuple[str | None, Any]], str | None]
"""Text, calls with their arguments as values, served model."""


def transport(reply: HttpReply) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda _: httpx.Response(
            reply.status,
            headers={"content-type": reply.headers.get("content-type", "application/json")},
            content=reply.body,
        )
    )


def ours(reading: Reading) -> Told:
    return reading.text, [(each.name, json.loads(each.arguments)) for each in reading.calls], reading.served.model


def compared(
    provider: str, paths: str, reads: Callable[[Row], Reading], sdk: Callable[[Row], Told]
) -> tuple[int, list[tuple[int, Told, Any]]]:
    """How many recorded answers were compared, and those of which the two say different things."""
    count, differ = 0, []
    for number, row in rows(provider):
        if row["response"]["status"] != 200 or paths not in row["request"]["url"]:
            continue
        reading = reads(row)
        if reading.fault is not None and reading.fault.kind is FaultKind.NOT_AN_ANSWER:
            continue
        count += 1
        try:
            theirs: Any = sdk(row)
        except Exception as error:
            theirs = repr(error)[:200]
        if theirs != ours(reading):
            differ.append((number, ours(reading), theirs))
    return count, differ


# --- Google -----------------------------------------------------------------------------------------------------------


def _google(row: Row) -> Told:
    from google import genai
    from google.genai import types

    def client(reply: HttpReply) -> Any:
        args = {"transport": transport(reply), "verify": TRUSTED}
        options = types.HttpOptions(client_args=args, async_client_args={"ssl": TRUSTED})
        return genai.Client(api_key="k", http_options=options)

    asked: dict[str, Any] = {"model": "m", "contents": "q"}
    if row["stream"]:
        made = client(reply_of(row))  # kept: a client that's forgotten is closed
        chunks = list(made.models.generate_content_stream(**asked))
    else:  # it never asks for a list, and reads none: each item of one is handed to it as a reply
        body = row["response"]["body"]
        items = [HttpReply(200, {}, json.dumps(each).encode()) for each in (body if isinstance(body, list) else [body])]
        clients = [client(each) for each in items]
        chunks = [each.models.generate_content(**asked) for each in clients]
    parts = [
        part
        for chunk in chunks
        for each in chunk.candidates or ()
        for part in (each.content.parts if each.content else None) or ()
    ]
    text = "".join(each.text for each in parts if each.text and not each.thought)
    calls = [(each.function_call.name, each.function_call.args or {}) for each in parts if each.function_call]
    model = chunks[0].model_version
    return text, calls, model and model.removeprefix("models/")


@pytest.mark.parametrize(("provider", "least"), [("gemini", 145), ("vertex", 53)])
def test_google_genai_reads_the_same(provider: str, least: int) -> None:
    pytest.importorskip("google.genai")
    made = gemini.gemini(streaming())
    count, differ = compared(provider, "enerateContent", lambda row: made.parse(reply_of(row)), _google)
    assert count >= least
    numbers = [number for number, row in rows(provider) if "enum-encoding" in row["request"]["url"]]
    assert [each for each in differ if each[0] not in numbers] == []
    assert [each for each in differ if type(each[2]) is not str] == []  # it raised


# --- Mistral ----------------------------------------------------------------------------------------------------------


def _mistral(row: Row) -> Told:
    from mistralai.client import Mistral

    client = Mistral(api_key="k", client=httpx.Client(transport=transport(reply_of(row))))
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    if row["stream"]:
        chunks = [event.data for event in client.chat.stream(**asked)]
        said = [choice.delta for chunk in chunks for choice in chunk.choices]
        model = chunks[0].model
    else:
        whole = client.chat.complete(**asked)
        said, model = [choice.message for choice in whole.choices], whole.model
    text = "".join(each.content for each in said if isinstance(each.content, str))
    calls = [(call.function.name, call.function.arguments) for each in said for call in each.tool_calls or ()]
    return text, [(name, json.loads(given) if isinstance(given, str) else given) for name, given in calls], model


def test_mistralai_reads_the_same() -> None:
    pytest.importorskip("mistralai.client")
    count, differ = compared("mistral", "/chat/", lambda row: mistral.codec(streaming()).parse(reply_of(row)), _mistral)
    assert (count, differ) == (45, [])


# --- Cohere -----------------------------------------------------------------------------------------------------------


def _cohere(row: Row) -> Told:
    import cohere as sdk

    client = httpx.Client(transport=transport(reply_of(row)))
    if "/v1/" in row["request"]["url"]:
        old = sdk.Client(api_key="k", httpx_client=client)
        if isinstance(row["response"]["body"], str):
            [*_, last] = old.chat_stream(message="q")
            return last.response.text, [], None
        return old.chat(message="q").text, [], None
    new = sdk.ClientV2(api_key="k", httpx_client=client)
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    if row["stream"]:
        return _of_events(new.chat_stream(**asked))
    message = new.chat(**asked).message
    text = "".join(each.text for each in message.content or () if each.type == "text")
    return text, [(each.function.name, json.loads(each.function.arguments)) for each in message.tool_calls or ()], None


def _of_events(events: Iterator[Any]) -> Told:
    text, names, arguments = "", [], []
    for event in events:
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""
        elif event.type == "tool-call-start":
            names.append(event.delta.message.tool_calls.function.name)
            arguments.append(event.delta.message.tool_calls.function.arguments)
        elif event.type == "tool-call-delta":
            arguments[-1] += event.delta.message.tool_calls.function.arguments
    return text, [(name, json.loads(given or "{}")) for name, given in zip(names, arguments, strict=True)], None


def test_cohere_reads_the_same() -> None:
    pytest.importorskip("cohere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count, differ = compared("cohere", "/chat", lambda row: cohere.codec(streaming()).parse(reply_of(row)), _cohere)
    assert (count, differ) == (46, [])


# --- what is sent -----------------------------------------------------------------------------------------------------

SHOWN = Prompt((Message("system", "Classify."), Message("user", ("see", Image(b"\x89PNG", "image/png")))))
SAMPLED = Sampling(temperature=0.5, seed=7, max_tokens=64, stop=("END",))
CLOSED = {**SCHEMA, "additionalProperties": False}


def sends(call: Callable[[httpx.MockTransport], Any]) -> tuple[str, dict[str, Any], httpx.Headers]:
    """The URL's path, the body and the headers of what an SDK sends."""
    caught: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        caught.append(request)
        return httpx.Response(400, json={})

    with contextlib.suppress(Exception):
        call(httpx.MockTransport(keep))
    return caught[0].url.path, json.loads(caught[0].content), caught[0].headers


def we_send(made: HttpCodec) -> tuple[str, dict[str, Any]]:
    request = made.encode(ask(prompt=SHOWN, sampling=SAMPLED))
    return httpx.URL(request.url).path, json.loads(request.body)


def test_google_genai_sends_the_same() -> None:
    genai = pytest.importorskip("google.genai")
    config = {
        "system_instruction": "Classify.",
        "temperature": 0.5,
        "seed": 7,
        "max_output_tokens": 64,
        "stop_sequences": ["END"],
        "response_mime_type": "application/json",
        "response_json_schema": CLOSED,
        "store": False,
    }
    parts = ["see", genai.types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")]

    def call(transport: httpx.MockTransport) -> Any:
        client = genai.Client(api_key="k", http_options={"client_args": {"transport": transport}})
        return client.models.generate_content(model="some-model", contents=parts, config=config)

    path, theirs, headers = sends(call)
    theirs["systemInstruction"].pop("role")  # it says "user", which means nothing there
    part = theirs["contents"][0]["parts"][1]["inlineData"]
    part["mimeType"] = part.pop("mime_type")  # Google takes either
    made = gemini.gemini(access())
    assert (path, theirs) == we_send(made)
    assert "x-goog-api-key" in headers.keys() & dict(made.headers).keys()


def test_mistralai_sends_the_same() -> None:
    pytest.importorskip("mistralai.client")
    from mistralai.client import Mistral

    path, body = we_send(mistral.codec(access()))
    url = body["messages"][1]["content"][1]["image_url"]

    def call(transport: httpx.MockTransport) -> Any:
        return Mistral(api_key="k", client=httpx.Client(transport=transport)).chat.complete(
            model="some-model",
            messages=[
                {"role": "system", "content": "Classify."},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": url}],
                },
            ],
            temperature=0.5,
            random_seed=7,
            max_tokens=64,
            stop=["END"],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "classify-item", "schema_definition": CLOSED, "strict": True},
            },
        )

    assert sends(call)[:2] == (path, body)


def test_cohere_sends_the_same() -> None:
    sdk = pytest.importorskip("cohere")
    path, body = we_send(cohere.codec(access(base_url="https://h.example/v2")))
    url = body["messages"][1]["content"][1]["image_url"]

    def call(transport: httpx.MockTransport) -> Any:
        return sdk.ClientV2(api_key="k", httpx_client=httpx.Client(transport=transport), max_retries=0).chat(
            model="some-model",
            messages=[
                {"role": "system", "content": "Classify."},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": url}],
                },
            ],
            temperature=0.5,
            seed=7,
            max_tokens=64,
            stop_sequences=["END"],
            response_format={"type": "json_object", "json_schema": CLOSED},
        )

    assert sends(call)[:2] == (path, body)
