"""Files that a lock holds by their content: which ones a capability's patterns mean, and their digests."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

_CHUNK: Final = 1 << 20


def digest_of_file(path: Path) -> str:
    """SHA-256 (lower-case hex) of a file's content. Raises OSError."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def matching(folder: Path, pattern: str, lock: Path) -> dict[str, Path]:
    """The files that a pattern finds, by the name that the lock gives them; the lock itself is never one.

    Args:
        folder: that of the capability's module.
        pattern: relative to it: another machine has the same files there, and nowhere else.
        lock: where the lock is.

    Raises:
        ValueError: the pattern leads out of the folder, names the lock, or is no pattern.
    """
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).anchor:
        raise ValueError("is an absolute path: name it relative to the module's folder")
    if ".." in PurePosixPath(pattern.replace("\\", "/")).parts:
        raise ValueError("leads out of the module's folder: put the file there")
    if not any(each in pattern for each in "*?["):
        path = folder / pattern
        if _is(path, lock):
            raise ValueError("is the lock itself, which changes as it's written")
        return {Path(pattern).as_posix(): path} if path.is_file() else {}
    found = (each for each in folder.glob(pattern) if each.is_file() and not _is(each, lock))
    return {each.relative_to(folder).as_posix(): each for each in found}


def _is(path: Path, lock: Path) -> bool:
    return path.resolve() == lock.resolve()
