"""Frames of AWS's binary event streams, written without the reader's help."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32


def text_header(name: str, value: str) -> bytes:
    """One header that is a text."""
    told, said = name.encode(), value.encode()
    return bytes([len(told)]) + told + b"\x07" + struct.pack(">H", len(said)) + said


def frame(headers: Mapping[str, str] | bytes, payload: bytes) -> bytes:
    """One frame; headers may be given as bytes, right or wrong."""
    raw = headers if isinstance(headers, bytes) else b"".join(text_header(*each) for each in headers.items())
    prelude = struct.pack(">II", 16 + len(raw) + len(payload), len(raw))
    made = prelude + struct.pack(">I", crc32(prelude)) + raw + payload
    return made + struct.pack(">I", crc32(made))


def event(kind: str, fields: Any) -> bytes:
    """One event."""
    payload = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return frame({":message-type": "event", ":event-type": kind, ":content-type": "application/json"}, payload)


def chunk(fields: Any) -> bytes:
    """One of InvokeModel's: a vendor's document in base64."""
    told = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return event("chunk", {"bytes": base64.b64encode(told).decode(), "p": "abc"})


def exception(kind: str, fields: Any) -> bytes:
    """An exception that ends a stream."""
    payload = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return frame({":message-type": "exception", ":exception-type": kind}, payload)
