"""A service behind plain JSON: an in-house classifier, a KServe or BentoML deployment. No prompt is sent, and no schema.

The request that the application made is the body, and the reply holds the response. Options say where they stand:

    request         plain: the body is the request's JSON; kserve-v2: it's the one element of a BYTES tensor, as the Open
                    Inference Protocol has it (https://kserve.github.io/website/docs/concepts/architecture/data-plane)
    request_field   plain: the field that holds it, with dots between fields inside each other; kserve-v2: the name of the
                    input, ``request`` unless told
    response_field  where the answer stands, with dots between names and places in lists: ``outputs.0.data.0``, which is
                    kserve-v2's default; plain's is the whole body
    served_field    where the reply names the model or version that answered
    served_header   the header that does
    path            appended to the base URL, as ``/predict``

A response type that isn't an object travels as ``{"value": …}``. A service needn't know: what it answers that's no object is
wrapped here; an object is taken as it is. Of a BYTES tensor, whose elements are texts, the text is the answer's JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_array, as_object, as_text, json_text
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.reading import Reading
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, decoded, loads_text
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

_PATH = re.compile(r"(?:/[A-Za-z0-9._~:@!$&'()*+,;=%-]*)+")
_MISSING = object()


class HttpJson(HttpCodec):
    """The codec of one service.

    Args:
        access: how to get at it; ``access.model`` is only the pin's name for it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "json")
        self._tensor = options.choice("request", "plain", "kserve-v2") == "kserve-v2"
        name = options.text("request_field", "request" if self._tensor else "")
        found = options.text("response_field", "outputs.0.data.0" if self._tensor else "")
        self._answer = tuple(found.split(".")) if found else ()
        served = options.text("served_field")
        self._named = tuple(served.split(".")) if served else ()
        self._header = options.text("served_header").lower()
        path = options.text("path")
        if path and not _PATH.fullmatch(path):
            options.refuse("path", "must begin with / and be a URL's path")
        options.done()
        if access.streaming is not None:
            raise ConfigurationError("stream: a service behind plain JSON has none: leave it out")
        self._request: Callable[[bytes], bytes] = _tensor_of(name) if self._tensor else _nested_in(name)
        super().__init__(access, path)

    # --- asking -------------------------------------------------------------------------------------------------------

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """None is sent."""
        return b""

    def encode(self, ask: Ask) -> HttpRequest:
        """The request's exact bytes."""
        return HttpRequest(self.url, self.headers, self._request(ask.request_json))

    # --- reading ------------------------------------------------------------------------------------------------------

    def parse(self, reply: HttpReply) -> Reading:
        """What the reply says; its JSON needn't be an object."""
        if reply.status == 200:
            try:
                text = decoded(reply.body).strip(WHITE_SPACE)
                return self._read(reply, loads_text(text), text)
            except StrictJsonError:
                pass  # what it is instead is told below
        return super().parse(reply)

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What an error's JSON object means."""
        return Reading(self._served(reply, body), self.fault_of(reply, body))

    def _read(self, reply: HttpReply, body: object, text: str) -> Reading:
        served, answer = self._served(reply, body), _at(body, self._answer)
        if answer is _MISSING:
            return Reading(served, Fault(FaultKind.NOT_AN_ANSWER, "nothing at response_field", 200))
        if self._tensor and isinstance(answer, str):
            return Reading(served, text=answer, answer=_wrapped_text(answer))
        if self._answer:
            text = json_text(answer)
        return Reading(served, text=text if isinstance(answer, dict) else f'{{"value":{text}}}')

    def _served(self, reply: HttpReply, body: object) -> Served:
        model = as_text(reply.headers.get(self._header)) if self._header else None
        if model is None and self._named:
            stated = _at(body, self._named)
            model = as_text(str(stated) if type(stated) is int else stated)
        grade = Grade.UNKNOWN if model is None else Grade.PROVIDER
        return Served(model, grade, None, as_text(reply.headers.get("x-request-id")))

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means: its status says it."""
        return fault_of_status(reply.status, "the status alone says it", told_to_wait="retry-after" in reply.headers)


def codec(access: Access) -> HttpJson:
    """The codec of `access`: what `failsoft.providers` names."""
    return HttpJson(access)


def _nested_in(field: str) -> Callable[[bytes], bytes]:
    """Puts a JSON text into fields inside each other; ``""``: leaves it as it is."""
    names = field.split(".") if field else []
    before = b"".join(b"{%b:" % to_json(each) for each in names)
    after = b"}" * len(names)
    return lambda text: before + text + after


def _tensor_of(name: str) -> Callable[[bytes], bytes]:
    """Makes a JSON text the one element of an input."""
    return lambda text: to_json(
        {"inputs": [{"name": name, "shape": [1], "datatype": "BYTES", "data": [text.decode()]}]}
    )


def _at(value: object, path: tuple[str, ...]) -> object:
    """What stands at a path of names and places; `_MISSING` where nothing does."""
    for each in path:
        listed = as_array(value)
        if listed:
            place = int(each) if each.isascii() and each.isdigit() and len(each) < 7 else len(listed)
            value = listed[place] if place < len(listed) else _MISSING
        else:
            value = as_object(value).get(each, _MISSING)
    return value


def _wrapped_text(text: str) -> str:
    """A JSON text, wrapped where it's no object; what isn't JSON at all stays as it is, for `answer_of` to refuse."""
    stripped = text.strip(WHITE_SPACE)
    try:
        value: object = loads_text(stripped)
    except StrictJsonError:
        return text
    return stripped if isinstance(value, dict) else f'{{"value":{stripped}}}'
