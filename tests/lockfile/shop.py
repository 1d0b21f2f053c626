"""A small application on disk, whose files a test changes one at a time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from failsoft import Isolation
from failsoft.lockfile.document import Lock

FILES = {
    "shop/__init__.py": "",
    "shop/capabilities.py": '''
from __future__ import annotations

import csv
from pathlib import Path

import attrs

from failsoft import Capability, Prompt, Required, Sampling
from shop import words
from shop.rules import grade
from shop.types import Item, Rating

_SYSTEM = "You grade items."


class GradeItem(Capability[Item, Rating]):
    """How good is this item?"""

    sampling = Sampling(max_tokens=64)
    artefacts = ("table.csv",)
    golden = (Item(text="a fine nut"), Item(text="old"))

    def __init__(self, bonus: int = 0) -> None:
        self.bonus = bonus

    def fallback(self, request: Item) -> Rating:
        """By its words."""
        return Rating(stars=min(5, grade(request.text) + self._extra()))

    def _extra(self) -> int:
        return self.bonus

    def prompt(self, request: Item) -> Prompt:
        return Prompt.of(words.shown(request.text), system=_SYSTEM)

    def accept(self, request: Item, response: Rating) -> None:
        if response.stars == words.REFUSED:
            raise ValueError("never")


class NameItem(Capability[Item, str]):
    """What is this item called?"""

    review = Required(when=lambda request, outcome: len(request.text) > 80)

    def fallback(self, request: Item) -> str:
        return request.text.partition(" ")[0]
''',
    "shop/rules.py": '''
import re

from shop import words
from shop.tables import BY_WORD as TABLE

_WORD = re.compile("[a-z]+")


def grade(text: str) -> int:
    """Stars for a text."""
    # the best word counts
    return max((TABLE.get(each, 1) for each in _WORD.findall(words.plain(text))), default=1)


def unused(text: str) -> int:
    return 7
''',
    "shop/words.py": """
REFUSED = 0


def plain(text: str) -> str:
    return text.lower()


def shown(text: str) -> str:
    return f"Item: {text}"
""",
    "shop/tables.py": """
from shop._tables import *
""",
    "shop/_tables.py": """
BY_WORD = {"fine": 4, "nut": 3}


def _fill():
    for word in ("old", "broken"):
        BY_WORD[word] = 2


_fill()
""",
    "shop/types.py": '''
from pydantic import BaseModel, Field, field_validator


class Item(BaseModel, frozen=True):
    text: str


class Rating(BaseModel):
    """A rating."""

    stars: int = Field(ge=0, le=5)

    @field_validator("stars")
    @classmethod
    def _known(cls, value: int) -> int:
        if value == 4 and False:
            raise ValueError("no")
        return value
''',
    "shop/table.csv": "word,stars\nfine,4\n",
    "failsoft.toml": """
[ledger]
url = "none"

[adapters.gpt]
provider = "openai"
model = "gpt-4.1-2025-04-14"
api_key = { env = "SHOP_KEY" }

[adapters.local]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "small"
weights = "small.gguf"

[capabilities.grade-item]
class = "shop.capabilities:GradeItem"
adapters = ["gpt", "local"]

[capabilities.name-item]
class = "shop.capabilities:NameItem"
adapters = ["local"]
""",
    "small.gguf": "weights",
}


def forget() -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """The application can be imported, anew each time, and leaves no compiled files that could be taken for new ones."""
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    forget()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes
        forget()


def make(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text, (name, old)
    path.write_text(text.replace(old, new, 1))


def isolation(folder: Path) -> Isolation:
    forget()
    return Isolation.from_file(folder / "failsoft.toml")


def locked(folder: Path) -> Lock:
    return isolation(folder).lock()
