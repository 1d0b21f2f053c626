"""Messages with images and documents, as OpenAI's two interfaces take them: bytes travel in data URLs (RFC 2397)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.adapters.openai_dialect import Dialect
from failsoft.core.effects import CannotAsk
from failsoft.fault import Fault, FaultKind
from failsoft.prompt import Content, Document, Image, Message

Part = dict[str, Any]


def chat_content(message: Message, dialect: Dialect) -> str | list[Part]:
    """A message's content as a chat completion takes it.

    Raises:
        CannotAsk: the dialect takes none of what it holds.
    """
    return _parts(message, dialect, _CHAT)


def input_content(message: Message, dialect: Dialect) -> str | list[Part]:
    """A message's content as a response takes it.

    Raises:
        CannotAsk: the dialect takes none of what it holds.
    """
    return _parts(message, dialect, _INPUT)


def refuse(what: str) -> CannotAsk:
    """An adapter can't be shown something."""
    return CannotAsk(Fault(FaultKind.UNSUPPORTED_CONTENT, f"{what} can't be shown to this adapter's model"))


def base64_of(part: Image | Document) -> str:
    """Its bytes as text."""
    return base64.b64encode(part.data).decode()


def _data_url(part: Image | Document) -> str:
    return f"data:{part.media_type};base64,{base64_of(part)}"


def _parts(
    message: Message, dialect: Dialect, write: Mapping[type[Content], Callable[[Any, Dialect], Part]]
) -> str | list[Part]:
    if all(isinstance(each, str) for each in message.parts):
        return message.text  # system texts and worked examples are taken as text only
    if message.role != "user":
        raise refuse(f"an image or a document of the {message.role}'s")
    return [write[type(each)](each, dialect) for each in message.parts]


def _image(part: Image, dialect: Dialect) -> str:
    if not dialect.images:
        raise refuse("an image")
    return _data_url(part)


def _file(part: Document, dialect: Dialect) -> Part:
    ending = dialect.documents.get(part.media_type)
    if ending is None:
        raise refuse(f"a document of the type {part.media_type}")
    return {"filename": f"{part.name}{ending}", "file_data": _data_url(part)}


def _chat_text(part: str, _: Dialect) -> Part:
    return {"type": "text", "text": part}


def _chat_image(part: Image, dialect: Dialect) -> Part:
    return {"type": "image_url", "image_url": {"url": _image(part, dialect)}}


def _chat_file(part: Document, dialect: Dialect) -> Part:
    return {"type": "file", "file": _file(part, dialect)}


def _input_text(part: str, _: Dialect) -> Part:
    return {"type": "input_text", "text": part}


def _input_image(part: Image, dialect: Dialect) -> Part:
    return {"type": "input_image", "image_url": _image(part, dialect)}


def _input_file(part: Document, dialect: Dialect) -> Part:
    return {"type": "input_file", **_file(part, dialect)}


_CHAT: Mapping[type[Content], Callable[[Any, Dialect], Part]] = {
    str: _chat_text,
    Image: _chat_image,
    Document: _chat_file,
}
_INPUT: Mapping[type[Content], Callable[[Any, Dialect], Part]] = {
    str: _input_text,
    Image: _input_image,
    Document: _input_file,
}
