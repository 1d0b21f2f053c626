"""The body of a question to Converse, in the shape that Nova takes too.

Source: the API reference of Bedrock Runtime (Message, ContentBlock, InferenceConfiguration), November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from failsoft.adapters.claude_body import turns
from failsoft.adapters.request_parts import base64_of, cannot_show
from failsoft.prompt import Content, Document, Image, Message, Sampling

_FORMATS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}


def converse_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """All but the system's messages. Those of one role that follow each other become one: the roles must take turns.

    Raises:
        CannotAsk: the interface can't be shown what one holds.
    """
    names: set[str] = set()
    made: list[dict[str, Any]] = []
    for each in turns(messages):
        parts = each.parts
        alone = not any(isinstance(part, str) for part in parts)
        for part in parts:
            if isinstance(part, Document) and alone:
                raise cannot_show(part, "a message without a text")
        blocks = [_block(part, names) for part in parts]
        if made and made[-1]["role"] == each.role:
            made[-1]["content"] += blocks
        else:
            made.append({"role": each.role, "content": blocks})
    return made


def inference(sampling: Sampling, *, samples: bool) -> dict[str, Any]:
    """How to sample. There is no seed.

    Args:
        sampling: as asked for.
        samples: does the model take a temperature?
    """
    made: dict[str, Any] = {"maxTokens": sampling.max_tokens}
    if sampling.temperature is not None and samples:
        made["temperature"] = sampling.temperature
    if sampling.stop:
        made["stopSequences"] = sampling.stop
    return made


def _block(part: Content, names: set[str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    source = {"bytes": base64_of(part)}
    if isinstance(part, Image):
        return {"image": {"format": part.media_type.removeprefix("image/"), "source": source}}
    kind = _FORMATS.get(part.media_type)
    if kind is None:
        raise cannot_show(part)
    return {"document": {"format": kind, "name": _unique(part.name, names), "source": source}}


def _unique(name: str, names: set[str]) -> str:
    """No two documents of a request may have one name."""
    made, count = name, 1
    while made in names:
        count += 1
        made = f"{name} {count}"
    names.add(made)
    return made
