"""Services behind plain JSON. None was recorded: every reply here is hand-made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.replayed import KEY, access, answered, ask, sent, streaming

from failsoft.adapters.http_json import HttpJson, codec
from failsoft.adapters.reading import Reading
from failsoft.core.effects import AnswerSchema, Reply, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Served

K = FaultKind
ITEM = {"item": "Büchse"}


def service(**options: Any) -> HttpJson:
    return codec(access(options=options))


def answer(body: Any, **options: Any) -> Any:
    reply = service(**options).decode(answered(body))
    assert isinstance(reply, Reply), reply
    return json.loads(reply.answer)


def kind(body: Any, status: int = 200, headers: dict[str, str] | None = None, **options: Any) -> FaultKind:
    reply = service(**options).decode(answered(body, status, headers))
    assert isinstance(reply, Unusable), reply
    assert reply.fault.status == status
    return reply.fault.kind


def test_the_request_is_the_body_and_no_prompt_is_sent() -> None:
    request = service(path="/predict").encode(ask())
    assert request.url == "https://h.example/v1/predict"
    assert request.body == ask().request_json
    assert (request.method, dict(request.headers)["authorization"]) == ("POST", f"Bearer {KEY}")
    assert service().url == "https://h.example/v1"


def test_the_request_can_be_put_into_fields() -> None:
    assert sent(service(request_field="a.b")) == {"a": {"b": ITEM}}
    assert sent(service(request_field='a"')) == {'a"': ITEM}


def test_no_schema_is_sent_whatever_the_response_type() -> None:
    made = service()
    open_one = AnswerSchema("x", {"type": "object", "additionalProperties": {"type": "string"}})
    assert made.prepare(open_one) == b""
    assert sent(made, answer=open_one) == ITEM


def test_kserve_takes_one_element_of_bytes_and_gives_one() -> None:
    made = service(request="kserve-v2")
    [tensor] = sent(made)["inputs"]
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("request", [1], "BYTES")
    assert [json.loads(each) for each in tensor["data"]] == [ITEM]
    assert sent(service(request="kserve-v2", request_field="in"))["inputs"][0]["name"] == "in"

    def output(text: Any) -> dict[str, Any]:
        return {"model_name": "m", "model_version": "3", "outputs": [{"name": "o", "shape": [1], "data": [text]}]}

    assert answer(output('{"fsc": "1005"}'), request="kserve-v2") == {"fsc": "1005"}
    assert answer(output(' "1005"\n'), request="kserve-v2") == {"value": "1005"}
    assert answer(output(0.5), request="kserve-v2") == {"value": 0.5}
    assert kind(output("1005 it is"), request="kserve-v2") is K.MALFORMED_ANSWER
    assert kind({"outputs": []}, request="kserve-v2") is K.NOT_AN_ANSWER


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"fsc": "1005"}, {"fsc": "1005"}),
        ({"value": "1005"}, {"value": "1005"}),
        ("1005", {"value": "1005"}),
        ([1, 2], {"value": [1, 2]}),
        (None, {"value": None}),
        (0.1, {"value": 0.1}),
    ],
)
def test_what_is_no_object_is_wrapped(body: Any, expected: Any) -> None:
    assert answer(body) == expected
    assert answer({"a": [{}, {"b.": 0, "b": body}]}, response_field="a.1.b") == expected


def test_a_whole_body_is_the_answer_as_it_stands() -> None:
    for body, expected in ((b' {"a": 1.10}\n', b'{"a": 1.10}'), (b"1.10", b'{"value":1.10}')):
        reply = service().decode(answered(body))
        assert isinstance(reply, Reply)
        assert reply.answer == expected


@pytest.mark.parametrize("field", ["b", "a.2", "a.x", "a.-1", "a.9999999999", "a.0.b", "a.٠", "."])
def test_where_nothing_stands_there_is_no_answer(field: str) -> None:
    assert kind({"a": [1, 2]}, response_field=field) is K.NOT_AN_ANSWER


@pytest.mark.parametrize(
    ("options", "headers", "served"),
    [
        ({}, {}, Served()),
        ({"served_field": "model.version"}, {}, Served("v7", Grade.PROVIDER)),
        ({"served_field": "number"}, {}, Served("7", Grade.PROVIDER)),
        ({"served_field": "a"}, {}, Served()),
        (
            {"served_header": "X-Model"},
            {"x-model": "h1", "x-request-id": "r1"},
            Served("h1", Grade.PROVIDER, None, "r1"),
        ),
        ({"served_header": "X-Model", "served_field": "number"}, {}, Served("7", Grade.PROVIDER)),
    ],
)
def test_who_answered_is_known_where_the_service_says_so(
    options: dict[str, Any], headers: dict[str, str], served: Served
) -> None:
    body = {"a": 1.5, "number": 7, "model": {"version": "v7"}}
    assert service(**options).parse(answered(body, 200, headers)).served == served
    assert service(**options).parse(answered(body, 500, headers)).served == served


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 200, K.MALFORMED_REPLY),
        (b"<html>", 200, K.WEB_PAGE),
        (b'{"a": 1, "a": 2}', 200, K.MALFORMED_REPLY),
        (b"", 204, K.MALFORMED_REPLY),
        ({"error": "x"}, 201, K.UNEXPECTED_STATUS),
        ({"error": "x"}, 400, K.REQUEST_REJECTED),
        ({"error": "x"}, 422, K.REQUEST_REJECTED),
        ({"error": "x"}, 404, K.NOT_FOUND),
        (b"no", 500, K.SERVER_ERROR),
        ({"error": "x"}, 503, K.SERVER_ERROR),
    ],
)
def test_an_error_is_what_its_status_says(body: Any, status: int, expected: FaultKind) -> None:
    assert kind(body, status) is expected


def test_a_503_that_tells_to_wait_throttles() -> None:
    assert kind({"error": "x"}, 503, {"retry-after": "3"}) is K.OVERLOADED


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"request": "kserve"}, '"plain", "kserve-v2"'),
        ({"api": "x"}, r'options\.api: must be one of "json"'),
        ({"path": "predict"}, r"options\.path"),
        ({"path": "/a?b"}, r"options\.path"),
        ({"response_field": ""}, "response_field"),
        ({"structured": "tool"}, "structured"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        service(**options)


def test_it_has_no_streams() -> None:
    with pytest.raises(ConfigurationError, match="stream"):
        codec(streaming())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "outputs", "data", "0"]), inner),
    max_leaves=20,
)


@given(
    JSON,
    st.sampled_from([200, 400, 503]),
    st.sampled_from(["plain", "kserve-v2"]),
    st.sampled_from(["a", "a.0", "outputs.0.data"]),
)
def test_no_json_makes_it_raise(body: Any, status: int, request: str, field: str) -> None:
    made = service(request=request, response_field=field, served_field=field)
    assert type(made.parse(answered(body, status))) is Reading
    assert isinstance(made.decode(answered(body, status)), Reply | Unusable)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(service().decode(answered(body)), Reply | Unusable)
