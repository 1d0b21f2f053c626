"""What codecs cost: encoding with the schema cached, decoding a reply of 1 KB over parsing its JSON once, and imports.

    ./dev bench adapters

Each figure is the best of several rounds, in microseconds; the last line is JSON. Goals: encode 20 µs, decode 15 µs over
the standard library's `json.loads` of the same bytes; no codec is imported before it's named.
"""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from collections.abc import Callable
from typing import Any

from failsoft.adapters.access import Access
from failsoft.adapters.registry import codec_of
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, Reply
from failsoft.outcome import Pin
from failsoft.prompt import Prompt, Sampling
from failsoft.providers import PROVIDERS

SCHEMA = {
    "type": "object",
    "properties": {"fsc": {"type": "string"}, "why": {"type": "string"}},
    "required": ["fsc", "why"],
}
ANSWER = json.dumps({"fsc": "5310", "why": "a hexagonal nut of steel, zinc plated, " * 18})
ROUNDS, LOOPS = 7, 2_000


def _chat(model: str) -> Any:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER, "refusal": None}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 57, "completion_tokens": 40, "total_tokens": 97}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}


def _response(model: str) -> Any:
    said = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]}
    usage = {"input_tokens": 57, "output_tokens": 40, "total_tokens": 97}
    return {"id": "r", "object": "response", "status": "completed", "model": model, "output": [said], "usage": usage}


def _message(model: str) -> Any:
    head = {"id": "m", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn"}
    return {**head, "content": [{"type": "text", "text": ANSWER}], "usage": {"input_tokens": 57, "output_tokens": 40}}


def _gemini(model: str) -> Any:
    candidate = {"content": {"role": "model", "parts": [{"text": ANSWER}]}, "finishReason": "STOP", "index": 0}
    used = {"promptTokenCount": 57, "candidatesTokenCount": 40, "totalTokenCount": 97}
    return {"candidates": [candidate], "usageMetadata": used, "modelVersion": model, "responseId": "r"}


def _cohere(_: str) -> Any:
    used = {
        "billed_units": {"input_tokens": 9, "output_tokens": 40},
        "tokens": {"input_tokens": 57, "output_tokens": 40},
    }
    said = {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    return {"id": "i", "message": said, "finish_reason": "COMPLETE", "usage": used}


def _converse(_: str) -> Any:
    said = {"message": {"role": "assistant", "content": [{"text": ANSWER}]}}
    return {
        "output": said,
        "stopReason": "end_turn",
        "usage": {"inputTokens": 57, "outputTokens": 40, "totalTokens": 97},
    }


def _ollama(model: str) -> Any:
    said = {"role": "assistant", "content": ANSWER}
    counted = {"prompt_eval_count": 57, "eval_count": 40}
    return {"model": model, "message": said, "done": True, "done_reason": "stop", **counted}


DIALECTS: dict[str, tuple[str, str, dict[str, Any], Callable[[str], Any]]] = {
    "openai": ("openai", "gpt-4.1-2025-04-14", {}, _chat),
    "openai responses": ("openai", "gpt-4.1-2025-04-14", {"api": "responses"}, _response),
    "azure-openai": ("azure-openai", "gpt-4.1-2025-04-14", {}, _chat),
    "openrouter": ("openrouter", "openai/gpt-4.1-2025-04-14", {}, _chat),
    "anthropic": ("anthropic", "claude-sonnet-4-5-20250929", {}, _message),
    "gemini": ("gemini", "gemini-2.0-flash-001", {}, _gemini),
    "mistral": ("mistral", "mistral-large-2411", {}, _chat),
    "cohere": ("cohere", "command-a-03-2025", {}, _cohere),
    "bedrock converse": ("bedrock", "amazon.nova-lite-v1:0", {"region": "us-gov-west-1"}, _converse),
    "ollama": ("ollama", "llama3.2:3b", {}, _ollama),
}


def best(run: Callable[[], Any]) -> float:
    """Microseconds of one run, in the best of several rounds."""
    return min(timeit.repeat(run, repeat=ROUNDS, number=LOOPS)) / LOOPS * 1e6


def main() -> None:
    """Measure each dialect, and what importing failsoft imports."""
    found: dict[str, dict[str, float]] = {}
    print(f"{'dialect':<18} {'encode':>8} {'decode':>8} {'json.loads':>11} {'over it':>8}   µs")
    for name, (provider, model, options, body_of) in DIALECTS.items():
        known = PROVIDERS[provider]
        place = known.base_url or "https://host.example/v1"
        codec = codec_of(known, Access(model, provider, place, "a-key-of-nobody's", {}, None, options))
        prompt = Prompt.of("hex nut, 1/4 inch, steel", system="Which Federal Supply Class is it?")
        ask = Ask(None, b"{}", prompt, AnswerSchema("classify-item", SCHEMA), Sampling(), Pin(model))
        body = json.dumps(body_of(model)).encode()
        reply = HttpReply(200, {"content-type": "application/json"}, body)
        if not isinstance(codec.decode(reply), Reply):
            sys.exit(f"{name}: {codec.decode(reply)}")
        encode, decode = best(lambda: codec.encode(ask)), best(lambda: codec.decode(reply))  # noqa: B023
        parse = best(lambda: json.loads(body))  # noqa: B023
        found[name] = {
            "bytes": len(body),
            "encode_us": round(encode, 2),
            "decode_over_json_us": round(decode - parse, 2),
        }
        print(f"{name:<18} {encode:8.2f} {decode:8.2f} {parse:11.2f} {decode - parse:8.2f}   {len(body)} bytes")
    listed = "import sys; from failsoft import Isolation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    codecs = [each.codec.partition(":")[0] for each in PROVIDERS.values()]
    named = sorted({each for each in codecs if each in loaded})
    print(json.dumps({"dialects": found, "codecs_imported_unasked": named}))


if __name__ == "__main__":
    main()
