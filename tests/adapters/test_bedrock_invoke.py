"""Bedrock's InvokeModel, whose bodies and replies are each vendor's own. Replies here are made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.frames import chunk, event, exception
from tests.adapters.native_asks import CLOSED, ask, body_of
from tests.adapters.test_bedrock import CLAUDE, USER, answer, kind, made, read, streamed

from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import CannotAsk, Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Grade
from failsoft.prompt import Image, Message, Sampling

K = FaultKind


# --- asking InvokeModel -----------------------------------------------------------------------------------------------


def test_claudes_body_names_no_model() -> None:
    body = body_of(made(CLAUDE, api="invoke"))
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert not {"model", "stream"} & body.keys()
    assert body["output_config"]["format"]["schema"] == CLOSED


SAMPLED = Sampling(max_tokens=9, temperature=0.5, seed=3, stop=("END",))
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "amazon.titan-text-lite-v1",
        {"textGenerationConfig": {"maxTokenCount": 9, "temperature": 0.5, "stopSequences": ["END"]}},
    ),
    ("meta.llama3-8b-instruct-v1:0", {"max_gen_len": 9, "temperature": 0.5}),
    ("mistral.mistral-7b-instruct-v0:2", {"max_tokens": 9, "temperature": 0.5, "stop": ["END"]}),
    ("cohere.command-text-v14", {"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["END"]}),
    ("cohere.command-r-v1:0", {"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["END"], "seed": 3}),
    ("ai21.j2-mid-v1", {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]}),
]
PROMPTS = {"amazon": "inputText", "cohere.command-r-v1:0": "message"}


@pytest.mark.parametrize(("model", "sampling"), BODIES)
def test_vendors_get_their_own_bodies_with_the_schema_in_words(model: str, sampling: dict[str, Any]) -> None:
    body = body_of(made(model, api="invoke"), ask(sampling=SAMPLED))
    prompt = body.pop(PROMPTS.get(model) or PROMPTS.get(model.partition(".")[0], "prompt"))
    assert prompt.startswith("Classify.\n\nAnswer with one JSON object")
    assert prompt.endswith("\n\nBüchse")
    assert body == sampling


def test_several_turns_are_told_apart_in_one_text() -> None:
    turns = (USER, Message("assistant", "{}"), Message("user", ("Again", "please")))
    body = body_of(made("ai21.j2-mid-v1", api="invoke"), ask(*turns, sampling=Sampling(temperature=None)))
    assert body["prompt"].endswith("\n\nUser: Hi\n\nAssistant: {}\n\nUser: Again\nplease\n\nAssistant:")
    assert "temperature" not in body


def test_nova_gets_converses_messages_and_open_weights_chats() -> None:
    nova = body_of(made(api="invoke"), ask(sampling=SAMPLED))
    assert nova["schemaVersion"] == "messages-v1"
    assert nova["messages"] == [{"role": "user", "content": [{"text": "Büchse"}]}]
    assert nova["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]}
    assert nova["system"][0] == {"text": "Classify."}
    chat = body_of(made("openai.gpt-oss-120b-1:0", api="invoke"), ask(sampling=SAMPLED))
    assert [each["role"] for each in chat["messages"]] == ["system", "user"]
    assert (chat["max_tokens"], chat["stop"]) == (9, ["END"])
    with pytest.raises(CannotAsk):
        made("openai.gpt-oss-120b-1:0", api="invoke").encode(ask(Message("user", (Image(b"x", "image/png"),))))


def test_vendors_bodies_can_be_added_to() -> None:
    body = body_of(made("ai21.j2-mid-v1", api="invoke", body={"topP": 1}, leave_out=["temperature"]))
    assert body["topP"] == 1
    assert "temperature" not in body


# --- reading InvokeModel ----------------------------------------------------------------------------------------------


def invoked(body: Any, **headers: str) -> Reading:
    return read(body, codec=made(CLAUDE, api="invoke"), **headers)


def chunks(*documents: Any, **options: Any) -> Reading:
    return streamed(*map(chunk, documents), model=CLAUDE, api="invoke", **options)


TEXTS: list[tuple[Any, str, FaultKind | None]] = [
    ({"results": [{"outputText": "{}", "completionReason": "FINISH"}]}, "{}", None),
    ({"results": [{"outputText": "x", "completionReason": "CONTENT_FILTERED"}]}, "x", K.FILTERED),
    ({"generation": "{}", "stop_reason": "stop"}, "{}", None),
    ({"generation": "{}", "stop_reason": "length"}, "{}", K.TRUNCATED),
    ({"generation": "{}", "stop_reason": None}, "{}", K.MALFORMED_REPLY),
    ({"generations": [{"text": "{}", "finish_reason": "COMPLETE"}]}, "{}", None),
    ({"generations": [{"text": "", "finish_reason": "ERROR_TOXIC"}]}, "", K.FILTERED),
    ({"generations": [{"text": "", "finish_reason": "ERROR"}]}, "", K.SERVER_ERROR),
    ({"generations": [{"text": "a", "finish_reason": "COMPLETE"}, {"text": "b"}]}, "a", K.AMBIGUOUS_REPLY),
    ({"generations": []}, "", K.MALFORMED_REPLY),
    ({"text": "{}", "finish_reason": "COMPLETE", "generation_id": "x"}, "{}", None),
    ({"outputs": [{"text": "{}", "stop_reason": "stop"}]}, "{}", None),
    ({"completions": [{"data": {"text": "{}"}, "finishReason": {"reason": "endoftext"}}]}, "{}", None),
    ({"completion": " {}", "stop_reason": "stop_sequence"}, " {}", None),
    ({"completion": "{}", "text": "{}", "stop_reason": "stop_sequence"}, "{}", None),
    ({"choices": [{"text": "{}", "finish_reason": "stop"}], "model": "its-file"}, "{}", None),
    ({"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}, "{}", None),
    ({"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]}, "", K.REFUSED),
    ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "", K.EMPTY_REPLY),
    (answer(), '{"fsc": "1005"}', None),
    ({"embeddings": [[0.1]], "texts": ["x"]}, "", K.NOT_AN_ANSWER),
    ({"images": ["x"]}, "", K.NOT_AN_ANSWER),
    (
        {
            "results": [{"outputText": "x", "completionReason": "FINISH"}],
            "amazon-bedrock-guardrailAction": "INTERVENED",
        },
        "x",
        K.FILTERED,
    ),
    (
        {"results": [{"outputText": "x", "completionReason": "FINISH"}], "amazon-bedrock-guardrailAction": "NONE"},
        "x",
        None,
    ),
]


@pytest.mark.parametrize(("body", "text", "expected"), TEXTS)
def test_vendors_replies_are_told_apart_by_their_shapes(body: Any, text: str, expected: FaultKind | None) -> None:
    reading = invoked(body)
    assert (reading.text, kind(reading)) == (text, expected)
    assert reading.served.grade is Grade.UNKNOWN


def test_claudes_reply_names_a_model_and_an_errors_name_is_read() -> None:
    body = {"type": "message", "id": "msg_1", "model": "claude-x", "stop_reason": "end_turn", "content": []}
    served = invoked({**body, "content": [{"type": "text", "text": "{}"}]}).served
    assert (served.model, served.grade, served.request_id) == ("claude-x", Grade.GATEWAY, "msg_1")
    assert kind(invoked({"__type": "ThrottlingException"})) is K.RATE_LIMITED


@pytest.mark.parametrize(
    ("headers", "tokens"),
    [
        ({"x_amzn_bedrock_input_token_count": "7", "x_amzn_bedrock_output_token_count": "3"}, Tokens(7, 3)),
        ({"x_amzn_bedrock_input_token_count": "7"}, Tokens(7, None)),
        ({"x_amzn_bedrock_input_token_count": "-7", "x_amzn_bedrock_output_token_count": "9" * 99}, None),
    ],
)
def test_usage_stands_in_headers(headers: dict[str, str], tokens: Tokens | None) -> None:
    assert invoked({"completion": "{}", "stop_reason": "stop"}, **headers).tokens == tokens


CHAT = {"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({**CHAT, "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}, Tokens(7, 3)),
        ({**CHAT, "usage": {"prompt_tokens": "7", "completion_tokens": 3}}, Tokens(None, 3)),
        (
            {"generation": "{}", "stop_reason": "stop", "prompt_token_count": 7, "generation_token_count": 3},
            Tokens(7, 3),
        ),
        (
            {
                "inputTextTokenCount": 7,
                "results": [{"tokenCount": 3, "outputText": "{}", "completionReason": "FINISH"}],
            },
            Tokens(7, 3),
        ),
        (CHAT, None),
    ],
)
def test_usage_stands_in_vendors_bodies_too(body: Any, tokens: Tokens | None) -> None:
    assert invoked(body).tokens == tokens


def test_usage_stands_in_vendors_chunks_and_the_last_one_counts() -> None:
    pieces = ({"generation": "{", "prompt_token_count": 7, "generation_token_count": 1},)
    last = {"generation": "}", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": "stop"}
    assert chunks(*pieces, last).tokens == Tokens(7, 2)
    titan = {"outputText": "{}", "index": 0, "completionReason": "FINISH"}
    assert chunks({**titan, "inputTextTokenCount": 7, "totalOutputTextTokenCount": 3}).tokens == Tokens(7, 3)


def test_chunks_of_a_chat_are_put_together_of_its_first_choice() -> None:
    def piece(text: str, index: int = 0, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}

    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    one = chunks(piece("{"), piece("}", finish="stop"), usage)
    assert (one.text, kind(one), one.tokens) == ("{}", None, Tokens(7, 3))
    two = chunks(piece("{"), piece("x", 1), piece("}", finish="stop"))
    assert (two.text, kind(two)) == ("{}", K.AMBIGUOUS_REPLY)


def test_the_answer_stands_behind_what_gpt_oss_thinks() -> None:
    text = '<reasoning>I think {"a":</reasoning>{"a":1}'
    reading = invoked({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    assert (reading.text, reading.answer, kind(reading)) == (text, '{"a":1}', None)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"name": "f", "parameters": {"a": 1}}, ToolCall("f", '{"a":1}', None)),
        ({"id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}, ToolCall("f", '{"a":1}', "c")),
        (7, ToolCall("", "{}", None)),
    ],
)
def test_vendors_calls_are_no_answers(call: Any, expected: ToolCall) -> None:
    reading = invoked({"text": "", "tool_calls": [call], "finish_reason": "COMPLETE"})
    assert (reading.calls, kind(reading)) == ((expected,), K.AMBIGUOUS_REPLY)


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 3}}


def test_pieces_of_text_are_put_together_and_the_last_says_why_it_ended() -> None:
    reading = chunks({"generation": "{"}, {"generation": "}", "stop_reason": "stop", **METRICS})
    assert (reading.text, kind(reading), reading.tokens, reading.finish) == ("{}", None, Tokens(7, 3), "stop")
    assert kind(chunks({"generation": "{}"})) is K.TRUNCATED_STREAM
    for metrics, tokens in (
        ({"outputTokenCount": 3}, Tokens(None, 3)),
        ({"inputTokenCount": 7}, Tokens(7, None)),
        ({}, None),
    ):
        last = {"generation": "{}", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics}
        assert chunks(last).tokens == tokens
    assert kind(chunks()) is K.TRUNCATED_STREAM
    two = chunks({"index": 0, "text": "a"}, {"index": 1, "text": "b"}, {"finish_reason": "COMPLETE"})
    assert (two.text, kind(two)) == ("a", K.AMBIGUOUS_REPLY)


def test_a_guardrail_in_any_chunk_decides() -> None:
    blocked = {"outputText": "x", "amazon-bedrock-guardrailAction": "INTERVENED"}
    last = {"outputText": "y", "completionReason": "FINISH", "amazon-bedrock-guardrailAction": "NONE"}
    assert kind(chunks(blocked, last)) is K.FILTERED


def test_claudes_events_and_novas_are_put_together_as_elsewhere() -> None:
    start = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "model": "claude-x"}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "{}"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    stop = {"type": "message_stop", **METRICS}
    claude = chunks(start, block, end, stop)
    assert (claude.text, kind(claude), claude.served.model, claude.tokens) == ("{}", None, "claude-x", Tokens(7, 3))
    assert kind(chunks(start, block, end)) is K.TRUNCATED_STREAM
    error = {"type": "error", "error": {"type": "overloaded_error"}}
    assert kind(chunks(start, block, error)) is K.OVERLOADED
    piece = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "{}"}}}
    nova = chunks({"messageStart": {}}, piece, {"messageStop": {"stopReason": "end_turn"}}, {"metadata": {}})
    assert (nova.text, kind(nova)) == ("{}", None)
    assert kind(chunks(piece)) is K.TRUNCATED_STREAM


def test_a_chunk_that_cannot_be_read_ends_the_stream() -> None:
    whole = chunk({"generation": "{}", "stop_reason": "stop"})
    for bad, expected in (
        (event("chunk", {"bytes": "***"}), K.MALFORMED_REPLY),
        (event("chunk", {"bytes": "e3*0="}), K.MALFORMED_REPLY),
        (event("chunk", {"bytes": "ü"}), K.MALFORMED_REPLY),
        (chunk(b"{]"), K.MALFORMED_REPLY),
        (exception("modelTimeoutException", {"message": "x"}), K.SERVER_ERROR),
        (event("other", {}), None),
    ):
        ended = streamed(whole, bad, model=CLAUDE, api="invoke")
        assert (ended.text, kind(ended)) == ("{}", expected)
