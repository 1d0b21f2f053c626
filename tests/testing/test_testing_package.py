"""The package is there for its plugin in every run of pytest: it costs nothing until something of it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import failsoft.testing


def test_every_public_name_is_there() -> None:
    assert [name for name in failsoft.testing.__all__ if not hasattr(failsoft.testing, name)] == []


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match=r"failsoft\.testing.*FaultTransprot"):
        failsoft.testing.FaultTransprot  # type: ignore[attr-defined]  # noqa: B018


def test_the_plugin_brings_no_transport_along() -> None:
    code = "import failsoft.testing.plugin, sys; sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
