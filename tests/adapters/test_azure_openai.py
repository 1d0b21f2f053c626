"""Azure OpenAI: where it's asked, and what tells who answered. Its json_schema requests were never recorded: made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asks import KEY, PDF, PNG, ask, assert_not_shown, body_of, made, reply_of

from failsoft.core.effects import MILLISECOND, HttpReply
from failsoft.core.retry_after import retry_after_ns
from failsoft.credentials import Token
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Served

K = FaultKind
PLACE = "https://r.openai.azure.com"


def azure(model: str = "gpt-4.1-2025-04-14", base_url: str = PLACE, **options: Any) -> Any:
    return made("azure-openai", model, base_url=base_url, **options)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/openai/v1/chat/completions"),
        ({"api": "responses"}, "/openai/v1/responses"),
        (
            {"api_version": "2024-10-21"},
            "/openai/deployments/gpt-4.1-2025-04-14/chat/completions?api-version=2024-10-21",
        ),
        (
            {"api_version": "2024-10-21", "deployment": "my team's"},
            "/openai/deployments/my%20team%27s/chat/completions?api-version=2024-10-21",
        ),
        ({"api": "responses", "api_version": "2025-03-01-preview"}, "/openai/responses?api-version=2025-03-01-preview"),
        ({"api": "models"}, "/models/chat/completions?api-version=2024-05-01-preview"),
    ],
)
@pytest.mark.parametrize("base", [PLACE, f"{PLACE}/", f"{PLACE}/openai", f"{PLACE}/openai/v1/"])
def test_each_surface_has_its_url(base: str, options: dict[str, Any], path: str) -> None:
    codec = azure(base_url=base, **options)
    assert codec.encode(ask()).url == PLACE + path
    assert codec.endpoint == (PLACE + path).partition("?")[0]


@pytest.mark.parametrize("host", ["r.openai.azure.us", "r.cognitiveservices.azure.com", "gateway.example.mil"])
def test_any_host_is_taken(host: str) -> None:
    assert azure(base_url=f"https://{host}").endpoint == f"https://{host}/openai/v1/chat/completions"


def test_a_query_of_the_base_url_is_kept() -> None:
    url = azure(base_url=f"{PLACE}?x=1", api_version="v").encode(ask()).url
    assert url.endswith("?x=1&api-version=v")


@pytest.mark.parametrize("base", ["ftp://r", "https://u:p@r.openai.azure.com", "http://[::1"])
def test_what_is_no_url_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        azure(base_url=base)


@pytest.mark.parametrize(
    "pasted",
    [
        "/openai/deployments/D/chat/completions?api-version=2024-10-21",
        "/openai/deployments/D",
        "/openai/deployments/",
        "/models",
        "/models/chat/completions?api-version=2024-05-01-preview",
        "/openai/responses?api-version=2025-04-01-preview",
        "/openai/v1/chat/completions",
    ],
)
def test_a_base_url_names_the_resource_only(pasted: str) -> None:
    for options in ({}, {"api": "models"}, {"api_version": "2024-10-21"}):
        with pytest.raises(ConfigurationError, match=r"base_url: name the resource only.*options\.deployment"):
            azure(base_url=PLACE + pasted, **options)


def test_a_version_is_said_once() -> None:
    assert azure(base_url=f"{PLACE}/openai/v1?api-version=preview").encode(ask()).url.endswith("?api-version=preview")
    with pytest.raises(ConfigurationError, match=r"options\.api_version"):
        azure(base_url=f"{PLACE}?api-version=2024-10-21", api_version="2024-10-21")


def test_the_key_has_a_header_of_its_own_and_a_token_the_usual_one() -> None:
    for api in ("chat", "responses", "models"):
        codec = azure(api=api)
        request = codec.encode(ask())
        assert ("api-key", KEY) in request.headers
        assert ("authorization", "Bearer entra-token") in codec.authorize(request, Token("entra-token"), 0).headers


def test_the_deployment_is_asked_for_and_the_schema_is_the_small_subset() -> None:
    body = body_of(azure(deployment="my-gpt"))
    assert (body["model"], body["max_completion_tokens"]) == ("my-gpt", 64)
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["parts"] == {
        "type": "array",
        "description": "(minItems 1)",
        "items": {"type": "integer", "description": "(minimum 0)"},
    }
    assert "store" not in body
    responses = body_of(azure(api="responses"))
    assert (responses["model"], responses["store"]) == ("gpt-4.1-2025-04-14", False)
    assert body_of(azure(api="models"))["max_tokens"] == 64


def test_a_pdf_is_shown_in_responses_only() -> None:
    assert_not_shown(azure(), PDF)
    assert body_of(azure(api="responses"), ask_with(PDF, PNG))["input"][0]["content"][0]["type"] == "input_file"


def ask_with(*parts: Any) -> Any:
    from failsoft.prompt import Message

    return ask(Message("user", parts))


# --- who answered -----------------------------------------------------------------------------------------------------


def chat(model: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"content": "{}"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "c", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


def response(model: str) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": "{}"}]}
    return {"id": "r", "object": "response", "status": "completed", "model": model, "output": [message]}


def served(codec: Any, body: dict[str, Any], **headers: str) -> Served:
    found: Served = codec.decode(reply_of(body, **headers)).served
    return found


def test_a_dated_name_is_the_providers_own_and_another_tells_no_more_than_was_asked() -> None:
    assert served(azure(), chat("gpt-4.1-2025-04-14")).grade is Grade.PROVIDER
    assert served(azure(), chat("gpt-35-turbo")).grade is Grade.ECHOED
    assert served(azure(api="models"), chat("grok-4-1-fast")).grade is Grade.ECHOED


def test_a_response_echoes_the_deployment_which_is_no_models_name() -> None:
    echoed = served(azure("gpt-5.4", api="responses"), response("gpt-5.4"))
    assert (echoed.model, echoed.grade) == ("gpt-5.4", Grade.ECHOED)
    own = served(azure("gpt-5.4", api="responses", deployment="my-gpt"), response("my-gpt"))
    assert (own.model, own.grade) == (None, Grade.UNKNOWN)
    unnamed = served(azure("prod-0613", api="responses"), response("prod-0613"))
    assert (unnamed.model, unnamed.grade) == (None, Grade.UNKNOWN)
    told = served(azure("prod-0613", api="responses"), response("prod-0613"), x_ms_served_model="gpt-5-nano-2025-08-07")
    assert (told.model, told.grade) == ("gpt-5-nano-2025-08-07", Grade.PROVIDER)
    other = served(azure("gpt-5.4", api="responses", deployment="my-gpt"), response("gpt-4o"))
    assert other.model == "gpt-4o"
    missing = served(azure("gpt-5.4", api="responses"), {**response(""), "model": None})
    assert (missing.model, missing.grade) == (None, Grade.UNKNOWN)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_header_tells_the_model_and_the_deployment_and_where_it_spilled_over(api: str) -> None:
    body = chat("gpt-4o") if api == "chat" else response("gpt-4o")
    headers = {
        "x_ms_served_model": "gpt-5-nano-2025-08-07",
        "x_ms_deployment_name": "ptu",
        "x_ms_is_spilled_over": "false",
    }
    told = served(azure(api=api), body, **headers)
    assert (told.model, told.grade, told.upstream) == ("gpt-5-nano-2025-08-07", Grade.PROVIDER, "ptu")
    spilled = served(azure(api=api), body, x_ms_deployment_name="standard", x_ms_is_spilled_over="True")
    assert spilled.upstream == "standard (spilled over)"
    assert served(azure(api=api), body, x_ms_is_spilled_over="true").upstream == "another deployment (spilled over)"
    assert served(azure(api=api), body).upstream is None


def test_azures_first_chunk_names_no_model_and_has_no_choices() -> None:
    chunks = [
        {"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": []},
        {"id": "c", "model": "gpt-4o-2024-11-20", "object": "chat.completion.chunk"}
        | {"choices": [{"index": 0, "delta": {"content": "{}"}, "finish_reason": "stop"}]},
    ]
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks)
    reply = made("azure-openai", "gpt-4o", stream=True).decode(
        HttpReply(200, {"content-type": "text/event-stream"}, body)
    )
    assert (reply.answer, reply.served.model) == (b"{}", "gpt-4o-2024-11-20")


# --- errors -----------------------------------------------------------------------------------------------------------

FILTER = {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}, "status": 400}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, FILTER, K.FILTERED),
        (200, FILTER, K.FILTERED),
        (200, {**chat("m"), "choices": [{"index": 0, "finish_reason": "content_filter"}]}, K.FILTERED),
        (401, {"error": {"code": "401", "message": "Access denied"}}, K.UNAUTHENTICATED),
        (404, {"error": {"code": "DeploymentNotFound"}}, K.MODEL_NOT_FOUND),
        (404, {"error": {"code": "404", "message": "Resource not found"}}, K.NOT_FOUND),
        (429, {"error": {"code": "429"}}, K.RATE_LIMITED),
        (503, {"error": {"code": "InternalServerError"}}, K.SERVER_ERROR),
    ],
)
def test_errors_made_by_hand(status: int, body: dict[str, Any], expected: FaultKind) -> None:
    fault = azure().parse(reply_of(body, status)).fault
    assert fault is not None
    assert (fault.kind, fault.status) == (expected, status)


def test_bare_numbers_in_reset_headers_are_milliseconds() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "500"}
    assert retry_after_ns(headers, 429, 0) == 500 * MILLISECOND
