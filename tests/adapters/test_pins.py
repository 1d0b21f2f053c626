from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.adapters.pins import floating_problem

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
    "claude-x-preview", "openai/gpt-4o", "deepseek-chat", "deepseek-reasoner", "openai/chatgpt-4o",
]  # fmt: skip
LABELS = [
    "SmolLM2-135M-Instruct-Q4_1", "llama-3.1-8b-instant", "gpt-oss-120b", "our-model", "qwen3:8b", "gpt-4o-2024-08-06",
    "deepseek-v4-flash", "gpt-4-1232", "gpt-4-1306", "gpt-4-0008", "gpt-4-0100", "gpt-5.5-sol", "o0", "gpt-10", "preview",
    "model-preview-2", "latest-model", "my-openrouter/auto", "x-2026-01-15-preview", "x-0115-preview",
]  # fmt: skip


@pytest.mark.parametrize("model", DATED)
@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "callable"])
def test_a_dated_name_or_named_snapshot_is_a_pin_everywhere(provider: str, model: str) -> None:
    assert floating_problem(provider, model) is None


@pytest.mark.parametrize("model", FLOATING)
@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "callable"])
def test_a_known_alias_is_no_pin_anywhere(provider: str, model: str) -> None:
    problem = floating_problem(provider, model)
    says = "may be moved to another model at any time" if provider == "openai" else "is known to float"
    way_out = 'pin a dated name such as "gpt-4.1-2025-04-14", or write `floating = true` to take what comes'
    assert problem == f'"{model}" {says}: {way_out}'


@pytest.mark.parametrize("model", ELSEWHERE)
def test_a_name_that_says_it_moves_is_no_pin(model: str) -> None:
    assert floating_problem("openai-compatible", model) is not None


@pytest.mark.parametrize("model", LABELS)
def test_any_other_name_is_the_operators_label_but_undecided_at_openai(model: str) -> None:
    assert floating_problem("openai-compatible", model) is None
    assert (floating_problem("openai", model) is None) == (
        model in ("gpt-4o-2024-08-06", "x-2026-01-15-preview", "x-0115-preview")
    )


@given(st.text(max_size=40))
def test_any_text_is_decided(model: str) -> None:
    floating_problem("openai", model)
    floating_problem("openai-compatible", model)
