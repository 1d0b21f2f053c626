"""Bedrock. Replies here are made by hand: those that were never recorded (throttling, errors inside a stream, malformed output,
routers), and the smallest of the others."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.adapters.frames import chunk, event, exception, frame
from tests.adapters.native_asks import CLOSED, ask, body_of, replied

from failsoft.adapters import aws_event_stream, bedrock_stream
from failsoft.adapters.access import Access
from failsoft.adapters.aws_event_stream import MEDIA_TYPE
from failsoft.adapters.bedrock import codec
from failsoft.adapters.bedrock_codec import BedrockCodec
from failsoft.adapters.bedrock_stream import FramePulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, CannotAsk, HttpReply, Reply, Tokens
from failsoft.credentials import AwsCredentials, Token
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Pin
from failsoft.prompt import Document, Image, Message, Sampling
from failsoft.providers import facts

K = FaultKind
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-micro-v1:0"
USER = Message("user", "Hi")
BASE = facts("bedrock").base_url or ""


def made(model: str = NOVA, streaming: Streaming | None = None, base_url: str = BASE, **options: Any) -> BedrockCodec:
    placed = {"region": "us-east-1", **options} if base_url == BASE else options
    return codec(Access(model, "bedrock", base_url, "key-of-bedrock", {}, streaming, placed))


# --- where ------------------------------------------------------------------------------------------------------------


def test_the_region_says_where_and_the_model_stands_in_the_path() -> None:
    request = made().encode(ask(pin=Pin(NOVA)))
    assert request.url == ("https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-micro-v1%3A0/converse")
    assert dict(request.headers)["authorization"] == "Bearer key-of-bedrock"
    other = made().encode(ask(pin=Pin("arn:aws-us-gov:bedrock:us-gov-west-1:1:application-inference-profile/x")))
    assert other.url.endswith(
        "/model/arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A1%3Aapplication-inference-profile%2Fx/converse"
    )


def test_the_government_has_regions_and_fips_a_host_of_its_own() -> None:
    assert made(region="us-gov-west-1", fips=True).url.startswith(
        "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/model/"
    )


def test_a_place_of_ones_own_needs_no_region() -> None:
    assert made(base_url="https://proxy.example/bedrock").url.startswith("https://proxy.example/bedrock/model/")
    with pytest.raises(ConfigurationError, match=r"options.fips: base_url says already"):
        made(base_url="https://proxy.example", fips=True)


@pytest.mark.parametrize(
    "region", ["", "US-EAST-1", "us-east-1.evil.example", "us-east-1/", "useast1", "cn-north-1", "us-iso-east-1"]
)
def test_a_region_must_be_one(region: str) -> None:
    options = {"region": region} if region else {}
    with pytest.raises(ConfigurationError, match=r"options.region"):
        codec(Access(NOVA, "bedrock", BASE, None, {}, None, options))


def test_a_streamed_reply_is_asked_for_at_another_path() -> None:
    request = made(streaming=Streaming()).encode(ask(pin=Pin(NOVA)))
    assert request.url.endswith("/converse-stream")
    assert dict(request.headers)["accept"] == f"{MEDIA_TYPE}, application/json"
    assert (request.pulse, request.stream_type, request.gap_ns) == (FramePulse, MEDIA_TYPE, Streaming().gap_ns)
    assert made(api="invoke", streaming=Streaming()).url.endswith("/invoke-with-response-stream")
    assert made().encode(ask()).pulse is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"body": {"messages": []}}, "options.body: messages"),
        ({"leave_out": ["toolConfig"]}, "options.leave_out: toolConfig"),
        ({"body": {"inferenceConfig": 7}}, "options.body: inferenceConfig"),
        ({"structured": "json"}, "options.structured"),
        ({"vendor": "meta"}, "options.vendor"),
        ({"api": "chat"}, "options.api"),
        ({"api": "invoke", "body": {"system": []}}, "options.body: system"),
        ({"api": "invoke", "structured": "tool"}, "options.structured"),
        ({"api": "invoke", "vendor": "x"}, "options.vendor"),
    ],
)
def test_options_that_cannot_stand_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        made(**options)


def test_an_arn_does_not_say_whose_body_a_model_takes() -> None:
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
    with pytest.raises(ConfigurationError, match=r"options.vendor"):
        made(arn, api="invoke")
    assert "anthropic_version" in body_of(made(arn, api="invoke", vendor="anthropic"))


# --- asking Converse --------------------------------------------------------------------------------------------------


def test_a_request_says_exactly_this() -> None:
    body = body_of(made(), ask(sampling=Sampling(max_tokens=64, stop=("END",))))
    structure = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(structure.pop("schema")) == CLOSED
    assert body == {
        "messages": [{"role": "user", "content": [{"text": "Büchse"}]}],
        "system": [{"text": "Classify."}],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.0, "stopSequences": ["END"]},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "classify-item"}}}},
    }


def test_a_forced_tool_asks_for_it() -> None:
    body = body_of(made(structured="tool"))
    (tool,) = body["toolConfig"]["tools"]
    assert (tool["toolSpec"]["name"], tool["toolSpec"]["inputSchema"]) == ("classify-item", {"json": CLOSED})
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "classify-item"}}
    assert "outputConfig" not in body


def test_words_ask_for_it_too() -> None:
    body = body_of(made(structured="prompt"), ask(USER))
    assert [each["text"][:30] for each in body["system"]] == ["Answer with one JSON object an"]
    assert not {"outputConfig", "toolConfig"} & body.keys()


def test_roles_take_turns() -> None:
    turns = (USER, Message("user", "And"), Message("assistant", "{}"), Message("user", "Again"))
    assert [(each["role"], len(each["content"])) for each in body_of(made(), ask(*turns))["messages"]] == [
        ("user", 2),
        ("assistant", 1),
        ("user", 1),
    ]


def test_a_prompt_without_a_system_message_has_none() -> None:
    assert "system" not in body_of(made(), ask(USER))


def test_further_fields_are_sent_and_fields_left_out() -> None:
    body = body_of(
        made(
            body={
                "inferenceConfig": {"topP": 0.5, "maxTokens": 9},
                "serviceTier": {"type": "flex"},
                "requestMetadata": {},
            },
            leave_out=["temperature", "requestMetadata"],
        )
    )
    assert body["inferenceConfig"] == {"maxTokens": 9, "topP": 0.5}
    assert body["serviceTier"] == {"type": "flex"}
    assert "requestMetadata" not in body


def test_sampling_that_a_model_refuses_is_left_out() -> None:
    assert "temperature" in body_of(made(CLAUDE))["inferenceConfig"]
    assert "temperature" not in body_of(made("us.anthropic.claude-sonnet-5"))["inferenceConfig"]
    silent = ask(sampling=Sampling(temperature=None))
    assert body_of(made(), silent)["inferenceConfig"] == {"maxTokens": 1024}


def test_images_and_documents_are_shown_and_no_two_have_one_name() -> None:
    pdf = Document(b"%PDF", "application/pdf", "report")
    parts = ("See", Image(b"p", "image/webp"), pdf, pdf, Document(b"a", "text/markdown", "report 2"))
    content = body_of(made(), ask(Message("user", parts)))["messages"][0]["content"]
    source = {"bytes": base64.b64encode(b"%PDF").decode()}
    assert content[:3] == [
        {"text": "See"},
        {"image": {"format": "webp", "source": {"bytes": base64.b64encode(b"p").decode()}}},
        {"document": {"format": "pdf", "name": "report", "source": source}},
    ]
    assert [(each["document"]["format"], each["document"]["name"]) for each in content[3:]] == [
        ("pdf", "report 2"),
        ("md", "report 2 2"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (Document(b"x", "application/pdf"),)),
        Message("user", ("x", Document(b"x", "application/zip"))),
        Message("assistant", "x"),
    ],
)
def test_what_it_cannot_be_shown_is_never_sent(message: Message) -> None:
    with pytest.raises(CannotAsk):
        made().encode(ask(message))


def test_a_type_that_holds_itself_cannot_be_asked_for() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    with pytest.raises(ConfigurationError, match="holds itself"):
        made().prepare(AnswerSchema("x", {"$ref": "#/$defs/Node", "$defs": {"Node": node}}))


# --- reading Converse -------------------------------------------------------------------------------------------------


def answer(*content: Any, finish: Any = "end_turn", **changes: Any) -> dict[str, Any]:
    blocks = list(content) if content else [{"text": '{"fsc": "1005"}'}]
    usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    return {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": finish,
        "usage": usage,
        **changes,
    }


def read(body: Any, status: int = 200, codec: BedrockCodec | None = None, **headers: str) -> Reading:
    return (codec or made()).parse(replied(body, status, **headers))


def kind(reading: Reading) -> FaultKind | None:
    return None if reading.fault is None else reading.fault.kind


def test_an_answer_says_nothing_of_who_gave_it() -> None:
    reply = made().decode(replied(answer(), x_amzn_requestid="req-1"))
    assert isinstance(reply, Reply)
    assert reply.answer == b'{"fsc": "1005"}'
    assert (reply.served.model, reply.served.grade, reply.served.request_id) == (None, Grade.UNKNOWN, "req-1")
    assert reply.tokens == Tokens(7, 3)


def test_a_router_says_whom_it_chose_and_some_models_say_their_name_when_asked() -> None:
    routed = read(answer(trace={"promptRouter": {"invokedModelId": "arn:x"}})).served
    asked = read(answer(additionalModelResponseFields={"model": "claude-x"})).served
    assert (routed.model, routed.grade) == ("arn:x", Grade.GATEWAY)
    assert asked.model == "claude-x"
    assert read(answer(trace=[], additionalModelResponseFields=7)).served.model is None


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("end_turn", None),
        ("stop_sequence", None),
        ("tool_use", K.AMBIGUOUS_REPLY),
        ("max_tokens", K.TRUNCATED),
        ("model_context_window_exceeded", K.TRUNCATED),
        ("content_filtered", K.FILTERED),
        ("guardrail_intervened", K.FILTERED),
        ("malformed_model_output", K.MALFORMED_ANSWER),
        ("malformed_tool_use", K.MALFORMED_ANSWER),
        ("of_the_future", K.MALFORMED_REPLY),
        ({}, K.MALFORMED_REPLY),
        (None, K.MALFORMED_REPLY),
    ],
)
def test_why_it_ended_decides(finish: Any, expected: FaultKind | None) -> None:
    reading = read(answer(finish=finish))
    assert kind(reading) is expected
    assert reading.text == '{"fsc": "1005"}'


def test_reasoning_is_no_text_and_what_sources_stand_beside_is() -> None:
    blocks = (
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"text": "As written, "},
        {"citationsContent": {"citations": [], "content": [{"text": "yes"}, 7]}},
        {"text": 7},
        "no block",
    )
    assert read(answer(*blocks)).text == "As written, yes"


def test_nova_thinks_in_its_text_and_answers_behind_it() -> None:
    reading = read(answer({"text": '<thinking> hm </thinking>\n\n{"a": 1}'}))
    assert reading.text.startswith("<thinking>")
    assert reading.answer == '\n\n{"a": 1}'
    assert read(answer({"text": "<thinking> hm"})).answer is None
    assert read(answer({"text": "<thinking> </thinking>{"}, finish="max_tokens")).answer is None


def test_calls_are_told_and_a_forced_one_is_the_answer() -> None:
    call = {"toolUse": {"name": "answer", "toolUseId": "t1", "input": {"fsc": "1005"}}}
    assert read(answer(call, finish="tool_use")).calls == (ToolCall("answer", '{"fsc":"1005"}', "t1"),)
    forced = made(structured="tool").decode(replied(answer(call, finish="tool_use")))
    assert isinstance(forced, Reply)
    assert forced.answer == b'{"fsc":"1005"}'
    ran = {"toolUse": {"name": "nova_grounding", "toolUseId": "t2", "input": {}, "type": "server_tool_use"}}
    grounded = read(answer(ran, {"toolResult": {"toolUseId": "t2", "content": []}}, {"text": "{}"}))
    assert (grounded.calls, grounded.text, grounded.fault) == ((), "{}", None)
    assert read(answer({"toolUse": None}, finish="tool_use")).calls == (ToolCall("", "{}", None),)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"outputTokens": 50}, Tokens(None, 50)),
        (
            {"inputTokens": 7, "cacheReadInputTokens": 5, "cacheReadInputTokenCount": 5, "outputTokens": 1},
            Tokens(12, 1),
        ),
        ({"inputTokens": 7, "cacheWriteInputTokenCount": 5, "outputTokens": 1}, Tokens(12, 1)),
        ({}, None),
        (None, None),
    ],
)
def test_usage_counts_what_a_cache_gave_too(usage: Any, tokens: Tokens | None) -> None:
    assert read(answer(usage=usage)).tokens == tokens


def test_what_is_no_answer_is_told() -> None:
    assert kind(read({"inputTokens": 12})) is K.NOT_AN_ANSWER
    assert kind(read(answer({"text": " "}))) is K.EMPTY_REPLY
    assert kind(read({"output": None, "stopReason": "end_turn"})) is K.EMPTY_REPLY
    assert kind(read({"__type": "com.amazon.coral#InternalFailure"})) is K.SERVER_ERROR


ERRORS: list[tuple[int, str, str, FaultKind]] = [
    (400, "ValidationException", "no", K.REQUEST_REJECTED),
    (400, "ValidationException", "The provided model identifier is invalid.", K.MODEL_NOT_FOUND),
    (
        400,
        "ValidationException",
        "Invocation of model ID a.b-v1:0 with on-demand throughput isn’t supported. Retry",
        K.MODEL_NOT_FOUND,
    ),
    (400, "ValidationException", "Input is too long for requested model.", K.CONTEXT_TOO_LONG),
    (
        400,
        "ValidationException",
        "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum",
        K.CONTEXT_TOO_LONG,
    ),
    (400, "ValidationException", "Say: Input Tokens Exceeded", K.REQUEST_REJECTED),
    (400, "ServiceQuotaExceededException", "", K.RATE_LIMITED),
    (400, "IncompleteSignature", "", K.UNAUTHENTICATED),
    (
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
        K.MODEL_NOT_FOUND,
    ),
    (403, "AccessDeniedException", "User: x is not authorized", K.FORBIDDEN),
    (403, "ExpiredTokenException", "", K.UNAUTHENTICATED),
    (403, "UnrecognizedClientException", "", K.UNAUTHENTICATED),
    (404, "ResourceNotFoundException", "", K.MODEL_NOT_FOUND),
    (408, "ModelTimeoutException", "", K.SERVER_ERROR),
    (424, "ModelErrorException", "", K.SERVER_ERROR),
    (429, "ThrottlingException", "", K.RATE_LIMITED),
    (429, "ModelNotReadyException", "", K.OVERLOADED),
    (500, "InternalServerException", "", K.SERVER_ERROR),
    (503, "ServiceUnavailableException", "", K.OVERLOADED),
    (418, "OfTheFuture", "", K.REQUEST_REJECTED),
    (429, "", "", K.RATE_LIMITED),
]


@pytest.mark.parametrize(("status", "name", "text", "expected"), ERRORS)
def test_an_error_is_what_its_name_says(status: int, name: str, text: str, expected: FaultKind) -> None:
    reading = read({"message": text}, status, x_amzn_errortype=f"{name}:http://internal.amazon.com/")
    assert (kind(reading), reading.fault and reading.fault.status) == (expected, status)
    assert kind(read({"__type": f"com.amazon#{name}", "Message": text}, status)) is expected


def test_an_error_without_json_is_named_all_the_same() -> None:
    assert kind(read(b"<html>", 429, x_amzn_errortype="ModelNotReadyException")) is K.OVERLOADED
    assert kind(read(b"", 503)) is K.SERVER_ERROR


# --- Converse's streams -----------------------------------------------------------------------------------------------


BEGUN = event("messageStart", {"role": "assistant"})
STOPPED = event("messageStop", {"stopReason": "end_turn"})
METADATA = event("metadata", {"usage": {"inputTokens": 7, "outputTokens": 3}})


def piece(text: Any, index: Any = 0) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": text}, "p": "ab"})


def closed(index: int = 0) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


WHOLE = [BEGUN, piece('{"fsc":'), piece(' "1005"}'), closed(), STOPPED, METADATA]


def streamed(*parts: bytes, **options: Any) -> Reading:
    heard = made(streaming=Streaming(), **options)
    return heard.parse(HttpReply(200, {"content-type": MEDIA_TYPE, "x-amzn-requestid": "req-2"}, b"".join(parts)))


def test_a_stream_is_the_answer_that_it_would_have_been() -> None:
    reading = streamed(*WHOLE)
    assert (reading.text, reading.fault, reading.finish) == ('{"fsc": "1005"}', None, "end_turn")
    assert reading.tokens == Tokens(7, 3)
    assert reading.served.request_id == "req-2"
    assert streamed(*WHOLE[:-1]).tokens is None
    assert kind(streamed(*WHOLE[:-1])) is None


def test_a_stream_without_its_end_was_cut_and_keeps_its_text() -> None:
    for size in range(4):
        assert kind(streamed(*WHOLE[:size])) is K.TRUNCATED_STREAM
    assert streamed(*WHOLE[:4]).text == '{"fsc": "1005"}'
    assert kind(streamed(*WHOLE[:4], WHOLE[4][:-1])) is K.TRUNCATED_STREAM


def test_an_exception_in_a_stream_is_what_its_name_says() -> None:
    ended = streamed(*WHOLE[:3], exception("throttlingException", {"message": "slow"}))
    assert (kind(ended), ended.text) == (K.RATE_LIMITED, '{"fsc": "1005"}')
    assert kind(streamed(exception("modelStreamErrorException", b"no JSON"))) is K.SERVER_ERROR
    assert kind(streamed(exception("validationException", {"message": "no"}))) is K.REQUEST_REJECTED
    error = {":message-type": "error", ":error-code": "internalServerException", ":error-message": "x"}
    assert kind(streamed(BEGUN, frame(error, b""))) is K.SERVER_ERROR
    assert kind(streamed(frame({":message-type": "error"}, b""))) is K.SERVER_ERROR


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([*WHOLE, piece("more")], K.AMBIGUOUS_REPLY),
        ([BEGUN, piece("x"), closed(), piece("y"), STOPPED], K.AMBIGUOUS_REPLY),
        ([BEGUN, piece(7), STOPPED], K.MALFORMED_REPLY),
        ([BEGUN, piece("x", "0"), STOPPED], K.MALFORMED_REPLY),
        ([BEGUN, piece("x"), event("contentBlockStart", {"contentBlockIndex": 0}), STOPPED], K.AMBIGUOUS_REPLY),
        ([BEGUN, event("contentBlockStart", {"contentBlockIndex": 0}), piece("x"), STOPPED], None),
        ([BEGUN, closed(), STOPPED], K.EMPTY_REPLY),
        ([event("contentBlockDelta", b"{]"), STOPPED], K.MALFORMED_REPLY),
        ([*WHOLE[:3], event("ofTheFuture", {}), frame({":message-type": "ping"}, b""), *WHOLE[3:]], None),
        ([b"x" * 20], K.MALFORMED_REPLY),
    ],
)
def test_what_does_not_fit_together_is_not_guessed_at(parts: list[bytes], expected: FaultKind | None) -> None:
    assert kind(streamed(*parts)) is expected


def test_a_streamed_call_is_put_together_of_its_pieces() -> None:
    start = event(
        "contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"name": "answer", "toolUseId": "t"}}}
    )
    parts = [
        event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": each}}})
        for each in ('{"fsc":', '"1005"}')
    ]
    thought = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})
    stopped = event("messageStop", {"stopReason": "tool_use"})
    reading = streamed(BEGUN, thought, closed(), start, *parts, closed(1), stopped, structured="tool")
    assert (reading.answer, reading.fault, reading.text) == ('{"fsc":"1005"}', None, "")


def test_a_streamed_call_that_the_provider_ran_is_no_call() -> None:
    ran = {"toolUse": {"name": "nova_grounding", "toolUseId": "t", "type": "server_tool_use"}}
    start = event("contentBlockStart", {"contentBlockIndex": 1, "start": ran})
    result = event("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolResult": {"toolUseId": "t"}}})
    found = event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolResult": [{"text": "x"}]}})
    reading = streamed(BEGUN, piece("{}"), closed(), start, closed(1), result, found, closed(2), STOPPED)
    assert (reading.calls, reading.text, reading.fault) == ((), "{}", None)


@pytest.mark.parametrize(
    ("part", "meaningful"),
    [
        (BEGUN, False),
        (piece("x"), True),
        (closed(), False),
        (STOPPED, True),
        (METADATA, True),
        (exception("throttlingException", {}), True),
        (event("ofTheFuture", {}), False),
        (chunk({"outputText": "x"}), True),
        (chunk({"type": "ping"}), False),
        (chunk({"type": "content_block_delta", "delta": {"text": "x"}}), True),
        (chunk(b"{]"), False),
        (chunk(b"[" * 100_000), False),
        (event("chunk", {"other": 1}), False),
        (event("chunk", []), False),
    ],
)
def test_a_pulse_hears_what_means_that_the_answer_goes_on(part: bytes, meaningful: bool) -> None:
    assert FramePulse().heard(part) is meaningful
    pulse = FramePulse()
    assert [pulse.heard(part[place : place + 1]) for place in range(len(part))][-1] is meaningful


def test_a_pulse_stops_listening_to_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = FramePulse()
    assert not pulse.heard(b"x" * 20)
    assert not pulse.heard(STOPPED)
    assert not pulse.full
    monkeypatch.setattr(aws_event_stream, "MAX_EVENTS", 1)
    long = FramePulse()
    assert not long.heard(BEGUN + STOPPED)
    assert long.full


def test_more_values_than_an_answer_has_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock_stream, "MAX_VALUES", 10)
    assert kind(streamed(event("metadata", [[]] * 5))) is K.TRUNCATED_STREAM
    assert kind(streamed(event("metadata", [[]] * 5) * 2)) is K.TOO_LARGE
    assert kind(streamed(chunk([[]] * 9), api="invoke")) is K.TOO_LARGE
    assert kind(streamed(chunk([[]] * 3), chunk([[]] * 3), api="invoke")) is K.TOO_LARGE


# --- credentials ------------------------------------------------------------------------------------------------------


def signed(codec: BedrockCodec, credential: Any) -> dict[str, str]:
    return dict(codec.authorize(codec.encode(ask()), credential, 1_790_000_000_000_000_000).headers)


def test_aws_credentials_sign_and_a_token_is_a_bearer() -> None:
    keyless = codec(Access(NOVA, "bedrock", BASE, options={"region": "us-gov-west-1"}))
    told = signed(keyless, AwsCredentials("AKID", "secret", "session"))
    assert "/us-gov-west-1/bedrock/aws4_request" in told["authorization"]
    assert told["x-amz-security-token"] == "session"
    assert signed(keyless, Token("bearer-token"))["authorization"] == "Bearer bearer-token"


@pytest.mark.parametrize(
    ("base_url", "options", "region"),
    [
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com", {}, "us-east-1"),
        ("https://gateway.example", {"region": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_a_place_of_ones_own_is_signed_for_its_region(base_url: str, options: dict[str, Any], region: str) -> None:
    made_ = codec(Access(NOVA, "bedrock", base_url, options=options))
    assert f"/{region}/bedrock/" in signed(made_, AwsCredentials("AKID", "secret"))["authorization"]


def test_a_signature_without_a_region_is_refused() -> None:
    made_ = codec(Access(NOVA, "bedrock", "https://gateway.example"))
    with pytest.raises(TypeError, match=r"write options\.region"):
        signed(made_, AwsCredentials("AKID", "secret"))
