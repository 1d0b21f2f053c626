from __future__ import annotations

import cProfile
import json
import pstats
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.adapters.access import Access
from failsoft.adapters.openai import codec as openai_codec
from failsoft.adapters.openai_compatible import OpenAICompatible, openai_compatible
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, Reply, Tokens, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Pin
from failsoft.prompt import Message, Prompt, Sampling

K = FaultKind
SECRET = "sk-very-secret"
SCHEMA = {"type": "object", "properties": {"fsc": {"type": "string", "enum": ["1005", "1010"]}}, "required": ["fsc"]}


def codec(**options: Any) -> OpenAICompatible:
    return openai_compatible("http://127.0.0.1:8080/v1", SECRET, **options)


def openai(model: str = "gpt-4.1-2025-04-14", **options: Any) -> OpenAICompatible:
    made = openai_codec(Access(model, "openai", "https://api.openai.com/v1", SECRET, options=options))
    assert isinstance(made, OpenAICompatible)
    return made


def ask(**changes: Any) -> Ask:
    values: dict[str, Any] = {
        "request": None,
        "request_json": b"{}",
        "prompt": Prompt((Message("system", "Classify."), Message("user", "Büchse"))),
        "answer": AnswerSchema("classify-item", SCHEMA),
        "sampling": Sampling(max_tokens=64),
        "pin": Pin("some-model"),
    }
    return Ask(**{**values, **changes})


def body_of(asked: Ask, **options: Any) -> dict[str, Any]:
    return json.loads(codec(**options).encode(asked).body)


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_says_exactly_this() -> None:
    request = codec().encode(ask())
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:8080/v1/chat/completions")
    assert json.loads(request.body) == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Büchse"}],
        "stream": False,
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "classify-item",
                "strict": True,
                "schema": {**SCHEMA, "additionalProperties": False},
            },
        },
    }
    headers = dict(request.headers)
    assert headers.pop("user-agent").startswith("failsoft/")
    assert headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {SECRET}",
    }


def test_sampling_that_says_nothing_is_left_out() -> None:
    sampling = Sampling(temperature=None, seed=None, stop=("END",))
    body = body_of(ask(sampling=sampling))
    assert body["stop"] == ["END"]
    assert "temperature" not in body
    assert "seed" not in body


def test_fields_can_be_left_out_for_models_that_refuse_them() -> None:
    body = body_of(ask(), leave_out=["temperature", "seed", "model"])
    assert not {"temperature", "seed"} & body.keys()
    assert body["model"] == "some-model"


def test_extra_fields_and_headers_are_sent() -> None:
    made = codec(body={"reasoning_effort": "low", "seed": 7}, extra_headers={"X-Team": "a"})
    request = made.encode(ask())
    assert json.loads(request.body)["reasoning_effort"] == "low"
    assert json.loads(request.body)["seed"] == 7
    assert ("x-team", "a") in request.headers


def test_openai_itself_stores_nothing_and_names_its_cap_otherwise() -> None:
    made = openai(body={"service_tier": "default"})
    request = made.encode(ask())
    body = json.loads(request.body)
    assert (body["store"], body["service_tier"], body["max_completion_tokens"]) == (False, "default", 64)
    assert "max_tokens" not in body
    assert (made.provider, made.endpoint) == ("openai", "https://api.openai.com/v1/chat/completions")


def test_a_schema_is_written_once_per_capability() -> None:
    answer = AnswerSchema("x", SCHEMA)
    made = codec()
    first = made.encode(ask(answer=answer)).body
    answer.schema = {}
    assert made.encode(ask(answer=answer)).body == first
    assert codec().encode(ask(answer=answer)).body == first


def test_a_schema_can_be_prepared_before_the_first_call() -> None:
    answer = AnswerSchema("x", SCHEMA)
    assert codec().prepare(answer) is codec().prepare(answer)
    with pytest.raises(ConfigurationError, match="open dictionary"):
        codec().prepare(AnswerSchema("y", {"type": "object", "additionalProperties": {"type": "string"}}))


def test_two_dialects_keep_their_own_bytes_of_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}}
    answer = AnswerSchema("x", schema)
    assert b'"maxLength":3' in codec().encode(ask(answer=answer)).body
    assert b'"maxLength":3' not in openai().encode(ask(answer=answer)).body
    assert len(answer.cache) == 2


