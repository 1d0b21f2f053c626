"""How servers of OpenAI's family are asked: for the schema in four ways, with the sampling that the model takes, with images."""

from __future__ import annotations

from typing import Any

import pytest
from asks import KEY, PDF, PNG, SCHEMA, ask, assert_not_shown, body_of, made

from failsoft.adapters.json_schema import Limits, strict_schema
from failsoft.adapters.openai_dialect import refused_by
from failsoft.core.effects import AnswerSchema
from failsoft.errors import ConfigurationError
from failsoft.prompt import Document, Message

BOTH = [("openai", "chat"), ("openai", "responses")]


def openai(api: str, model: str = "gpt-4.1-2025-04-14", **options: Any) -> Any:
    return made("openai", model, api=api, **options)


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body.get("messages") or body["input"]


# --- the schema -------------------------------------------------------------------------------------------------------


def test_a_response_is_asked_for_exactly_so() -> None:
    request = openai("responses").encode(ask(seed=1, stop=("END",)))
    assert request.url == "https://api.openai.com/v1/responses"
    body = body_of(openai("responses"), ask(seed=1, stop=("END",)))
    schema = body["text"]["format"].pop("schema")
    assert body == {
        "model": "some-model",
        "input": [{"role": "system", "content": 'Say "so".'}, {"role": "user", "content": "Büchse"}],
        "stream": False,
        "max_output_tokens": 64,
        "temperature": 0.0,
        "store": False,
        "text": {"format": {"type": "json_schema", "name": "classify-item", "strict": True}},
    }
    assert schema["required"] == ["fsc", "reason", "parts"]
    assert schema["properties"]["reason"] == {"type": "string", "description": "(minLength 3)", "pattern": "^[a-z]+$"}


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_tool_may_carry_the_answer(api: str) -> None:
    body = body_of(openai(api, structured="tool"))
    [tool] = body["tools"]
    function = tool["function"] if api == "chat" else tool
    assert (tool["type"], function["name"], function["strict"]) == ("function", "answer", True)
    assert function["parameters"]["additionalProperties"] is False
    named = {"function": {"name": "answer"}} if api == "chat" else {"name": "answer"}
    assert body["tool_choice"] == {"type": "function", **named}
    assert not {"response_format", "text"} & body.keys()


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("way", ["json", "prompt"])
def test_the_schema_may_stand_in_the_prompt(api: str, way: str) -> None:
    body = body_of(openai(api, structured=way))
    system, user = messages_of(body)
    assert system["content"].endswith('}\n\nSay "so".')
    assert "JSON" in system["content"]
    assert '"minLength":3' in system["content"]
    assert user == {"role": "user", "content": "Büchse"}
    asked = body.get("response_format") or body.get("text", {}).get("format")
    assert asked == ({"type": "json_object"} if way == "json" else None)


def test_without_a_system_text_the_schema_has_a_message_of_its_own() -> None:
    system, user = messages_of(body_of(openai("chat", structured="prompt"), ask(Message("user", "x"))))
    assert system["role"] == "system"
    assert user == {"role": "user", "content": "x"}


def test_a_schema_that_is_enforced_may_be_shown_as_well() -> None:
    body = body_of(openai("chat", show_schema=True))
    assert body["response_format"]["type"] == "json_schema"
    assert "enum" in body["messages"][0]["content"]


def test_each_way_is_made_once_and_kept_apart() -> None:
    asked = ask()
    for way in ("native", "tool", "json", "prompt"):
        codec = openai("chat", structured=way)
        assert codec.encode(asked).body == codec.encode(asked).body
    assert len(asked.answer.cache) == 4 + 2  # two of them are told in the prompt, too


