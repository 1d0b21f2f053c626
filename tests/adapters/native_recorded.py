"""Recorded exchanges, as replies: what tests of the dialects share."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from failsoft.adapters.aws_event_stream import MEDIA_TYPE
from failsoft.core.effects import HttpReply

Row = dict[str, Any]


def usable(data: Path, name: str) -> list[tuple[int, Row]]:
    """The rows of a file that aren't suspect, with their numbers in file order."""
    with (data / "recordings" / f"{name}.dev.jsonl").open(encoding="utf-8") as lines:
        return [(number, row) for number, row in enumerate(map(json.loads, lines)) if not row["suspect"]]


def raw_of(row: Row) -> bytes:
    """The body's bytes."""
    response = row["response"]
    body = response["body"]
    if response.get("body_encoding") == "base64":
        return base64.b64decode(body)
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def reply_of(row: Row, body: bytes | None = None) -> HttpReply:
    """The reply; its type is put back where the recorder struck it or left it out."""
    response = row["response"]
    headers = {name.lower(): value for name, value in response["headers"].items()}
    kept = {name: each for name, each in headers.items() if name not in ("content-encoding", "content-length")}
    if response.get("body_encoding") == "base64":
        kept["content-type"] = MEDIA_TYPE
    elif row["stream"] and response["status"] == 200:
        kept["content-type"] = "text/event-stream"
    elif "json" not in kept.get("content-type", ""):
        kept["content-type"] = "application/json"
    return HttpReply(response["status"], kept, raw_of(row) if body is None else body)