def test_a_key_is_never_shown() -> None:
    made = codec(extra_headers={"x-other": SECRET})
    assert SECRET not in repr(made)
    assert SECRET not in repr(made.encode(ask()))


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("x-other", "k3y-" + "x" * 12, True),  # by its look
        ("x-token", "password", True),  # by its name
        ("x-token", "EMPTY", False),
        ("x-team", "procurement-of-spare-parts", False),
        ("x-version", "2023-06-01", False),
        ("x-gateway", "Bearer k3y-" + "x" * 12, True),
        ("x-gateway", "since k3y-" + "x" * 12, False),
    ],
)
def test_a_header_is_a_secret_by_its_name_or_its_look(name: str, value: str, secret: bool) -> None:
    assert (value in codec(extra_headers={name: value}).secrets) is secret


def basic(user: str) -> str:
    return b64encode(user.encode()).decode()


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("x-gateway-auth", "Bearer gateway-token", ["gateway-token"]),
        ("x-gateway-auth", "apikey  lettersonly", ["lettersonly"]),
        ("x-gateway-auth", "GenieKey abcd-1234", ["abcd-1234"]),
        ("x-gateway", "Token k3y-" + "x" * 12, ["k3y-" + "x" * 12]),
        ("x-auth", "Bearer EMPTY", []),
        ("x-author", "Jane Thompson", []),  # a word that stands in many answers
        ("x-auth-since", "from 2023-06-01", []),
        ("proxy-authorization", f"Basic {basic('me:pass:word-1')}", [basic("me:pass:word-1"), "pass:word-1"]),
        ("proxy-authorization", f"Basic {basic('me:password')}", [basic("me:password")]),
        ("proxy-authorization", "Basic not-base64", ["not-base64"]),
        ("proxy-authorization", "Basic /////w==", ["/////w=="]),
        ("cookie", 'session=abcd-1234; theme=lightmode; since=2023-06-01; id="1234-abcd"', ["abcd-1234", "1234-abcd"]),
    ],
)
def test_what_is_secret_of_a_header_is_a_secret_alone(name: str, value: str, parts: list[str]) -> None:
    assert codec(extra_headers={name: value}).secrets == (SECRET, value, *parts)


def test_without_a_key_none_is_sent() -> None:
    assert "authorization" not in dict(openai_compatible("http://h/v1").encode(ask()).headers)


def test_a_query_is_kept_for_asking_but_not_for_the_record() -> None:
    made = openai_compatible("https://h.example/openai/?api-version=1", SECRET)
    assert made.encode(ask()).url == "https://h.example/openai/chat/completions?api-version=1"
    assert made.endpoint == "https://h.example/openai/chat/completions"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/v1",
        "ftp://h",
        "http://",
        "https://user:pw@h/",
        "https://h/#x",
        "http://[::1",
        "http://h:99999/",
        "http://h/ x",
    ],
)
def test_a_base_url_must_be_plain(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        openai_compatible(url)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": ""},
        {"api_key": "sk\nInjected: 1"},
        {"api_key": "sk-ü"},
        {"api_key": " sk"},
        {"extra_headers": {"bad name": "x"}},
        {"extra_headers": {"": "x"}},
        {"extra_headers": {"Authorization": "x"}},
        {"extra_headers": {"x": "a\r\nb"}},
    ],
)
def test_options_that_could_change_what_is_promised_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as error:
        openai_compatible("http://h/v1", **options)
    assert "Injected" not in str(error.value)


def test_an_ask_costs_few_calls() -> None:
    made, asked = codec(), ask()
    made.encode(asked)
    profile = cProfile.Profile()
    profile.enable()
    made.encode(asked)
    profile.disable()
    assert pstats.Stats(profile).total_calls <= 9


# --- reading ----------------------------------------------------------------------------------------------------------


def completion(content: Any = '{"fsc": "1005"}', *, finish: Any = "stop", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish, **changes.pop("choice", {})}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "some-model-2026-01-01",
        "system_fingerprint": "fp_1",
        "choices": [choice],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    return {**body, **changes}


def answered(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {"content-type": "application/json"} if headers is None else headers, raw)