def test_a_schema_beyond_what_the_dialect_takes_is_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        deep = {"type": "array", "items": deep}
    wide = {name: {"type": "integer"} for name in map(str, range(101))}
    schema = {
        "type": "object",
        "properties": {"deep": deep, "any": {"anyOf": [{"type": "object", "properties": wide}]}},
    }
    with pytest.raises(ConfigurationError) as caught:
        made("azure-openai").prepare(AnswerSchema("x", schema))
    assert [each.partition("#: ")[2] for each in caught.value.problems] == [
        "103 properties, of which at most 100 are taken",
        "7 levels, of which at most 5 are taken",
    ]
    assert strict_schema(schema, limits=Limits(103, 7))
    assert made("azure-openai", structured="json").prepare(AnswerSchema("x", schema))  # only told


# --- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-5", False),
        ("gpt-5.4-mini-2026-03-17", False),
        ("gpt-6-sol", False),
        ("o1-2024-12-17", False),
        ("o3", False),
        ("o4-mini-2025-04-16", False),
        ("openai/gpt-5", False),
        ("gpt-5-chat-latest", True),
        ("gpt-5.1-chat-latest", True),
        ("gpt-4.1-2025-04-14", True),
        ("gpt-4o", True),
        ("omni", True),
        ("my-gpt-5", True),
    ],
)
def test_reasoning_models_take_no_sampling(model: str, takes: bool) -> None:
    assert ("temperature" not in refused_by(model)) is takes
    for api in ("chat", "responses"):
        body = body_of(openai(api, model), ask(stop=("END",)))
        assert ("temperature" in body) is takes
        assert ("stop" in body) is (takes and api == "chat")
        assert body["max_completion_tokens" if api == "chat" else "max_output_tokens"] == 64
        assert ("seed" in body) is (api == "chat")


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_is_left_out_is_for_the_operator_to_say(api: str) -> None:
    assert "temperature" in body_of(openai(api, "gpt-5", leave_out=[]))
    body = body_of(openai(api, leave_out=["temperature", "store", "model"]))
    assert not {"temperature", "store"} & body.keys()
    assert body["model"] == "some-model"
    assert "temperature" not in body_of(openai(api), ask(temperature=None))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_further_fields_are_sent_but_the_codecs_own_are_refused(api: str) -> None:
    assert body_of(openai(api, body={"service_tier": "default", "store": True}))["store"] is True
    with pytest.raises(ConfigurationError) as caught:
        openai(api, body={"stream": True, "model": "x"}, structured="maybe", leave_out="x", unheard=1)
    assert [each.partition(":")[0] for each in caught.value.problems] == [
        "options.body",
        "options.body",
        "options.leave_out",
        "options.structured",
        "options.unheard",
    ]


# --- images and documents ---------------------------------------------------------------------------------------------


def test_images_and_documents_travel_in_data_urls() -> None:
    asked = ask(Message("user", ("Look:", PNG, PDF)))
    [chat] = messages_of(body_of(openai("chat"), asked))
    file = {"filename": "the notice.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjc="}
    assert chat["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "file", "file": file},
    ]
    [given] = messages_of(body_of(openai("responses"), asked))
    assert given["content"] == [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="},
        {"type": "input_file", **file},
    ]


def test_texts_in_pieces_are_one_text() -> None:
    for api in ("chat", "responses"):
        [message] = messages_of(body_of(openai(api), ask(Message("system", ("a", "b")))))
        assert message["content"] == "a\nb"


def test_a_response_takes_more_kinds_of_files_than_a_chat_completion() -> None:
    sheet = Document(b"a,b", "text/csv")
    assert_not_shown(openai("chat"), sheet)
    [message] = messages_of(body_of(openai("responses"), ask(Message("user", (sheet,)))))
    assert message["content"][0]["filename"] == "document.csv"
    assert_not_shown(openai("responses"), Document(b"PK", "application/zip"))


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_a_user_shows_images(role: str) -> None:
    for api in ("chat", "responses"):
        assert_not_shown(openai(api), "x", PNG, role=role)


def test_no_key_is_shown() -> None:
    for api in ("chat", "responses"):
        codec = openai(api)
        assert KEY not in repr(codec) + repr(codec.encode(ask()))
        assert codec.secrets == (KEY,)
    assert SCHEMA["required"] == ["fsc"]  # nobody wrote into it
