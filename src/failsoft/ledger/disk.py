"""What the file system beneath a ledger can be trusted with, and the room kept free to say that it's full."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath

NETWORK = re.compile(
    r"(?:fuse\.)?(?:nfs\d?|cifs|smb\w*|afs|ceph|9p|glusterfs|lustre|beegfs|gpfs|ocfs2|gfs2|sshfs|davfs|s3fs)"
)
"""File systems where locks are advice at best and a write-ahead log's shared memory isn't shared."""

BALLAST = 512 * 1024
"""Bytes kept free: a commit of one small record takes some ten pages of 8 KiB in the log, and as many in the file."""


def make_private(path: Path) -> None:
    """A database that was just made is its owner's only, and so is what SQLite put beside it.

    No file is opened: to close it would drop the locks that this process has on it.
    """
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):  # on a file system without modes there's none to set
            each.chmod(0o600)


def network_file_system(folder: PurePath, mounts: str = "/proc/self/mountinfo") -> str | None:
    """The type of the network file system that `folder` is on; None on a local one.

    Raises:
        OSError: the table of mounts can't be read, or the system has none.
    """
    if folder.drive.startswith("\\\\"):  # a path of Windows: \\server\share
        return "smb"
    with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
        best, kind = "", ""
        for line in lines:
            mount, _, source = line.partition(" - ")
            fields = mount.split()
            if len(fields) < 5 or not source:
                continue
            point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
            if len(point) >= len(best) and folder.is_relative_to(point):
                best, kind = point, source.split()[0]
    return kind if NETWORK.fullmatch(kind) else None


def sync_folder(folder: Path) -> None:
    """Make durable which files stand in it. Windows opens no folders, and needs no such thing."""
    flag: int | None = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flag)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Ballast:
    """A file that only takes room, given up when the disk is full, so that the failure can still be recorded.

    Once spent, the ledger stays unhealthy until the ballast can be put back: a disk that has room for a few records
    more isn't mended.
    """

    def __init__(self, path: Path, size: int = BALLAST) -> None:
        self.path = path
        self.size = size

    def fill(self) -> bool:
        """Take the room; False where there's too little."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            try:
                _take_room(descriptor, self.size)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.path.unlink(missing_ok=True)
            return error.errno == errno.EOPNOTSUPP  # no way to take room here: then none is missing
        return True

    def spend(self) -> bool:
        """Give the room up; False where it was given up before."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


def _take_room(descriptor: int, size: int) -> None:
    reserve: Callable[[int, int, int], None] | None = getattr(os, "posix_fallocate", None)
    if reserve is not None:
        reserve(descriptor, 0, size)
        return
    left = size
    while left > 0:  # a disk that fills up may take a part
        left -= os.write(descriptor, bytes(left))