def fault(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Fault:
    result = codec().decode(answered(body, status, headers))
    assert isinstance(result, Unusable), result
    assert result.fault.status == status
    return result.fault


def kind(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> FaultKind:
    return fault(body, status, headers).kind


def good(body: Any, **options: Any) -> Reply:
    result = codec(**options).decode(answered(body))
    assert isinstance(result, Reply), result
    return result


def test_an_answer_says_who_gave_it() -> None:
    reply = good(completion(' {"fsc": "1005"}\n'))
    assert reply.answer == b'{"fsc": "1005"}'
    assert reply.served.model == "some-model-2026-01-01"
    assert (reply.served.grade, reply.served.fingerprint) == (Grade.ECHOED, "fp_1")
    assert reply.served.request_id == "chatcmpl-1"
    assert reply.tokens == Tokens(7, 3)


def test_the_grade_is_the_operators_to_raise_and_openai_states_its_own() -> None:
    assert good(completion(), grade=Grade.GATEWAY).served.grade is Grade.GATEWAY
    reply = openai().decode(answered(completion()))
    assert isinstance(reply, Reply)
    assert reply.served.grade is Grade.PROVIDER


@pytest.mark.parametrize("model", [None, "", 7, []])
def test_a_missing_model_is_unknown(model: Any) -> None:
    served = good(completion(model=model)).served
    assert (served.model, served.grade) == (None, Grade.UNKNOWN)


@pytest.mark.parametrize("header", ["x-request-id", "x-generation-id", "apim-request-id", "x-ds-trace-id"])
def test_a_header_names_the_request_before_the_body_does(header: str) -> None:
    reply = codec().decode(answered(completion(), headers={header: "req-1"}))
    assert isinstance(reply, Reply)
    assert reply.served.request_id == "req-1"


def test_groqs_number_stands_in_its_own_place() -> None:
    assert good(completion(x_groq={"id": "req_g"})).served.request_id == "req_g"


def test_what_a_provider_states_is_cut() -> None:
    served = good(completion(model="m" * 5000, system_fingerprint="f" * 5000, id="i" * 5000)).served
    assert [len(str(each)) for each in (served.model, served.fingerprint, served.request_id)] == [512] * 3


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ("many", None),
        ({}, None),
        ({"prompt_tokens": -1, "completion_tokens": 3}, Tokens(None, 3)),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, None),
        ({"prompt_tokens": 2**60, "completion_tokens": 1}, Tokens(None, 1)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, Tokens(10, 30)),  # xAI's reasoning
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 1}, Tokens(10, 5)),
    ],
)
def test_usage_is_what_it_says_or_unknown(usage: Any, tokens: Tokens | None) -> None:
    assert good(completion(usage=usage)).tokens == tokens


