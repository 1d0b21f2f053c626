"""What every test shares: how hard hypothesis searches, and where the real inputs lie."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer


ROOT = Path(__file__).parent.parent

# No deadlines: on a busy machine they'd fail tests for being slow. CI repeats itself exactly; a developer's runs explore.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.register_profile("long", deadline=None, max_examples=100_000)
settings.load_profile(os.environ.get("FAILSOFT_HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_collection_finish() -> None:
    """Thousands of collected tests and all modules are there to the end: no garbage collection looks through them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real inputs: FAILSOFT_DATA, or ``shared/data`` beside the checkout. Without it the test is skipped."""
    folder = Path(os.environ.get("FAILSOFT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no folder of real inputs: set FAILSOFT_DATA, or put shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, one for the whole run: each test has a scope or a schema of its own in it."""
    from tests.postgres_server import postgres_server  # the environment of the SDKs has none

    with postgres_server() as server:
        yield server


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Threads take turns after every few instructions: who races is seen."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that nobody lets go of is waited for a moment instead of seconds: for tests in which somebody keeps reading."""
    usual = sqlite3.connect

    def connect(*given: Any, **options: Any) -> sqlite3.Connection:
        return usual(*given, **{**options, "timeout": 0.05})

    monkeypatch.setattr(sqlite3, "connect", connect)
