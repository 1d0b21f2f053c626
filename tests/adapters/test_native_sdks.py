"""The same bytes, read by the vendors' own SDKs: every disagreement stands here, with who is right. Skipped where an SDK isn't
installed. Installed for the figures here: anthropic 2.14.0, botocore 1.44.8."""

from __future__ import annotations

import base64
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.native_asks import ask
from tests.adapters.native_recorded import Row, raw_of, reply_of, usable
from tests.adapters.test_anthropic_recordings import ERRORS, NO_ANSWERS
from tests.adapters.test_bedrock_recordings import model_of

from failsoft.adapters.access import Access
from failsoft.adapters.anthropic import codec as anthropic_codec
from failsoft.adapters.bedrock import codec as bedrock_codec
from failsoft.adapters.claude_body import claude_schema
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import HttpReply, Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Pin
from failsoft.prompt import Message, Sampling

DISAGREEMENTS = {
    "anthropic": {
        "a stream that was cut": "the codec: the SDK gives a message whose stop_reason is None, and no error",
        "input tokens": "both: the SDK leaves apart what a cache gave, the codec adds it up",
    },
    "botocore": {
        "usage.cacheReadInputTokenCount": "harmless: the SDK drops a field that isn't in its model; it repeats another",
        "a stream that was cut": "the codec: the SDK's buffer just ends",
        "a body that is an embedding": "both: the SDK hands over bytes, the codec says that it's no answer",
    },
}


# --- Anthropic --------------------------------------------------------------------------------------------------------


class AnthropicSdk:
    """Its client, with a recorded reply instead of a network."""

    def __init__(self) -> None:
        self.sdk = pytest.importorskip("anthropic", reason="anthropic isn't installed: nothing to compare with")
        self.http = pytest.importorskip("httpx2", reason="httpx2 isn't installed: nothing to compare with")
        self.asked: Any = None

    def client(self, reply: HttpReply) -> Any:
        def answer(request: Any) -> Any:
            self.asked = request
            return self.http.Response(reply.status, headers=dict(reply.headers), content=reply.body)

        client = self.http.Client(transport=self.http.MockTransport(answer))
        return self.sdk.Anthropic(api_key="x", http_client=client, max_retries=0)

    def message(self, reply: HttpReply, *, stream: bool) -> Any:
        given: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = self.client(reply)
            if not stream:
                return client.messages.create(**given)
            with client.messages.stream(**given) as events:
                return events.get_final_message()


@pytest.fixture(scope="module")
def anthropic_sdk() -> AnthropicSdk:
    return AnthropicSdk()


def claude(row: Row) -> Any:
    return anthropic_codec(Access(row["requested_model"] or "x", "anthropic", "https://h", None, {}, Streaming()))


def test_anthropics_sdk_reads_the_same(data: Path, anthropic_sdk: AnthropicSdk) -> None:
    compared = 0
    for number, row in usable(data, "anthropic"):
        if number in ERRORS or number in NO_ANSWERS:
            continue
        read = claude(row).parse(reply_of(row))
        message = anthropic_sdk.message(reply_of(row), stream=row["stream"])
        compared += 1
        assert read.text == "".join(each.text for each in message.content if each.type == "text"), number
        calls = [(each.name, each.id, each.input) for each in message.content if each.type == "tool_use"]
        assert [(each.name, each.number, json.loads(each.arguments)) for each in read.calls] == calls, number
        assert (read.served.model, read.finish) == (message.model, message.stop_reason), number
        usage = message.usage
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        assert read.tokens == Tokens(usage.input_tokens + cached, usage.output_tokens), number
    assert compared == 187


def test_anthropics_sdk_raises_the_same_errors(data: Path, anthropic_sdk: AnthropicSdk) -> None:
    classes = {
        FaultKind.MODEL_NOT_FOUND: "NotFoundError",
        FaultKind.UNAUTHENTICATED: "AuthenticationError",
        FaultKind.REQUEST_REJECTED: "BadRequestError",
        FaultKind.CONTEXT_TOO_LONG: "BadRequestError",
    }
    rows = dict(usable(data, "anthropic"))
    for number, expected in ERRORS.items():
        with pytest.raises(anthropic_sdk.sdk.APIStatusError) as error:
            anthropic_sdk.message(reply_of(rows[number]), stream=False)
        assert type(error.value).__name__ == classes[expected]