REPLIES: dict[str, tuple[Any, FaultKind]] = {
    "17 truncated JSON": (json.dumps(completion()).encode()[:-5], K.MALFORMED_REPLY),
    "28 an empty body": (b"", K.MALFORMED_REPLY),
    "28 white space only": (b"\r\n\r\n ", K.MALFORMED_REPLY),
    "29 an error in a 200": ({"error": {"code": "rate_limit_exceeded"}}, K.RATE_LIMITED),
    "29 an error with a status in it": ({"error": {"code": 429, "message": "slow"}}, K.RATE_LIMITED),
    "29 an error that says nothing": ({"error": {"message": "oops"}}, K.SERVER_ERROR),
    "29 an error as text": ({"error": "oops"}, K.SERVER_ERROR),
    "30 no choices": (completion(choices=[]), K.EMPTY_REPLY),
    "30 choices null": (completion(choices=None), K.EMPTY_REPLY),
    "30 a choice that is no object": (completion(choices=[None]), K.EMPTY_REPLY),
    "31 finish reason error": (completion(finish="error"), K.SERVER_ERROR),
    "31 an error in the choice": (completion(finish="error", choice={"error": {"code": 502}}), K.SERVER_ERROR),
    "31 a cut upstream that looks whole": (
        completion("", choice={"native_finish_reason": "network_error"}),
        K.SERVER_ERROR,
    ),
    "32 length": (completion('{"fsc": "1005"}', finish="length"), K.TRUNCATED),
    "32 length and nothing": (completion("", finish="length"), K.TRUNCATED),
    "33 a content filter": (completion(finish="content_filter"), K.FILTERED),
    "33 a content filter without message": (completion(choices=[{"finish_reason": "content_filter"}]), K.FILTERED),
    "34 a refusal": (completion(None, message={"refusal": "I can't"}), K.REFUSED),
    "36 a tool call": (completion(None, finish="tool_calls", message={"tool_calls": [{"id": "1"}]}), K.AMBIGUOUS_REPLY),
    "36 a tool call beside text": (completion(message={"tool_calls": [{"id": "1"}]}), K.AMBIGUOUS_REPLY),
    "36 a function call": (completion(None, message={"function_call": {"name": "f"}}), K.AMBIGUOUS_REPLY),
    "37 two choices": (completion(choices=completion()["choices"] * 2), K.AMBIGUOUS_REPLY),
    "38 text around JSON": (completion('Here: {"fsc": "1005"}'), K.MALFORMED_ANSWER),
    "38 a code fence": (completion('```json\n{"fsc": "1005"}\n```'), K.MALFORMED_ANSWER),
    "40 NaN in the answer": (completion('{"a": NaN}'), K.MALFORMED_ANSWER),
    "40 1e999 in the answer": (completion('{"a": 1e999}'), K.MALFORMED_ANSWER),
    "40 NaN in the envelope": (b'{"choices": NaN}', K.MALFORMED_REPLY),
    "41 a duplicate key in the answer": (completion('{"a": 1, "a": 2}'), K.MALFORMED_ANSWER),
    "41 a duplicate key in the envelope": (b'{"choices": [], "choices": []}', K.MALFORMED_REPLY),
    "42 5,000 digits": (completion("1" * 5000), K.MALFORMED_ANSWER),
    "43 100,000 arrays in the answer": (completion("[" * 100_000), K.MALFORMED_ANSWER),
    "43 100,000 arrays in the envelope": (b"[" * 100_000, K.MALFORMED_REPLY),
    "44 a lone surrogate in the answer": (completion('"\\ud83d"'), K.MALFORMED_ANSWER),
    "44 a lone surrogate in the envelope": (b'{"model": "\\ud83d"}', K.MALFORMED_REPLY),
    "45 invalid UTF-8": (b'{"model": "\xff"}', K.MALFORMED_REPLY),
    "46 a byte-order mark": (b"\xef\xbb\xbf{}", K.MALFORMED_REPLY),
    "46 two documents in the answer": (completion("{}{}"), K.MALFORMED_ANSWER),
    "nothing but a bill": (completion(None), K.EMPTY_REPLY),
    "spaces instead of what couldn't be parsed": (completion("    "), K.EMPTY_REPLY),
    "a content that is no text": (completion({"a": 1}), K.EMPTY_REPLY),
    "two text parts": (
        completion([{"type": "text", "text": "{}"}, {"type": "text", "text": "{}"}]),
        K.MALFORMED_ANSWER,
    ),
    "a reason to finish that nobody knows": (completion(finish="enough"), K.AMBIGUOUS_REPLY),
    "a reason to finish that is none": (completion(finish={"a": 1}), K.AMBIGUOUS_REPLY),
    "called, it says, but nothing is": (completion(finish="tool_calls"), K.AMBIGUOUS_REPLY),
    "vLLM's error object in a 200": ({"object": "error", "code": 400, "message": "no"}, K.REQUEST_REJECTED),
    "embeddings": ({"object": "list", "data": [{"object": "embedding"}], "model": "m"}, K.NOT_AN_ANSWER),
    "a moderation": ({"id": "modr-1", "model": "m", "results": []}, K.NOT_AN_ANSWER),
    "a list": ([1], K.MALFORMED_REPLY),
    "a string": ("Not Found", K.MALFORMED_REPLY),
    "a deletion under the same path": (
        {"id": "x", "object": "chat.completion.deleted", "deleted": True},
        K.NOT_AN_ANSWER,
    ),
}


@pytest.mark.parametrize("row", REPLIES)
def test_a_reply_that_does_not_answer_is_a_fault(row: str) -> None:
    body, expected = REPLIES[row]
    assert kind(body) is expected


def test_reasoning_parts_are_no_part_of_the_answer() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "{}"}]
    assert good(completion(parts)).answer == b"{}"
    assert good(completion("{}", message={"reasoning_content": "hm"})).answer == b"{}"


