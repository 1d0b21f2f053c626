"""The map from clauses to records: what an auditor's rule asks, which records bear on it, which command shows them.

The data stands in ``clauses.toml`` beside this. Rules:

1. A row says what records *support*, and what remains the organisation's own duty. No row says that a rule is kept: that's
   for those to judge who answer for it.
2. A row is of *today*, or *planned*: then some of its records aren't written yet, or its command doesn't exist. Its fields
   are those of the specification.
3. Paragraphs are numbered by a text of the rule, which each row names: another text may number them otherwise.
4. A row says how its clause was read: in the primary text, on a secondary page, or not at all; and on which day.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from failsoft.ledger.records.schema import Kind

COLUMNS: Final = MappingProxyType(
    {
        "framework": "far, nist, eu or omb",
        "clause": "as the text of the rule numbers it",
        "status": "today, or planned",
        "asks": "what the clause asks for, in our words",
        "records": "types of records that bear on it, with their fields",
        "commands": "what shows them",
        "supports": "what these records support",
        "remains": "what remains the organisation's own duty",
        "rule_text": "by which text of the rule the clause is numbered: its id",
        "document": "that text, and its version",
        "read": "primary, secondary or unchecked: how the clause was read",
        "checked": "on which day",
        "source": "where",
    }
)
"""The columns of a row, in order, with what each means."""


class Status(StrEnum):
    """Is there what a row names?"""

    TODAY = "today"
    PLANNED = "planned"


class Read(StrEnum):
    """How a clause was read."""

    PRIMARY = "primary"
    """In the rule's own text, as its author publishes it."""
    SECONDARY = "secondary"
    """On a page of somebody else's, reprint or summary."""
    UNCHECKED = "unchecked"
    """Not at all: the row stands on what's commonly said."""


Text = Annotated[str, Field(pattern=r"^[^\s|\x00-\x1f\x7f]([^|\x00-\x1f\x7f]*[^\s|\x00-\x1f\x7f])?$")]
"""One line, which a table's cell can hold."""

FieldPath = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
"""Where a field stands in a record: ``attempts.served.model`` is in each of the attempts."""

Command = Annotated[str, Field(pattern=r"^failsoft [a-z][^|`\x00-\x1f\x7f]*$")]

FieldPaths = Annotated[tuple[FieldPath, ...], Field(min_length=1)]

Records = Annotated[Mapping[Kind, FieldPaths], Field(min_length=1), AfterValidator(MappingProxyType)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleText(_Frozen):
    """One text of a rule, by which clauses are numbered.

    Args:
        source: where it was read.
    """

    document: Text
    version: Text
    source: Text


class Framework(_Frozen):
    """A body of rules.

    Args:
        note: what to know before relying on a row: scope, dates, other texts.
    """

    title: Text
    note: Text


class Clause(_Frozen):
    """A row: one demand of a clause.

    Args:
        rule_text: the id of the text that numbers it.
        checked: when it was read so.
        records: by type, the fields that bear on it.
        commands: complete, with names that stand for the reader's own.
    """

    framework: Text
    clause: Text
    asks: Text
    status: Status
    rule_text: Text
    read: Read
    checked: date
    records: Records
    commands: Annotated[tuple[Command, ...], Field(min_length=1)]
    supports: Text
    remains: Text

    @property
    def recorded(self) -> tuple[str, ...]:
        """Each type of record with its fields, as text."""
        return tuple(f"{kind}: {', '.join(paths)}" for kind, paths in self.records.items())

    def is_of(self, clause: str) -> bool:
        """Is it this clause, or a part of it: ``AU-9`` has ``AU-9(3)``, and ``AU-1`` hasn't ``AU-12``."""
        own, wanted = self.clause.casefold(), clause.casefold()
        return own.startswith(wanted) and not own[len(wanted) :][:1].isalnum()


class ClauseMap(_Frozen):
    """All of it.

    Args:
        frameworks: by id, in order.
        rule_texts: by id.
        clauses: in order.
    """

    frameworks: Mapping[str, Framework]
    rule_texts: Mapping[str, RuleText]
    clauses: tuple[Clause, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> ClauseMap:
        for each in self.clauses:
            where = f"{each.framework} {each.clause}"
            if each.framework not in self.frameworks:
                raise ValueError(f"{where}: there's no framework {each.framework}")
            if each.rule_text not in self.rule_texts:
                raise ValueError(f"{where}: there's no text {each.rule_text}")
        if len({(each.framework, each.clause, each.asks) for each in self.clauses}) < len(self.clauses):
            raise ValueError("a row stands here twice")
        return self

    def find(self, framework: str | None = None, clause: str | None = None) -> tuple[Clause, ...]:
        """The rows of a framework, of a clause, of both, or all."""
        return tuple(
            each
            for each in self.clauses
            if (framework is None or each.framework == framework) and (clause is None or each.is_of(clause))
        )

    def row(self, clause: Clause) -> dict[str, str]:
        """One flat row, by `COLUMNS`."""
        text = self.rule_texts[clause.rule_text]
        return {
            "framework": clause.framework,
            "clause": clause.clause,
            "status": clause.status,
            "asks": clause.asks,
            "records": "; ".join(clause.recorded),
            "commands": "; ".join(clause.commands),
            "supports": clause.supports,
            "remains": clause.remains,
            "rule_text": clause.rule_text,
            "document": f"{text.document}, {text.version}",
            "read": clause.read,
            "checked": str(clause.checked),
            "source": text.source,
        }


def parse(text: str) -> ClauseMap:
    """A map from its TOML.

    Raises:
        ValueError: it's no TOML, or no such map.
    """
    return ClauseMap.model_validate(tomllib.loads(text))


@cache
def shipped() -> ClauseMap:
    """The map that comes with failsoft."""
    return parse(files("failsoft.compliance").joinpath("clauses.toml").read_text(encoding="utf-8"))
