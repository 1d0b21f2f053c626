from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lockfile.shop import change, importable, make


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The application, which keeps a ledger and is held to a lock."""
    monkeypatch.setenv("SHOP_KEY", "unread-key")
    monkeypatch.chdir(tmp_path)
    with importable(tmp_path):
        make(tmp_path)
        change(
            tmp_path, "failsoft.toml", '[ledger]\nurl = "none"', 'locked = true\n[ledger]\nurl = "sqlite:///shop.db"'
        )
        yield tmp_path
