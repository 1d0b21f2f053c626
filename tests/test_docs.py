"""What the documentation says is so: snippets run, commands exist, tables are the code's own.

How a page is read. Python blocks run in order, in one namespace for each page, in an empty folder. A block whose first line
names a file (``# office.py``, ``# failsoft.toml``) is saved there; such a module is imported too. An ``output`` block is what
the page has printed since the last one, with ``…`` for what differs from run to run. Shell blocks aren't run.
"""

import importlib
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from attrs import frozen

import failsoft
from failsoft.config import (
    AdapterConfig,
    BreakerConfig,
    CapabilityConfig,
    Config,
    LimitsConfig,
    StateConfig,
)
from failsoft.config_ledger import LedgerConfig
from failsoft.config_read import read_file
from failsoft.config_retention import RetentionClassConfig, RetentionConfig
from failsoft.core import retry
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.effects import MILLISECOND
from failsoft.ledger.reading.affected import COLUMNS
from failsoft.ledger.reading.query import FIELDS
from failsoft.ledger.reviews import COLUMNS as REVIEWED
from failsoft.ledger.reviews import HISTORY
from failsoft.replay.steps import STEPS
from failsoft.telemetry import CATALOGUE
from tests import compliance_page, faults_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([a-z_]+\.(?:py|toml))\n")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_SHELL_COMMAND = re.compile(r"^(?:\$ )?failsoft ([^#\n]+)", re.MULTILINE)
_INLINE_COMMAND = re.compile(r"`failsoft ([a-z][^`]*)`")
_DEV = re.compile(r"\./dev ([a-z]+)")
_REFERENCE = re.compile(r'\{ env = "(\w+)" \}')
_FILE_REFERENCE = re.compile(r'\{ file = "([\w.]+)" \}')


@frozen
class Snippet:
    """One fenced block, and the line that its text starts on."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name that its first line gives it."""
        found = _FILE.match(self.text)
        return found and found[1]


def snippets(page: Path) -> Iterator[Snippet]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        yield Snippet(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def table(page: str, heading: str = "") -> list[list[str]]:
    """The rows of a page's first table (below a heading), cells stripped of spaces and back-ticks."""
    below = (ROOT / page).read_text().partition(heading)[2] if heading else (ROOT / page).read_text()
    rows: list[list[str]] = []
    for line in below.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


def agrees(printed: str, shown: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a snippet opens a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.mark.usefixtures("no_network")
@every_page
def test_every_snippet_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(retry, "BASE", MILLISECOND)  # no page is about it, and 200 calls on a bad day wait for 10 s
    module = ModuleType("page_" + re.sub(r"\W", "_", page.stem))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    imported: list[str] = []
    try:
        for each in snippets(page):
            where = f"{page}:{each.line}"
            if each.language == "output":
                printed = capsys.readouterr().out
                assert agrees(printed, each.text), f"{where}: it printed\n{printed}"
            elif each.file is not None:
                Path(each.file).write_text(each.text)
                if each.language == "python":
                    imported.append(each.file.removesuffix(".py"))
                    importlib.import_module(imported[-1])
            elif each.language == "python":
                code = compile("\n" * (each.line - 1) + each.text, str(page), "exec", dont_inherit=True)
                exec(code, vars(module))
    finally:
        for name in imported:
            sys.modules.pop(name, None)


@every_page
def test_every_block_says_what_it_is(page: Path) -> None:
    for each in snippets(page):
        assert each.language in {"python", "toml", "shell", "output", "text"}, f"{page}:{each.line}: {each.language!r}"


@every_page
def test_every_configuration_shown_is_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in snippets(page):
        if each.language == "toml":
            for name in _REFERENCE.findall(each.text):
                monkeypatch.setenv(name, "secret")
            for name in _FILE_REFERENCE.findall(each.text):
                (tmp_path / name).write_text("secret")
            (tmp_path / "failsoft.toml").write_text(each.text)
            assert read_file(tmp_path / "failsoft.toml").problems == [], f"{page}:{each.line}"


@every_page
def test_every_command_shown_exists(page: Path) -> None:
    typer = pytest.importorskip("typer")
    from failsoft.cli.app import app

    commands = typer.main.get_command(app).commands
    shell = "\n".join(each.text for each in snippets(page) if each.language == "shell")
    for line in _SHELL_COMMAND.findall(shell) + _INLINE_COMMAND.findall(prose(page)):
        name, _, rest = line.partition(" ")
        assert name in commands, f"{page}: failsoft {line}"
        command = commands[name]
        if hasattr(command, "commands") and rest[:1].isalpha():  # a group: the next word names the command
            name, _, rest = rest.partition(" ")
            assert name in command.commands, f"{page}: failsoft {line}"
            command = command.commands[name]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", re.sub(r"'[^']*'|\"[^\"]*\"", "", rest)))
        assert used <= known | {"--help"}, f"{page}: failsoft {line}"
    usage = (ROOT / "dev").read_text().partition("TXT'")[2].partition("TXT")[0]
    for name in _DEV.findall(page.read_text()):
        assert re.search(rf"^  {name}\b", usage, re.MULTILINE), f"{page}: ./dev {name}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(prose(page))]
        ahead += [(page.parent / link).resolve() for link in links if link and "://" not in link]
    assert set(PAGES) - reached == set()


def test_output_that_differs_is_noticed() -> None:
    assert agrees("call 01a2 by AI\n", "call … by AI")
    assert not agrees("call 01a2 by AI\nand more", "call … by AI")


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_events_page_is_the_catalogue() -> None:
    levels = {20: "INFO", 30: "WARNING", 40: "ERROR"}
    expected = [
        [name, levels[kind.level], ", ".join(kind.fields) or "–", kind.meaning.replace("`", "")]
        for name, kind in CATALOGUE.items()
    ]
    assert table("docs/reference/events.md") == expected


@pytest.mark.parametrize(
    ("heading", "columns"), [("## Take them along", FIELDS), ("## Find the decisions of a model", COLUMNS)]
)
def test_the_page_of_proofs_has_every_column_of_a_table(heading: str, columns: Mapping[str, str]) -> None:
    assert dict(table("docs/how-to/prove.md", heading)) == dict(columns)


def test_the_page_of_replays_has_every_step() -> None:
    assert dict(table("docs/how-to/replay.md", "## What is run again")) == dict(STEPS)


def test_the_page_of_reviews_has_every_column_of_its_table() -> None:
    assert dict(table("docs/how-to/review.md", "## See what waits")) == dict(REVIEWED)
    assert dict(table("docs/how-to/review.md", "## See what persons did")) == dict(HISTORY)


def test_the_faults_page_is_the_table_of_treatments() -> None:
    assert faults_page.PAGE.read_text(encoding="utf-8") == faults_page.page(), "write it anew: tests/faults_page.py"


def test_the_compliance_page_is_the_map() -> None:
    page = compliance_page.PAGE.read_text(encoding="utf-8")
    assert page == compliance_page.page(), "write it anew: python -m tests.compliance_page"


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("## Top level", Config),
        ("## [ledger]", LedgerConfig),
        ("## [state]", StateConfig),
        ("## [retention]", RetentionConfig),
        ("## [retention.classes.NAME]", RetentionClassConfig),
        ("## [adapters.NAME]", AdapterConfig),
        ("## [adapters.NAME.breaker]", BreakerConfig),
        ("## [adapters.NAME.limits]", LimitsConfig),
        ("## [capabilities.NAME]", CapabilityConfig),
    ],
)
def test_the_configuration_page_names_every_key(heading: str, section: type) -> None:
    fields = section.model_fields  # type: ignore[attr-defined]
    tables = {
        Config: {"ledger", "state", "retention", "adapters", "capabilities", "base", "source"},
        AdapterConfig: {"breaker", "limits"},
    }
    keys = {each.alias or name for name, each in fields.items() if name not in tables.get(section, ())}
    listed = {row[0] for row in table("docs/reference/configuration.md", heading + "\n")}
    assert listed - {"extends"} == keys


def test_the_configuration_page_states_the_breakers_defaults() -> None:
    for name, _, _, default, *_ in table("docs/reference/configuration.md", "## [adapters.NAME.breaker]\n"):
        stated = getattr(BreakerSettings(), name)
        assert (default if isinstance(stated, str) else float(default)) == stated, name


def test_the_python_page_names_everything_public() -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    assert [name for name in failsoft.__all__ if f"`{name}" not in page] == []
