"""What a name promises, and which served names stand for it: rules typed here, then every pair that was recorded."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from failsoft.adapters.name_class import TABLES, bare
from failsoft.adapters.pins import BELOW, expected, floating_problem, name_class
from failsoft.assembly_adapters import pin_of
from failsoft.config import AdapterConfig
from failsoft.outcome import Pin

DATED = [
    "gpt-4.1-2025-04-14", "gpt-4o-mini-2024-07-18", "gpt-3.5-turbo-0613", "gpt-4-1106-preview", "gpt-4-0125-preview",
    "gpt-4-1106-vision-preview", "gpt-4-32k-0314", "gpt-4-1231", "gpt-4-0908", "gpt-7.2-luna", "gpt-5.9-astra", "o3-mini-2025-01-31", "gpt-4o-realtime-preview-2024-12-17",
    "ft:gpt-4o-2024-08-06:acme::id", "gpt-3.5-turbo-instruct:20230721-v2", "gpt-5.6-sol", "gpt-6-terra",
]  # fmt: skip
FLOATING = [
    "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-nano", "gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-5", "gpt-5-mini",
    "gpt-5.6", "o1", "o1-mini", "o3", "o1-preview", "chatgpt-4o-latest", "gpt-4-turbo-preview", "davinci-002",
    "gpt-3.5-turbo-instruct", "gpt-3.5-turbo-16k", "gpt-4-32k", "gpt-4o-audio", "gpt-4o-realtime", "gpt-4.1-mini",
    "gpt-5-nano", "gpt-5-pro", "gpt-5-codex", "gpt-5-chat", "gpt-9.1", "o9-pro", "o3-mini", "o4-deep-research",
    "babbage-002", "chatgpt-x", "gpt-4-preview",
]  # fmt: skip
ELSEWHERE = [
    "openrouter/auto", "~author/x", "~author/x-latest", "mistral-large-latest", "qwen3:latest", "vendor/latest", "latest",
    "claude-x-preview", "openai/gpt-4o", "deepseek-chat", "deepseek-reasoner", "openai/chatgpt-4o", "claude-haiku-4-5",
    "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4.5", "gemini-2.5-pro", "google/gemini-2.5-pro", "gemini-flash-latest", "grok-4",
    "x-ai/grok-4", "grok-code-fast-1", "command-r-plus", "cohere/command-a", "command", "deepseek/deepseek-chat", "groq/compound", "compound-beta",
    "labs-devstral-small-2512", "openai/gpt-5-mini",
]  # fmt: skip
LABELS = [
    "SmolLM2-135M-Instruct-Q4_1", "llama-3.1-8b-instant", "gpt-oss-120b", "our-model", "qwen3:8b", "default",
    "deepseek-v4-flash", "gpt-4-1232", "gpt-4-1306", "gpt-4-0008", "gpt-4-0100", "gpt-5.5-sol", "o0", "gpt-10", "preview",
    "model-preview-2", "latest-model", "my-openrouter/auto",
    "claude-distill-7b", "my/gpt-4o", "xai-org/grok-2", "command-r-08-2024-awq", "command-classifier", "grok-finetune", "compound-model", "gemini",
]  # fmt: skip
FLOATS = "or write `floating = true` to take what that name stands for at the time"
WAY_OUT = {
    "openai": f"pin a dated name such as gpt-…-YYYY-MM-DD, {FLOATS}",
    "elsewhere": f"pin its vendor's dated name, or one of your own for what you run, {FLOATS}",
}
CLASSES = {
    ("openai", "gpt-5.6-sol"): "fixed",
    ("openai", "x-2026-01-15-preview"): "dated",
    ("openai", "our-model"): "undecided",
    ("openai", "omni-moderation-latest"): "floating",
    ("azure-openai", "our-deployment"): "opaque",
    ("azure-openai", "gpt-4o"): "opaque",
    ("azure-openai", "gpt-4o-2024-08-06"): "dated",
    ("azure-openai", "o3-mini-2025-01-31"): "dated",
    ("azure-openai", "o1-2024-12-17"): "dated",
    ("azure-openai", "gpt-5.6-sol"): "fixed",
    ("azure-openai", "prod-0613"): "opaque",
    ("azure-openai", "chat-1106"): "opaque",
    ("azure-openai", "team-a-2024-01-01"): "opaque",
    ("azure-openai", "gpt-team-2024-01-01"): "opaque",
    ("azure-openai", "gpt-35-turbo-0613"): "opaque",
    ("openai-compatible", "google/gemini-2.0-flash-001"): "dated",
    ("vllm", "openai/gpt-4.1-2025-04-14"): "dated",
    ("anthropic", "claude-sonnet-4-6"): "fixed",
    ("anthropic", "claude-sonnet-4-5"): "floating",
    ("anthropic", "claude-fable-5"): "fixed",
    ("anthropic", "claude-3-5-haiku-20241022"): "dated",
    ("anthropic", "claude-3-opus"): "floating",
    ("anthropic", "claude-instant"): "undecided",
    ("vertex", "publishers/anthropic/models/claude-haiku-4-5@20251001"): "dated",
    ("vertex", "projects/p/locations/us/publishers/google/models/gemini-2.0-flash-001"): "dated",
    ("vertex", "claude-haiku-4-5@default"): "floating",
    ("gemini", "models/gemini-2.5-pro-preview-05-06"): "dated",
    ("gemini", "gemini-2.5-flash-preview-09-2025"): "dated",
    ("gemini", "gemini-3-pro-preview"): "floating",
    ("gemini", "gemini-flash-latest"): "floating",
    ("gemini", "gemini-2.5-pro"): "undecided",
    ("mistral", "mistral-large-2411"): "dated",
    ("mistral", "labs-devstral-small-2512"): "floating",
    ("mistral", "mistral-tiny"): "undecided",
    ("cohere", "command-a-03-2025"): "dated",
    ("cohere", "command-r-plus"): "floating",
    ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"): "dated",
    ("bedrock", "us-gov.anthropic.claude-sonnet-4-6"): "fixed",
    ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0:48k"): "dated",
    ("bedrock", "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.anthropic.claude-sonnet-4-6"): "fixed",
    ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"): "opaque",
    ("bedrock", "amazon.nova-pro-v1:0"): "dated",
    ("bedrock", "amazon.titan-text-express-v1"): "undecided",
    ("bedrock", "openai.gpt-5.6-luna"): "fixed",
    ("openrouter", "openai/gpt-4.1-2025-04-14"): "dated",
    ("openrouter", "moonshotai/kimi-k2-0905"): "dated",
    ("openrouter", "google/gemini-2.0-flash-exp:free"): "floating",
    ("openrouter", "anthropic/claude-haiku-4.5"): "undecided",
    ("openrouter", "openai/gpt-oss-120b"): "weights",
    ("xai", "grok-4-0709"): "dated",
    ("xai", "grok-4-fast"): "floating",
    ("deepseek", "deepseek-v4-flash"): "undecided",
    ("groq", "openai/gpt-oss-120b"): "weights",
    ("groq", "compound-beta"): "floating",
    ("together", "deepseek-ai/DeepSeek-R1"): "weights",
    ("ollama", "gemma3"): "floating",
    ("ollama", "gemma3:latest"): "floating",
    ("ollama", "gpt-oss:120b-cloud"): "floating",
    ("ollama", "gemma3:4b"): "label",
    ("vllm", "served"): "label",
    ("llama-cpp", "qwen"): "label",
    ("http-json", "our-classifier-3"): "label",
    ("somebody-elses", "model"): "label",
}  # fmt: skip


@pytest.mark.parametrize("model", DATED)
@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "callable"])
def test_a_dated_name_or_named_snapshot_is_a_pin_everywhere(provider: str, model: str) -> None:
    assert floating_problem(provider, model) is None


@pytest.mark.parametrize("model", FLOATING)
@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "callable"])
def test_a_known_alias_is_no_pin_anywhere(provider: str, model: str) -> None:
    says = "may be moved to another model at any time" if provider == "openai" else "is known to float"
    way_out = WAY_OUT["openai" if provider == "openai" else "elsewhere"]
    assert floating_problem(provider, model) == f'"{model}" {says}: {way_out}'


@pytest.mark.parametrize("model", ELSEWHERE)
def test_a_name_that_says_it_moves_is_no_pin(model: str) -> None:
    assert floating_problem("openai-compatible", model) is not None


@pytest.mark.parametrize("model", LABELS)
def test_any_other_name_is_the_operators_label_but_undecided_at_openai(model: str) -> None:
    assert floating_problem("openai-compatible", model) is None
    assert floating_problem("openai", model) == f'"{model}" isn\'t known to hold still: {WAY_OUT["openai"]}'


@pytest.mark.parametrize(("provider", "model"), CLASSES)
def test_each_provider_names_in_its_own_way(provider: str, model: str) -> None:
    assert name_class(provider, model) == CLASSES[provider, model]


def test_a_deployment_is_a_pin_once_it_is_said_what_it_serves() -> None:
    assert floating_problem("azure-openai", "ours") == (
        "\"ours\" doesn't say which model is behind it: write model = that one's dated name (gpt-…-YYYY-MM-DD) and "
        f'options.deployment = "ours", or served = the name that the provider must state, {FLOATS}'
    )
    assert floating_problem("bedrock", "arn:x") == (
        f'"arn:x" doesn\'t say which model is behind it: write served = the name that the provider must state, {FLOATS}'
    )
    assert floating_problem("azure-openai", "ours", told=True) is None
    assert floating_problem("openai", "gpt-4o", told=True) is not None


def test_where_nothing_is_dated_nothing_dated_is_asked_for() -> None:
    assert floating_problem("deepseek", "deepseek-v4-flash") == (
        '"deepseek-v4-flash" isn\'t known to hold still, and no name there is dated: write `floating = true` to take what '
        "that name stands for at the time"
    )


FILLED = {
    "YYYY-MM-DD": "2027-01-15",
    "YYYYMMDD": "20270115",
    "MM-YYYY": "01-2027",
    "YYMM": "2601",
    "MMDD": "0115",
    "…": "9-x",
}


@pytest.mark.parametrize("provider", [each for each in TABLES if each not in ("azure-openai", "deepseek")])
def test_the_shape_that_a_refusal_shows_is_a_pins_and_no_name_that_may_have_ended(provider: str) -> None:
    shown = re.search(r"pin a .+? such as (\S+), or write", floating_problem(provider, "x-latest") or "")
    assert shown is not None
    name = shown[1]
    assert "…" in name or name == "model:tag"
    for shape, filled in FILLED.items():
        name = name.replace(shape, filled)
    assert floating_problem(provider, name) is None


# --- which served names stand for it --------------------------------------------------------------------------------------

SAME = [
    ("openai", "gpt-4.1-2025-04-14", "gpt-4.1-2025-04-14"),
    ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
    ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-48k-20240307"),
    ("bedrock", "anthropic.claude-v2", "claude-2.0"),
    ("bedrock", "openai.gpt-5.6-luna", "openai.gpt-5.6-luna"),
    ("gemini", "models/gemini-2.0-flash-001", "gemini-2.0-flash-001"),
    ("gemini", "gemini-2.0-flash-001", "models/gemini-2.0-flash-001"),
    ("vertex", "publishers/anthropic/models/claude-haiku-4-5@20251001", "claude-haiku-4-5-20251001"),
    ("openrouter", "anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-4.5-sonnet-20250929"),
    ("openrouter", "moonshotai/kimi-k2-0905:free", "moonshotai/kimi-k2-0905"),
    ("together", "moonshotai/Kimi-K2-Instruct-0905:groq", "moonshotai/kimi-k2-instruct-0905"),
]  # fmt: skip
RESOLVED = [
    ("openai", "gpt-4.1", "gpt-4.1-2025-04-14"),
    ("openai", "gpt-5.6", "gpt-5.6-sol"),
    ("openai", "davinci-002", "davinci:2023-07-21-v2"),
    ("openai", "gpt-4-vision-preview", "gpt-4-1106-vision-preview"),
    ("openai", "text-moderation-latest", "text-moderation-007"),
    ("openai-compatible", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("anthropic", "claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
    ("gemini", "gemini-flash-latest", "gemini-3.6-flash"),
    ("xai", "grok-4-fast", "grok-4-fast-reasoning"),
    ("openrouter", "anthropic/claude-haiku-4.5", "anthropic/claude-4.5-haiku-20251001"),
    ("openrouter", "openrouter/auto", "whoever/whatever"),
    ("azure-openai", "ours", "gpt-4.1-mini-2025-04-14"),
    ("azure-openai", "prod-0613", "gpt-4.1-mini-2025-04-14"),
    ("deepseek", "deepseek-chat", "deepseek-v4-flash"),
    ("deepseek", "deepseek-reasoner", "deepseek-v4-flash"),
    ("openai-compatible", "deepseek-chat", "deepseek-v3.2"),
    ("groq", "compound-beta", "groq/compound"),
    ("groq", "compound-beta-mini", "groq/compound-mini"),
]  # fmt: skip
MOVED = {
    ("gemini", "gemini-3-pro-preview"): "gemini-3.1-pro-preview",  # a preview that answered as its successor
    ("gemini", "gemini-2.5-pro-preview-03-25"): "gemini-2.5-pro",  # a dated one that was redirected
    ("deepseek", "deepseek-chat"): "deepseek-v4-pro",
    ("groq", "compound-beta"): "groq/compound-mini",
    ("openrouter", "google/gemini-2.0-flash-exp:free"): "x-ai/grok-4",  # a router that changed the vendor
    ("mistral", "pixtral-12b"): "ministral-14b-latest",
    ("openai", "gpt-4o"): "gpt-4o-mini-2024-07-18",
    ("anthropic", "claude-sonnet-4-5"): "claude-sonnet-4-6",
}


@pytest.mark.parametrize(("provider", "asked", "served"), SAME)
def test_another_spelling_is_the_same_model(provider: str, asked: str, served: str) -> None:
    assert expected(provider, asked).admits(served)
    assert expected(provider, asked).admits(asked)


@pytest.mark.parametrize(("provider", "asked", "served"), RESOLVED)
def test_an_alias_may_be_resolved_only_where_it_may_float(provider: str, asked: str, served: str) -> None:
    assert not expected(provider, asked).admits(served)
    assert expected(provider, asked, floating=True).admits(served)
    assert expected(provider, asked, floating=True).admits(asked)


@pytest.mark.parametrize(("provider", "asked"), MOVED)
def test_a_move_to_another_model_is_a_mismatch_even_of_a_floating_name(provider: str, asked: str) -> None:
    assert not expected(provider, asked, floating=True).admits(MOVED[provider, asked])


def test_a_name_that_holds_stands_for_nothing_else_though_it_may_float() -> None:
    assert expected("openai", "gpt-4.1-2025-04-14", floating=True) == Pin("gpt-4.1-2025-04-14")
    assert not expected("bedrock", "anthropic.claude-3-haiku-20240307-v1:0").admits("claude-3-haiku-20240308")
    assert not expected("gemini", "gemini-2.0-flash-001").admits("gemini-2x0-flash-001")


def test_what_the_user_says_is_served_goes_before_any_rule() -> None:
    told = {"provider": "openai", "model": "gpt-4.1", "api_key": SecretStr("unread"), "floating": True}
    assert pin_of(AdapterConfig(**told)).admits("gpt-4.1-2025-04-14")
    assert pin_of(AdapterConfig(**told, served=("x",))) == Pin("gpt-4.1", ("x",))
    assert pin_of(AdapterConfig(**told, served_pattern="x+")) == Pin("gpt-4.1", (), "x+")


@given(st.sampled_from([*TABLES, "callable"]), st.text(max_size=40))
def test_any_text_is_decided_and_stands_for_itself(provider: str, model: str) -> None:
    floating_problem(provider, model)
    bare(provider, model)
    for floating in (False, True):
        assert expected(provider, model, floating=floating).admits(model)


def test_a_long_hostile_name_is_decided_at_once() -> None:
    for provider in TABLES:
        for model in ("gpt-" + "1106-" * 50, "claude-" + "-2" * 120, "a/" + "b-" * 120, "-preview" * 32):
            expected(provider, model, floating=True).admits(model)


def test_what_lies_below_a_name_is_said_of_providers_that_exist() -> None:
    assert set(BELOW) - set(TABLES) == {"llama-cpp", "vllm"}


# --- as recorded ----------------------------------------------------------------------------------------------------------

OURS = {"azure_openai": "azure-openai", "local_compat": "openai-compatible", "huggingface": "together"}


@pytest.fixture(scope="module")
def pairs(data: Path) -> Counter[tuple[str, str, str]]:
    """(provider, asked, served) of every usable recorded exchange that states both, with how many."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in sorted((data / "recordings").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if not row["suspect"] and row["requested_model"] and row["served_model"]:
                provider = OURS.get(row["provider"], row["provider"])
                found[provider, row["requested_model"], row["served_model"]] += 1
    return found


