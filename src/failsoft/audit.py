"""What of a request or a response is put on record, and how: marked field by field, in the types.

    class Item(BaseModel):
        nsn: Annotated[str, Audit.public]        # in clear, in the record itself: found, counted and shown without any key
        description: str                         # committed: behind a salted commitment, encrypted and erasable
        contact: Annotated[str, Audit.omitted]   # on no record, in no form

Rules:

1. What isn't marked is committed.
2. What's omitted is taken out before anything is committed to. A prompt repeats a request and a reply repeats an answer, in
   words of their own, so of a capability that omits anything no prompt, reply or provider's error text is kept either, nor
   what a reviewer saw besides. The record names what it lacks, never what that was.
3. What's omitted where it can't be found again in JSON (in a named tuple, in a type that holds itself, below a serializer
   of one's own) is refused when the isolation is made.
4. Of several marks the strictest counts.
5. What's public stands in the record itself, which can't be erased: nothing personal belongs there.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, cast

from attrs import frozen
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

Path = tuple[str, ...]

EACH = "*"
"""In a path: every element of a list, every value of a table."""

LONGEST = 64
"""Characters of a field's name in a record, with those that it's in."""

_NAMED = 32


class Audit(Enum):
    """How a field is put on record, as a mark in its type: ``Annotated[str, Audit.public]``."""

    public = "public"
    committed = "committed"
    omitted = "omitted"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Puts the mark into the schema of what it marks, where it's found however the type is written."""
        schema: Any = handler(source)
        metadata = {**schema.get("metadata", {}), _IN_SCHEMA + self.value: True}
        return cast("CoreSchema", {**schema, "metadata": metadata})


def mark_in(schema: dict[str, Any]) -> Audit | None:
    """The mark of a schema; of several the strictest."""
    metadata: dict[str, Any] = schema.get("metadata", {})
    return next((each for each in _STRICTEST if _IN_SCHEMA + each.value in metadata), None)


_IN_SCHEMA = "failsoft.audit."
_STRICTEST = (Audit.omitted, Audit.committed, Audit.public)


@frozen
class Marks:
    """The marked fields of a type, by their path in its JSON.

    Args:
        public: in clear.
        omitted: on no record.
    """

    public: tuple[Path, ...] = ()
    omitted: tuple[Path, ...] = ()

    def kept(self, text: bytes) -> bytes:
        """The JSON without what's omitted."""
        if not self.omitted:
            return text
        value = json.loads(text)
        for path in self.omitted:
            _remove(value, path)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def missing(self, payload: str) -> list[str]:
        """What's omitted of a payload, each by the payload's path and its own, with dots: of many the first 32."""
        return [".".join((payload, *path))[:LONGEST] for path in self.omitted[:_NAMED]]

    def facts(self, text: bytes) -> dict[str, object]:
        """What's public, by dotted path, as the JSON has it. What's null isn't there."""
        if not self.public:
            return {}
        value = json.loads(self.kept(text))
        found = ((".".join(path), _at(value, path)) for path in self.public)
        return {name: each for name, each in found if each is not None}


@frozen
class AuditPlan:
    """The marks of a capability.

    Args:
        request: of its requests.
        response: of its responses.
    """

    request: Marks
    response: Marks

    @property
    def hides(self) -> bool:
        """Is anything omitted? Then no prompt, reply or error text is kept."""
        return bool(self.request.omitted or self.response.omitted)


def plan_of(request: Marks, response: Marks) -> AuditPlan | None:
    """The plan of a capability, by the marks of its types; None where nothing is marked."""
    plan = AuditPlan(request, response)
    return plan if plan != AuditPlan(Marks(), Marks()) else None


def _remove(value: Any, path: Path) -> None:
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        for name in list(table) if step == EACH else [step]:
            if not rest:
                table.pop(name, None)
            else:
                _remove(table.get(name), rest)
    elif isinstance(value, list) and step == EACH:
        elements = cast("list[object]", value)
        if not rest:
            elements.clear()
        for each in elements:
            _remove(each, rest)


def _at(value: Any, path: Path) -> object:
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = cast("dict[str, Any]", value)[step]
    return cast("object", value)
