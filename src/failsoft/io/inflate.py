"""Content encodings, undone by ourselves: whole or not at all, and never beyond the cap.

HTTP libraries hand out the half of a cut gzip stream as if it were the whole, drop a second member silently, and let
200 kB grow into 200 MB. Identity is what requests ask for; a server that sends gzip or deflate all the same is
understood, everything else is refused.
"""

from __future__ import annotations

import zlib

from failsoft.fault import Fault, FaultKind

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS  # what some servers mean by "deflate" (RFC 9110, section 8.4.1.2, note)

_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes | Fault:
    """The body with its content encoding undone.

    Args:
        body: as it came over the wire.
        encoding: the ``content-encoding`` header; empty where there was none.
        max_bytes: what the result may hold at most.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    windows = _WINDOWS.get(name)
    if windows is None:
        return Fault(FaultKind.BAD_ENCODING, "a content encoding that isn't known, or a list of several")
    for window in windows:
        try:
            return _inflated(body, window, max_bytes)
        except zlib.error:
            continue
    return Fault(FaultKind.BAD_ENCODING, f"not what content-encoding {name} says")


def _inflated(body: bytes, window: int, max_bytes: int) -> bytes | Fault:
    stream = zlib.decompressobj(window)
    plain = stream.decompress(body, max_bytes + 1)
    if len(plain) > max_bytes:
        return Fault(FaultKind.TOO_LARGE, f"more than {max_bytes} bytes when inflated")
    if not stream.eof:
        return Fault(FaultKind.BAD_ENCODING, "the compressed stream is cut")
    if stream.unused_data:
        return Fault(FaultKind.BAD_ENCODING, "bytes behind the end of the compressed stream")
    return plain