def test_anthropics_sdk_does_not_notice_a_cut(data: Path, anthropic_sdk: AnthropicSdk) -> None:
    row = next(row for _, row in usable(data, "anthropic") if row["stream"] and not row["tool_call"])
    body = raw_of(row)
    cut = body[: body.rindex(b"event: message_delta")]
    fault = claude(row).parse(reply_of(row, cut)).fault
    assert fault is not None
    assert fault.kind is FaultKind.TRUNCATED_STREAM
    assert anthropic_sdk.message(reply_of(row, cut), stream=True).stop_reason is None


def test_anthropics_sdk_asks_the_same_way(anthropic_sdk: AnthropicSdk) -> None:
    reply = HttpReply(200, {"content-type": "application/json"}, b'{"type":"message","content":[]}')
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anthropic_sdk.client(reply).messages.create(
            model="claude-sonnet-4-5",
            max_tokens=64,
            system="Classify.",
            messages=[{"role": "user", "content": "Büchse"}],
            output_config={"format": {"type": "json_schema", "schema": claude_schema(schema)}},
        )
    theirs = anthropic_sdk.asked
    place = ("claude-sonnet-4-5", "anthropic", "https://api.anthropic.com/v1", "x")
    codec = anthropic_codec(Access(*place, options={"version": theirs.headers["anthropic-version"]}))
    asked = ask(pin=Pin("claude-sonnet-4-5"), sampling=Sampling(temperature=None, max_tokens=64))
    mine = codec.encode(asked)
    told = json.loads(mine.body)
    told["output_config"]["format"]["schema"] = json.loads(theirs.content)["output_config"]["format"]["schema"]
    assert json.loads(theirs.content) == told
    assert str(theirs.url) == mine.url
    for name in ("authorization", "anthropic-version", "content-type"):
        assert theirs.headers[name] == dict(mine.headers)[name]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]},
        {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
            "required": ["a"],
        },
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}, "required": ["a"]},
        {
            "$defs": {"B": {"type": "object", "properties": {"c": {"type": "null"}}, "required": ["c"]}},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/B"}},
            "required": ["a"],
        },
    ],
)
def test_anthropics_sdk_says_a_schema_the_same_way(schema: dict[str, Any], anthropic_sdk: AnthropicSdk) -> None:
    from anthropic import transform_schema

    assert claude_schema(schema) == transform_schema(schema)


def test_bounds_are_told_by_both_in_their_own_words(anthropic_sdk: AnthropicSdk) -> None:
    from anthropic import transform_schema

    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
    for made in (claude_schema(schema), transform_schema(schema)):
        place = made["properties"]["a"]
        assert place.keys() == {"type", "description"}
        assert "minimum" in place["description"]


# --- botocore ---------------------------------------------------------------------------------------------------------


class Botocore:
    """Its model of the service, its serializer and its parsers."""

    def __init__(self) -> None:
        pytest.importorskip("botocore", reason="botocore isn't installed: nothing to compare with")
        from botocore import loaders, model, parsers, serialize

        told = loaders.Loader().load_service_model("bedrock-runtime", "service-2")
        self.service = model.ServiceModel(told, "bedrock-runtime")
        self.parser = parsers.create_parser("rest-json")
        self.serializer = serialize.create_serializer("rest-json")

    def whole(self, operation: str, reply: HttpReply) -> Any:
        shape = self.service.operation_model(operation).output_shape
        return self.parser.parse(
            {"status_code": reply.status, "headers": dict(reply.headers), "body": reply.body}, shape
        )

    def events(self, operation: str, body: bytes) -> list[dict[str, Any]]:
        from botocore import eventstream, parsers

        output = self.service.operation_model(operation).get_event_stream_output()
        buffer = eventstream.EventStreamBuffer()
        buffer.add_data(body)
        reader = parsers.create_parser("rest-json")._event_stream_parser
        return [reader.parse(each.to_response_dict(), output) for each in buffer]

    def asked(self, operation: str, **given: Any) -> dict[str, Any]:
        return dict(self.serializer.serialize_to_request(given, self.service.operation_model(operation)))


@pytest.fixture(scope="module")
def botocore() -> Botocore:
    return Botocore()


def bedrock(row: Row, api: str) -> Any:
    options = {"api": api, **({"vendor": "chat"} if api == "invoke" else {})}
    return bedrock_codec(Access(model_of(row), "bedrock", "https://h", None, {}, Streaming(), options))


