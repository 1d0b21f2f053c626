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
        if self.held["stream"] and isinstance(self.body, str) and self.body.startswith(("data:", "event:", ":")):
            headers["content-type"] = "text/event-stream"  # two rows lack it, one says JSON
        return HttpReply(response["status"], headers, raw)

    @property
    def provider(self) -> str:
        if ":11434/api/" in self.url:
            return "ollama"
        return PROVIDERS[self.file]

    @property
    def api(self) -> str | None:
        api = api_of(facts(self.provider), self.url)
        if api is None and self.held["request"]["method"] == "GET" and "/responses/" in self.url:
            return "responses"
        if api is None and self.url.endswith("/responses"):
            return "responses"
        return "chat" if api is None and self.url.endswith(("/completions", "/v1/chat")) else api

    def codec(self) -> Any:
        """Of the provider and the interface that the row belongs to; it takes streams where the row is one."""
        provider, api = self.provider, self.api or "chat"
        if provider == "openai-compatible" and api == "responses":
            provider = "openai"
        options = {} if provider in ("openai-compatible", "groq") else {"api": api}
        streaming = Streaming() if self.held["stream"] else None
        access = Access(str(self.held["requested_model"]), provider, "https://host.example", "a-key-of-ours", {}, streaming, options)
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
        return "".join(texts_of((each.get("delta") or {}).get("content")) + (each.get("text") or "") for each in choices)
    choices = body.get("choices") or [{}]
    return texts_of((choices[0].get("message") or {}).get("content")) or choices[0].get("text") or ""


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