def test_what_was_spoken_is_the_text() -> None:
    assert good(completion(None, message={"audio": {"id": "a", "data": "AA==", "transcript": "{}"}})).answer == b"{}"


def test_thoughts_that_a_server_left_in_the_text_are_no_part_of_the_answer() -> None:
    text = "\n<think>\nhm {}\n</think>\n\n{}"
    assert good(completion(text)).answer == b"{}"
    assert codec().parse(answered(completion(text))).text == text
    for behind in ("thoughts </think>{}", "</think>\n{}", "<reasoning>{</reasoning>{}", "<thinking>x</thinking> {}"):
        assert good(completion(behind)).answer == b"{}"
    assert good(completion('"</think>"')).answer == b'"</think>"'
    assert kind(completion("<think>hm {}")) is K.MALFORMED_ANSWER
    assert kind(completion("<think>hm</think>")) is K.MALFORMED_ANSWER


@pytest.mark.parametrize("finish", ["", None, "eos"])
def test_an_unstated_finish_reason_is_decided_by_the_answer_itself(finish: Any) -> None:
    assert good(completion(finish=finish)).answer == b'{"fsc": "1005"}'


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/xml; charset=utf-8"])
def test_a_reply_of_another_media_type_is_malformed(content_type: str) -> None:
    assert kind(completion(), headers={"content-type": content_type}) is K.MALFORMED_REPLY


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "Application/XHTML+XML"])
def test_row_27_a_web_page_is_called_one(content_type: str) -> None:
    assert kind(completion(), headers={"content-type": content_type}) is K.WEB_PAGE


@pytest.mark.parametrize("body", [b"<html>login</html>", b"\r\n <!DOCTYPE HTML><title>Sign in</title>"])
def test_row_27_a_web_page_is_known_by_its_start_where_its_type_says_json(body: bytes) -> None:
    assert kind(body, headers={"content-type": "application/json"}) is K.WEB_PAGE
    assert kind(body, headers={}) is K.WEB_PAGE


@pytest.mark.parametrize("content_type", ["APPLICATION/JSON; charset=UTF-8", "application/problem+json", "text/plain"])
def test_json_under_a_usual_name_is_read(content_type: str) -> None:
    result = codec().decode(answered(completion(), headers={"content-type": content_type}))
    assert isinstance(result, Reply)


def test_a_reply_that_does_not_answer_still_says_who_gave_it() -> None:
    result = codec().decode(answered(completion(None, message={"refusal": "no"})))
    assert isinstance(result, Unusable)
    assert result.served is not None
    assert result.served.model == "some-model-2026-01-01"
    assert result.tokens == Tokens(7, 3)


@pytest.mark.parametrize(
    ("status", "expected"), [(204, K.MALFORMED_REPLY), (201, K.UNEXPECTED_STATUS), (202, K.UNEXPECTED_STATUS)]
)
def test_another_success_than_200_is_no_answer(status: int, expected: FaultKind) -> None:
    assert kind(completion() if status != 204 else b"", status) is expected


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "choices",
                    "message",
                    "content",
                    "refusal",
                    "tool_calls",
                    "finish_reason",
                    "usage",
                    "model",
                    "id",
                    "object",
                    "code",
                    "type",
                    "param",
                    "metadata",
                    "raw",
                    "headers",
                    "status",
                    "limit_source",
                    "x_groq",
                    "prompt_tokens",
                    "total_tokens",
                    "text",
                    "native_finish_reason",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
STATUSES = st.sampled_from([200, 200, 200, 204, 400, 401, 404, 429, 500, 503, 599])


@given(JSON_LIKE, STATUSES)
def test_no_json_makes_it_raise(body: Any, status: int) -> None:
    assert isinstance(codec().decode(answered(body, status)), Reply | Unusable)


@given(st.dictionaries(st.sampled_from(["choices", "usage", "error", "model"]), JSON_LIKE), JSON_LIKE, STATUSES)
def test_no_nearly_right_envelope_makes_it_raise(changes: dict[str, Any], choice: Any, status: int) -> None:
    body = {**completion(), "choices": [choice], **changes}
    assert isinstance(codec().decode(answered(body, status)), Reply | Unusable)


@given(st.binary(max_size=100), STATUSES)
def test_no_bytes_make_it_raise(body: bytes, status: int) -> None:
    assert isinstance(codec().decode(answered(body, status)), Reply | Unusable)