def test_recorded_names_that_hold_were_served_as_themselves(pairs: Counter[tuple[str, str, str]]) -> None:
    known = {each: n for each, n in pairs.items() if each[0] in TABLES}
    held = {each: n for each, n in known.items() if name_class(*each[:2]) in ("dated", "fixed")}
    kept = {each: n for each, n in held.items() if expected(*each[:2]).admits(each[2])}
    assert set(held) - set(kept) == {
        ("gemini", "gemini-2.5-pro-preview-03-25", "models/gemini-2.5-pro"),  # redirected
        ("openrouter", "anthropic/claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),  # the date is gone
    }
    assert (len(kept), len(held)) == (36, 38)
    assert (sum(kept.values()), sum(held.values())) == (194, 197)


def test_recorded_names_that_float_were_moved_more_often_than_not(pairs: Counter[tuple[str, str, str]]) -> None:
    asked = {each: n for each, n in pairs.items() if each[0] in ("openai", "azure-openai")}
    floating = {each: n for each, n in asked.items() if not name_class(*each[:2]).holds}
    moved = {each: n for each, n in floating.items() if each[1] != each[2]}
    assert sum(moved.values()) / sum(floating.values()) > 0.8


def test_every_recorded_move_is_either_a_spelling_or_told(pairs: Counter[tuple[str, str, str]]) -> None:
    moved = {each: n for each, n in pairs.items() if each[1] != each[2]}
    refused = {each: n for each, n in moved.items() if not expected(*each[:2], floating=True).admits(each[2])}
    assert {(provider, asked, served.removeprefix("models/")) for provider, asked, served in refused} == {
        ("gemini", "gemini-3-pro-preview", "gemini-3.1-pro-preview"),
        ("gemini", "gemini-2.5-pro-preview-03-25", "gemini-2.5-pro"),
        ("mistral", "pixtral-12b", "ministral-14b-latest"),
        ("openrouter", "google/gemini-2.0-flash-exp:free", "x-ai/grok-4"),
        ("openrouter", "anthropic/claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
        ("openrouter", "openai/text-embedding-3-small", "text-embedding-3-small"),
        ("databricks", "databricks-claude-3-7-sonnet", "us.anthropic.claude-3-7-sonnet-20250219-v1:0"),
        ("together", "meta-llama/Llama-3.1-8B-Instruct", "llama3.1-8b"),
    }
    assert (len(refused), len(moved)) == (8, 90)


def test_a_recorded_deployment_served_what_its_name_did_not_say(pairs: Counter[tuple[str, str, str]]) -> None:
    deployment = "azure-openai", "openllmetry-testing"
    served = {model: n for (*asked, model), n in pairs.items() if tuple(asked) == deployment}
    assert served == {"gpt-35-turbo": 2, "gpt-4.1-mini-2025-04-14": 8}
    told = Pin("openllmetry-testing", ("gpt-4.1-mini-2025-04-14",))
    assert [model for model in served if not told.admits(model)] == ["gpt-35-turbo"]
