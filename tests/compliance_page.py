"""Writes ``docs/reference/compliance.md`` from the map of clauses: run it after a change of ``clauses.toml``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from failsoft.compliance.clauses import Clause, ClauseMap, Status, shipped

PAGE = Path(__file__).parents[1] / "docs/reference/compliance.md"

INTRO = """# Compliance map

Which records bear on which clause, which command shows them, what they support, and what remains the organisation's own duty. This
page is written from `src/failsoft/compliance/clauses.toml`; the same rows come from the command line:

```shell
failsoft ledger clauses AU-3
failsoft ledger clauses --framework far --csv
```

**A row says what records support, and no more.** Whether a rule is kept is for those to judge who answer for it. Compare a clause's
text before relying on its row: what it asks for stands here in our words.

- *planned*: some of its records aren't written yet, or its command doesn't exist. All other rows are of today: the tests write a real
  ledger, look for each field in it, run the commands, and look for each field's value in what they show.
- *Text*: by which [text of the rule](#the-texts) the clause is numbered, how it was read, and on which day. *primary*: in the rule's own
  text, as its author publishes it. *secondary*: on a page of somebody else's, a reprint or a summary. *unchecked*: not at all.
- Fields are written as paths: `attempts.served.model` stands in each of a record's attempts. In commands `failsoft.db` is the ledger,
  `VKEY` its verifier key, `anchored.txt` a file of checkpoints, `CALL` a call's identifier, `T-17` a case, `gpt` an adapter: put in your own.

How to use it in an audit: [for auditors](../for-auditors.md).
"""


def page(known: ClauseMap | None = None) -> str:
    """The page as it must be."""
    known = known or shipped()
    return INTRO + "".join(f"\n{line}\n" for line in _frameworks(known))


def _frameworks(known: ClauseMap) -> Iterator[str]:
    for framework, about in known.frameworks.items():
        yield f"## {about.title}"
        yield about.note
        for clause, rows in groupby(known.find(framework), key=lambda each: each.clause):
            yield f"### {clause}"
            yield from (_row(each) for each in rows)
    yield "## The texts"
    yield "\n".join(
        ["| id | text | version | where it was read |", "|---|---|---|---|"]
        + [
            f"| `{name}` | {each.document} | {each.version} | {each.source} |"
            for name, each in known.rule_texts.items()
        ]
    )


def _row(clause: Clause) -> str:
    planned = clause.status is Status.PLANNED
    records = "; ".join(
        f"`{kind}` ({', '.join(f'`{path}`' for path in paths)})" for kind, paths in clause.records.items()
    )
    shown = "; ".join(each if planned else f"`{each}`" for each in clause.commands)
    return "\n".join(
        [
            f"*{clause.asks}.*{' **Planned.**' if planned else ''}\n",
            f"- Supports: {clause.supports}",
            f"- Remains: {clause.remains}",
            f"- Records: {records}",
            f"- Shown by: {shown}",
            f"- Text: `{clause.rule_text}`, {clause.read}, {clause.checked}",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
