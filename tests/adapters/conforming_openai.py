"""The servers of OpenAI's family, by their names and interfaces, as the conformance kit wants them."""

from __future__ import annotations

from functools import partial

from tests.adapters.conforming import OPENAI_FAULTS, Conforming, chat, reply

from failsoft.adapters import azure_openai, ollama, openai, profiles
from failsoft.adapters.access import Access
from failsoft.core.effects import HttpReply
from failsoft.fault import FaultKind


def response(text: str, model: str) -> HttpReply:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    told = {"id": "r-1", "object": "response", "status": "completed", "model": model, "usage": usage}
    return reply({**told, "output": [{"type": "reasoning", "summary": []}, message]})


def called(text: str, model: str) -> HttpReply:
    call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": text}}
    choice = {"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    return reply({"id": "c-1", "object": "chat.completion", "model": model, "choices": [choice]})


def native(text: str, model: str, *, generated: bool = False) -> HttpReply:
    said = {"response": text} if generated else {"message": {"role": "assistant", "content": text}}
    return reply({"model": model, **said, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2})


OLLAMA_FAULTS = {
    FaultKind.NOT_FOUND: reply({"error": "model 'm' not found"}, 404),
    FaultKind.SERVER_ERROR: reply({"error": "server busy"}, 503),
    FaultKind.REQUEST_REJECTED: reply({"error": "invalid format"}, 400),
}

_PLACE = "https://host.example/v1"
_PLACES = {"azure-openai": "https://r.openai.azure.us"}
_RESPONSES = {"api": "responses"}

FAMILY: dict[str, Conforming] = {
    f"{provider} {' '.join(map(str, options.values()))}".strip(): (
        make,
        Access("gpt-4.1-2025-04-14", provider, _PLACES.get(provider, _PLACE), options=options),
        {"responses": response, "generate": partial(native, generated=True)}.get(
            str(options.get("api")), native if provider == "ollama" and "api" not in options else says
        ),
        OLLAMA_FAULTS if provider == "ollama" and options.get("api") != "openai" else OPENAI_FAULTS,
        {},
    )
    for make, provider, options, says in (
        (openai.codec, "openai", _RESPONSES, chat),
        (openai.codec, "openai", {"structured": "tool"}, called),
        (openai.codec, "openai", {"structured": "prompt"}, chat),
        (azure_openai.codec, "azure-openai", {}, chat),
        (azure_openai.codec, "azure-openai", {"api_version": "2024-10-21"}, chat),
        (azure_openai.codec, "azure-openai", {"api": "models"}, chat),
        (azure_openai.codec, "azure-openai", _RESPONSES, chat),
        (profiles.openrouter, "openrouter", {}, chat),
        (profiles.openrouter, "openrouter", _RESPONSES, chat),
        (profiles.groq, "groq", {}, chat),
        (profiles.xai, "xai", {}, chat),
        (profiles.xai, "xai", _RESPONSES, chat),
        (profiles.deepseek, "deepseek", {}, chat),
        (profiles.deepseek, "deepseek", {"structured": "tool"}, called),
        (profiles.deepseek, "deepseek", _RESPONSES, chat),
        (profiles.together, "together", {}, chat),
        (profiles.vllm, "vllm", {}, chat),
        (profiles.llama_cpp, "llama-cpp", {}, chat),
        (ollama.codec, "ollama", {}, native),
        (ollama.codec, "ollama", {"api": "generate"}, native),
        (ollama.codec, "ollama", {"api": "openai"}, chat),
    )
}
