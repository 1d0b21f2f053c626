"""A bundle's page, as those see it who read it: its text, and what it's made of. No tests."""

from __future__ import annotations

from html.parser import HTMLParser

from failsoft.ledger.bundles.selection import Wanted
from tests.bundled import Office, bundle, unzipped

HOSTILE = "</p><script>alert(1)</script><img src=x onerror=y>\u202e\x1b[31m&\"'"


class Reader(HTMLParser):
    """Text, tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.said += data


def page_of(log: Office, wanted: Wanted | None = None, question: str | None = None) -> str:
    log.publish()
    log.close()
    return unzipped(bundle(log.path, wanted, question=question).data)["report.html"].decode()


def sheet_of(page: str) -> str:
    """The first page's text."""
    return " ".join(Reader(page.partition("<h2>What was tried</h2>")[0]).said.split())
