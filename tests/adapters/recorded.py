"""Recorded exchanges of real providers, read in place, and what stands in them read by hand: what codecs are held against."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from failsoft.adapters.access import Access
from failsoft.adapters.registry import api_of, codec_of
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import HttpReply
from failsoft.providers import facts

DATA = Path(os.environ.get("FAILSOFT_DATA") or Path(__file__).parents[3] / "shared" / "data") / "recordings"

needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA.name}: set FAILSOFT_DATA")

PROVIDERS = {
    "openai": "openai",
    "azure_openai": "azure-openai",
    "openrouter": "openrouter",
    "groq": "groq",
    "xai": "xai",
    "deepseek": "deepseek",
    "other_compat": "openai-compatible",
    "local_compat": "openai-compatible",
}
"""The files of OpenAI's family, each with the provider whose codec reads it."""


class Row(NamedTuple):
    """One exchange: its file, its number in it, and what it holds."""

    file: str
    number: int
    held: dict[str, Any]

    @property
    def name(self) -> tuple[str, int]:
        return self.file, self.number

    @property
    def url(self) -> str:
        return self.held["request"]["url"]

    @property
    def body(self) -> Any:
        return self.held["response"]["body"]

    @property
    def reply(self) -> HttpReply:
        response = self.held["response"]
        headers = {name.lower(): value for name, value in response["headers"].items()}
        for dropped in ("content-encoding", "content-length"):
            headers.pop(dropped, None)
        raw = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()
        return HttpReply(response["status"], headers, raw)

    @property
    def provider(self) -> str:
        if ":11434/api/" in self.url:
            return "ollama"
        return PROVIDERS[self.file]

    @property
    def api(self) -> str | None:
        api = api_of(facts(self.provider), self.url)
        return "chat" if api is None and self.url.endswith(("/completions", "/v1/chat")) else api

    def codec(self) -> Any:
        """Of the provider and the interface that the row belongs to; it takes streams."""
        provider, api = self.provider, self.api or "chat"
        options = {"api": api} if len(facts(provider).apis) > 1 else {}
        model = str(self.held["requested_model"])
        access = Access(model, provider, "https://host.example", "a-key-of-ours", {}, Streaming(), options)
        return codec_of(facts(provider), access)


def rows(*files: str) -> Iterator[Row]:
    """The usable rows of some files; without any, of all."""
    for path in sorted(DATA.glob("*.jsonl")):
        file = path.name.split(".")[0]
        if files and file not in files:
            continue
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                held = json.loads(line)
                if not held["suspect"]:
                    yield Row(file, number, held)


# --- what stands there, read by hand ----------------------------------------------------------------------------------


def events(body: str) -> list[dict[str, Any]]:
    """The JSON objects of an event stream."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def texts_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def chat_text(body: Any) -> str:
    if isinstance(body, str):
        choices = [choice for event in events(body) for choice in event.get("choices") or []]
        deltas = [each["delta"] if each.get("delta") else {"content": each.get("text")} for each in choices]
        return "".join(texts_of(each.get("content")) for each in deltas)  # Writer says all twice: beside the delta, too
    choices = body.get("choices") or [{}]
    message = choices[0].get("message") or {}
    spoken = (message.get("audio") or {}).get("transcript")
    return texts_of(message.get("content")) or choices[0].get("text") or spoken or ""


def response_text(body: Any) -> str:
    if isinstance(body, str):
        return "".join(event["delta"] for event in events(body) if event["type"] == "response.output_text.delta")
    messages = [item for item in body.get("output") or [] if item["type"] == "message"]
    final = [item for item in messages if item.get("phase") != "commentary"] or messages
    return "".join(part.get("text", "") for item in final for part in item["content"] if part["type"] == "output_text")


def ollama_text(body: Any) -> str:
    if isinstance(body, str):
        return "".join(ollama_text(json.loads(line)) for line in body.splitlines())
    return (body.get("message") or {}).get("content") or body.get("response") or ""


def expected_text(row: Row) -> str:
    """What the model said, as it stands in the row; nothing in an error's."""
    if row.held["response"]["status"] != 200 or not row.body:
        return ""
    if row.provider == "ollama":
        return ollama_text(row.body)
    return response_text(row.body) if row.api == "responses" else chat_text(row.body)


def expected_calls(row: Row) -> list[tuple[str, str]]:
    """The tools that were called, and their arguments as text."""
    body: Any = row.body
    if row.held["response"]["status"] != 200 or not body:
        return []
    if row.api == "responses":
        if isinstance(body, str):
            items = [event["item"] for event in events(body) if event["type"] == "response.output_item.done"]
        else:
            items = body.get("output") or []
        return [(item["name"], item["arguments"]) for item in items if item.get("type") == "function_call"]
    if isinstance(body, str):
        return _streamed_calls(body) if row.provider != "ollama" else []
    message = body.get("message") or (body.get("choices") or [{}])[0].get("message") or {}
    functions = [each["function"] for each in message.get("tool_calls") or []]
    if (message.get("function_call") or {}).get("name"):
        functions.append(message["function_call"])
    return [(each["name"], _as_text(each.get("arguments"))) for each in functions]


def _as_text(arguments: Any) -> str:
    return (arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)) or "{}"


def _streamed_calls(body: str) -> list[tuple[str, str]]:
    found: dict[int, list[str]] = {}
    for event in events(body):
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            old = [{"index": 0, "function": delta["function_call"]}] if delta.get("function_call") else []
            for piece in [*(delta.get("tool_calls") or []), *old]:
                call = found.setdefault(piece["index"], ["", ""])
                call[0] = call[0] or piece["function"].get("name") or ""
                call[1] += piece["function"].get("arguments") or ""
    return [(name, arguments or "{}") for name, arguments in found.values()]


def expected_usage(row: Row) -> tuple[int | None, int | None] | None:
    """Tokens in and out, as they stand in the row; of a stream, what was said last."""
    body: Any = row.body
    if row.provider == "ollama":
        last = json.loads(body.splitlines()[-1]) if isinstance(body, str) else body
        found = last.get("prompt_eval_count"), last.get("eval_count")
        return None if found == (None, None) else found
    if isinstance(body, str):
        stated = [each.get("response") or each for each in events(body)] if "data:" in body else []
        usages = [each.get("usage") or (each.get("x_groq") or {}).get("usage") for each in stated]
        usage = next((each for each in reversed(usages) if each), None)
    else:
        usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return None
    asked = usage.get("prompt_tokens") if row.api != "responses" else usage.get("input_tokens")
    written = usage.get("completion_tokens") if row.api != "responses" else usage.get("output_tokens")
    if row.file == "xai" and row.api == "chat":  # reasoning stands beside
        written = usage["total_tokens"] - usage["prompt_tokens"]
    return None if asked is None and written is None else (asked, written)


def expected_finish(row: Row) -> str | None:
    """Why it ended, in the provider's word."""
    body: Any = row.body
    if row.held["response"]["status"] != 200 or not body:
        return None
    if row.provider == "ollama":
        last = json.loads(body.splitlines()[-1]) if isinstance(body, str) else body
        return last.get("done_reason")
    if row.api == "responses":
        last = events(body)[-1]["response"] if isinstance(body, str) else body
        return (last.get("incomplete_details") or {}).get("reason") or last.get("status")
    if isinstance(body, str):
        choices = [choice for event in events(body) for choice in event.get("choices") or []]
        return next((each["finish_reason"] for each in reversed(choices) if each.get("finish_reason")), None)
    return (body.get("choices") or [{}])[0].get("finish_reason") or None
