"""The pytest plugin: under tests a capability's bug raises instead of hiding behind its fallback; real replies by fixture.

It's active wherever failsoft is installed beside pytest. It sets the *default* of ``on_bug``; a configuration that says
otherwise keeps its word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

DEFAULT_ON_BUG = "FAILSOFT_ON_BUG"
"""The environment variable that the configuration reads as its default."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--failsoft-record``."""
    parser.getgroup("failsoft").addoption(
        "--failsoft-record",
        action="store_true",
        help="let the fixture `recorded` ask real providers and write down what they answer",
    )


def pytest_configure() -> None:
    """Make bugs of capabilities loud, in this process and in those that it starts."""
    os.environ.setdefault(DEFAULT_ON_BUG, "raise")


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A transport for an isolation that answers from ``recordings/<module>/<test>.jsonl`` beside the test's file.

    Under ``--failsoft-record`` it's a `failsoft.testing.Recorder` and writes that file anew; otherwise a `Replayer`, and a
    request that isn't in the file fails the test at its end.
    """
    from failsoft.testing.recorder import NotReplayed, Recorder, Replayer

    name = re.sub(r"[^A-Za-z0-9_.-]", "-", request.node.name)
    path = request.path.parent / "recordings" / request.path.stem / f"{name}.jsonl"
    if request.config.getoption("--failsoft-record"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        yield Recorder(path)
        return
    if not path.is_file():
        pytest.fail(f"nothing is recorded at {path}: run this test once with --failsoft-record")
    replayer = Replayer(path)
    yield replayer
    if replayer.refused:
        raise NotReplayed("; ".join(replayer.refused))
