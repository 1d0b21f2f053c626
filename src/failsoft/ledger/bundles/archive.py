"""The one zip file that a set of files makes: stored, dated to no day, in the order of the names' bytes.

Same files, same bytes, on any machine. Whoever reads one takes it apart by its central directory, puts the same files
together again and demands the same bytes (`failsoft.ledger.bundles.verify_bundle`): so nothing can hide between or behind
them.

    each file:  local header[30] ‖ name ‖ data
    then:       central header[46] ‖ name, for each  ‖  end of central directory[22]

The profile: method 0, flags 0, version 20, made by 0x0314 (UNIX, 2.0), time 0, date 0x0021 (1980-01-01), mode 0o100644; no
extra field, no comment, no zip64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from struct import pack
from zlib import crc32

MAX_FILES = 65_534
"""One more would be zip64's mark."""

MAX_BYTES = 1 << 30
"""Of the whole archive: 1 GiB, which a verifier reads whole."""

NAME = re.compile(
    r"manifest\.json|manifest\.note|checkpoint\.txt|report\.html|verify\.py"
    r"|(?:records/(?:0|[1-9][0-9]{0,15})\.json)|(?:proofs/(?:0|[1-9][0-9]{0,15})\.tlog-proof)"
    r"|(?:consistency/[1-9][0-9]{0,15}-[1-9][0-9]{0,15}\.txt)"
    r"|(?:disclosures/[0-9a-f]{64}\.bin)|(?:artifacts/[0-9a-f]{64})"
)
"""The closed pattern of names."""


def write(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files.

    Raises:
        ValueError: a name is none that a bundle has, there are too many files, or they're too large together.
    """
    if len(files) > MAX_FILES:
        raise ValueError(f"{len(files)} files, and a bundle holds at most {MAX_FILES}")
    parts: list[bytes] = []
    directory: list[bytes] = []
    at = 0
    for name in sorted(files):
        if NAME.fullmatch(name) is None:
            raise ValueError(f"no file of a bundle is named {name!r:.80}")
        data = files[name]
        common = pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, crc32(data), len(data), len(data), len(name), 0)
        parts += (b"PK\3\4" + common, name.encode(), data)
        directory.append(b"PK\1\2\x14\3" + common + pack("<HHHII", 0, 0, 0, 0o100644 << 16, at) + name.encode())
        at += 30 + len(name) + len(data)
        if at > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes, which is what a bundle holds at most")
    listing = b"".join(directory)
    end = b"PK\5\6" + pack("<HHHHIIH", 0, 0, len(files), len(files), len(listing), at, 0)
    return b"".join((*parts, listing, end))