def rows_of(data: Path, operation: str) -> list[tuple[int, Row]]:
    rows = usable(data, "bedrock")
    return [
        (n, row)
        for n, row in rows
        if row["request"]["url"].endswith(f"/{operation}") and row["response"]["status"] == 200
    ]


def test_botocore_reads_the_same_of_converse(data: Path, botocore: Botocore) -> None:
    compared, dropped = 0, 0
    for number, row in rows_of(data, "converse"):
        read, theirs = bedrock(row, "converse").parse(reply_of(row)), botocore.whole("Converse", reply_of(row))
        blocks = theirs["output"]["message"]["content"]
        parts = [part for each in blocks for part in each.get("citationsContent", {}).get("content", [each])]
        compared += 1
        assert read.text == "".join(each.get("text", "") for each in parts), number
        calls = [(each["toolUse"]["name"], each["toolUse"]["input"]) for each in blocks if "toolUse" in each]
        assert [(each.name, json.loads(each.arguments)) for each in read.calls] == calls, number
        assert read.finish == theirs["stopReason"], number
        usage = theirs["usage"]
        cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
        assert read.tokens is not None
        assert read.tokens.output == usage["outputTokens"], number
        if "inputTokens" in usage:
            assert read.tokens.input == usage["inputTokens"] + cached, number
        dropped += "cacheReadInputTokenCount" in str(row["response"]["body"]) and "TokenCount" not in str(usage)
    assert (compared, dropped) == (87, 36)


def test_botocore_reads_the_same_of_streams(data: Path, botocore: Botocore) -> None:
    compared = 0
    for number, row in rows_of(data, "converse-stream"):
        read, text, why = bedrock(row, "converse").parse(reply_of(row)), "", None
        for each in botocore.events("ConverseStream", raw_of(row)):
            text += each.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
            why = each.get("messageStop", {}).get("stopReason", why)
        compared += 1
        assert (read.text, read.finish) == (text, why), number
    for number, row in rows_of(data, "invoke-with-response-stream"):
        chunks = botocore.events("InvokeModelWithResponseStream", raw_of(row))
        told = [json.loads(each["chunk"]["bytes"]) for each in chunks]
        read = bedrock(row, "invoke").parse(reply_of(row))
        compared += 1
        pieces = (each.get("delta", {}).get("text") or each.get("outputText") for each in told if "type" in each)
        if any("type" in each for each in told):
            assert read.text == "".join(each or "" for each in pieces), number
    assert compared == 31 + 25


def test_botocore_names_the_same_errors(data: Path, botocore: Botocore) -> None:
    seen = set()
    for number, row in usable(data, "bedrock"):
        if row["response"]["status"] != 200:
            named = botocore.whole("Converse", reply_of(row))["Error"]["Code"]
            seen.add(named)
            assert reply_of(row).headers["x-amzn-errortype"].startswith(f"{named}:"), number
    assert seen == {"ValidationException", "AccessDeniedException", "ExpiredTokenException"}


def test_botocore_does_not_notice_a_cut(data: Path, botocore: Botocore) -> None:
    _, row = rows_of(data, "converse-stream")[0]
    cut = raw_of(row)[:-400]
    fault = bedrock(row, "converse").parse(reply_of(row, cut)).fault
    assert fault is not None
    assert fault.kind is FaultKind.TRUNCATED_STREAM
    assert not any("messageStop" in each for each in botocore.events("ConverseStream", cut))


def test_botocore_asks_the_same_way(botocore: Botocore) -> None:
    model = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    codec = bedrock_codec(Access(model, "bedrock", "https://h"))
    sampling = Sampling(max_tokens=64, temperature=0.5, stop=("END",))
    mine = codec.encode(
        ask(Message("system", "Classify."), Message("user", "Büchse"), pin=Pin(model), sampling=sampling)
    )
    body = json.loads(mine.body)
    theirs = botocore.asked("Converse", modelId=model, **body)
    assert json.loads(theirs["body"]) == body
    assert mine.url == f"https://h{theirs['url_path']}"
    assert theirs["method"] == mine.method
    shown = {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"p"}}}]}],
    }
    source = json.loads(botocore.asked("Converse", **shown)["body"])["messages"][0]["content"][0]["image"]["source"]
    assert source == {"bytes": base64.b64encode(b"p").decode()}


def test_each_disagreement_says_who_is_right() -> None:
    assert all(
        why.split(":")[0] in ("the codec", "both", "harmless")
        for each in DISAGREEMENTS.values()
        for why in each.values()
    )
