"""How whoever writes to a log begins: which process it is, on what."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Draft
from failsoft.ledger.store import Store


def hello(host: str, store: Store) -> Draft:
    """The first record of an emitter.

    Args:
        host: label of this machine.
        store: where it writes.
    """
    lib = {"python": platform.python_version(), **store.lib, "failsoft": _version()}
    return draft.emitter_opened(host, os.getpid(), lib, store.swept)


def host_name() -> str:
    """This machine's label, where nobody gave it one."""
    return platform.node() or "unnamed-host"


def _version() -> str:
    try:
        return metadata.version("failsoft")
    except metadata.PackageNotFoundError:
        return "unknown"
