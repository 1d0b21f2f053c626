"""The lock of a file that processes share: nobody waits long for whoever keeps it, and only those who may write can."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from failsoft import processes
from failsoft.errors import ConfigurationError

LOCKED_FOR = 2.0
"""Seconds: one that writes holds the lock for milliseconds. Whoever throws the switch doesn't wait for one that's stuck."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Between processes: one writer at a time.

    Args:
        path: the lock's file; made where it's missing.

    Raises:
        ConfigurationError: another process keeps it.
        OSError: it can't be opened.
    """
    descriptor = _lock_file(path)
    try:
        if not processes.lock_within(descriptor, LOCKED_FOR):
            raise ConfigurationError(
                f"{path}: another process keeps it locked for more than {LOCKED_FOR:g} s: end that"
            )
        try:
            yield
        finally:
            processes.unlock(descriptor)  # a child forked meanwhile has a copy, which would keep it
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    """Opened. Those who can write in the folder can open it, and no others: to read it would be enough to keep it locked."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR)
    if sys.platform != "win32":
        folder = os.stat(path.parent)
        with suppress(OSError):  # one that can't be given away is its owner's
            if folder.st_mode & stat.S_IWOTH:
                os.fchmod(descriptor, 0o666)
            elif folder.st_mode & stat.S_IWGRP:
                os.fchown(descriptor, -1, folder.st_gid)
                os.fchmod(descriptor, 0o660)
    return descriptor
