"""What the project promises about itself: what it depends on, what it ships, and what no file of it may say."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.resources
import re
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pytest_socket import SocketConnectBlockedError

ROOT = Path(__file__).parent.parent
OUTSIDE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody's address
BASE = {"pydantic", "tenacity", "structlog", "httpx", "httpcore", "attrs", "sniffio"}
REGISTRY_HOST = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|pkg\.dev/|jfrog\.io", re.IGNORECASE)
QUIETLY = pytest.mark.filterwarnings("ignore:A test tried to use socket")  # pytest-socket warns besides raising
MACHINE_PATH = re.compile(r"(?<![\w.}~/-])/(?:home|root|Users|work|farm|opt)/[\w.-]+|(?<![\w.}~/-])/tmp/[\w.-]+/")


def requirements_of(distribution: str, extras: frozenset[str] = frozenset()) -> Iterator[Requirement]:
    """What the installed distribution needs on this interpreter."""
    for line in importlib.metadata.requires(distribution) or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield requirement


def closure_of(distribution: str) -> set[str]:
    """All that installing the distribution brings along, without itself."""
    waiting = list(requirements_of(distribution))
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in seen or requirement.extras:
            seen.add(name)
            waiting.extend(requirements_of(name, frozenset(requirement.extras)))
    return seen


def files_of_the_project() -> Iterator[tuple[str, str]]:
    """Name and text of every file that git tracks, or would with the next ``git add``."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of tracked files")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            yield name, (ROOT / name).read_text(encoding="utf-8", errors="replace")


def places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {found.group()}"
        for name, text in files_of_the_project()
        for number, line in enumerate(text.splitlines(), start=1)
        for found in pattern.finditer(line)
    ]


def test_the_base_dependencies_are_seven_and_these() -> None:
    assert {requirement.name for requirement in requirements_of("failsoft")} == BASE


def test_installing_failsoft_brings_at_most_fifteen_distributions() -> None:
    brought = closure_of("failsoft")
    assert brought >= BASE
    assert len(brought) <= 15, sorted(brought)


def test_sniffio_is_there_for_httpcore_to_find() -> None:
    assert importlib.import_module("sniffio").current_async_library_cvar is not None


def test_no_file_names_a_package_registry() -> None:
    assert places(REGISTRY_HOST) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert places(MACHINE_PATH) == []


@pytest.mark.parametrize("line", ["see |home|jdoe|x", 'open("|tmp|build|x")', "cd |root|x", "--index=|opt|mirror"])
def test_a_machine_path_is_recognised(line: str) -> None:
    assert MACHINE_PATH.search(line.replace("|", "/"))  # spelt so that this file passes too


@pytest.mark.parametrize(
    "line", ["https://example.com/home/page", "src/home/x", "/v1/chat", "~/work/x", "/usr/bin/env"]
)
def test_what_is_no_machine_path_passes(line: str) -> None:
    assert not MACHINE_PATH.search(line)


def test_type_checkers_are_told_that_failsoft_is_typed() -> None:
    assert importlib.resources.files("failsoft").joinpath("py.typed").is_file()


def test_the_installed_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("failsoft") == project["version"]


@QUIETLY
def test_a_test_that_connects_beyond_this_machine_fails() -> None:
    with socket.socket() as outside, pytest.raises(SocketConnectBlockedError):
        outside.connect((OUTSIDE, 443))


@QUIETLY
async def test_a_test_that_connects_beyond_this_machine_on_a_loop_fails() -> None:
    with pytest.raises(SocketConnectBlockedError):
        await asyncio.open_connection(OUTSIDE, 443)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_test_may_connect_to_this_machine(family: socket.AddressFamily, host: str) -> None:
    with listening(family, host) as server, socket.create_connection(server.getsockname()[:2], timeout=5):
        pass


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_test_may_connect_to_this_machine_on_a_loop(family: socket.AddressFamily, host: str) -> None:
    with listening(family, host) as server:
        _, writer = await asyncio.open_connection(*server.getsockname()[:2])
        writer.close()
        await writer.wait_closed()


def listening(family: socket.AddressFamily, host: str) -> socket.socket:
    try:
        return socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
