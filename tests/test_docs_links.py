"""Every link between the pages of the documentation leads somewhere: to a file that exists, and to a heading in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[str]:
    for inline, reference in LINK.findall(CODE.sub("", text)):
        target = inline or reference
        if not re.match(r"[a-z][a-z0-9+.-]*:", target):
            yield unquote(target)


def anchors(text: str) -> set[str]:
    """The names by which a page's headings are linked to: lower case, spaces to hyphens, the nth namesake with -n."""
    found: set[str] = set()
    for heading in HEADING.findall(BLOCK.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        namesakes = 0
        while name in found:
            namesakes += 1
            name = f"{base}-{namesakes}"
        found.add(name)
    return found


def broken(page: Path) -> Iterator[str]:
    for target in links(page.read_text(encoding="utf-8")):
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT.resolve()) or not file.exists():
            yield f"{target}: no such file in the project"
        elif fragment and file.suffix == ".md" and fragment not in anchors(file.read_text(encoding="utf-8")):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_link_to_nowhere_is_found() -> None:
    page = ROOT / "README.md"
    text = (
        "[a](docs/nowhere.md) `[b](in/code.md)` [c](https://example.com) [d](README.md#no-such-heading)\n[e]: gone.md"
    )
    assert list(links(text)) == ["docs/nowhere.md", "README.md#no-such-heading", "gone.md"]
    assert "no-such-heading" not in anchors(page.read_text(encoding="utf-8"))


def test_headings_are_named_as_readers_link_to_them() -> None:
    assert anchors("# What's `new`?\n## A b\n## A b\n```sh\n# no heading\n```\n") == {"whats-new", "a-b", "a-b-1"}
