"""Events: quiet unless somebody asked, never able to change an answer."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from failsoft.telemetry import CATALOGUE, Telemetry


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_nothing_is_printed_that_nobody_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    for name in CATALOGUE:
        Telemetry().emit(name)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_configures_nothing_stays_quiet() -> None:
    program = "from failsoft.telemetry import *\nfor each in CATALOGUE: Telemetry().emit(each)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_events_go_to_logging_as_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failsoft"):
        Telemetry().emit("fallback.used", capability="grade", call_id="c", reasons=["gpt: open", "local: labels"])
    record = caplog.records[0]
    assert (record.name, record.levelname) == ("failsoft", "WARNING")
    assert record.getMessage() == 'event=fallback.used capability=grade call_id=c reasons="gpt: open, local: labels"'


def test_a_level_that_isnt_wanted_is_not_rendered(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "failsoft"):
        telemetry = Telemetry()
        assert not telemetry.enabled("fallback.used")
        assert telemetry.enabled("capability.bug")
        telemetry.emit("fallback.used", capability="grade")
    assert caplog.records == []


def test_events_go_to_structlog_where_it_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        seen.append({"level": method, **event})
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    telemetry = Telemetry()
    assert telemetry.enabled("call.completed")
    telemetry.emit("block.changed", subject="adapter:gpt", blocked=True, actor="jdoe", why="w")
    assert seen == [
        {
            "level": "warning",
            "event": "block.changed",
            "subject": "adapter:gpt",
            "blocked": True,
            "actor": "jdoe",
            "why": "w",
        }
    ]
    assert caplog.records == []


def test_a_handler_that_raises_is_counted_and_changes_nothing() -> None:
    def broken(logger: Any, method: str, event: Any) -> Any:
        raise RuntimeError

    structlog.configure(processors=[broken])
    telemetry = Telemetry()
    telemetry.emit("ledger.recovered")
    assert telemetry.errors == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_event_is_described(name: str) -> None:
    kind = CATALOGUE[name]
    assert kind.meaning.endswith(".")
    assert kind.level in (logging.INFO, logging.WARNING, logging.ERROR)
    assert len(set(kind.fields)) == len(kind.fields)


def test_structlog_isnt_loaded_for_an_application_that_hasnt() -> None:
    program = (
        "import sys\nfrom failsoft.telemetry import *\nTelemetry().emit('ledger.recovered')\n"
        "print('structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout.decode().lower()) is False
