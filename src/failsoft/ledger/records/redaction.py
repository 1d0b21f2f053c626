"""What looks like a credential is taken out of a payload before anything is committed to, and counted.

Headers aren't recorded, and the application's own keys are struck from what a provider sends (`failsoft.core.judge`). These
are the keys that people paste: into a request, a document, a prompt. The application's own, whatever they look like; and
others where their form is unmistakable, as their makers publish it. A key that's written in another form (split, encoded)
stays.

Rules for the patterns:

1. JSON stays JSON. None takes a quotation mark, or part of an escape: neither its backslash nor what comes after it.
2. Each is looked for by a literal first. None repeats without a bound, and what repeats gives nothing back (``+`` after the
   bounds), so that the time goes with the length of the payload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter

from failsoft.ledger.records.own_keys import without

# --- parts of patterns --------------------------------------------------------------------------------------------------


def _start(literal: bytes, refused: bytes = rb"\w/+-") -> bytes:
    r"""This literal, not after these characters, but after an escape of JSON's that ends in one (``\n``).

    Args:
        literal: or a pattern of one width.
        refused: what's in a set of characters.
    """
    told = {b"literal": literal, b"refused": refused}
    # The literal first: a search for it is many times as fast as one for what may stand before it.
    return (
        rb"%(literal)b(?:(?<![%(refused)b]%(literal)b)|(?<=\\[bfnrt]%(literal)b)|(?<=\\u[0-9A-Fa-f]{4}%(literal)b))"
        % told
    )


def _mixed(between: bytes) -> bytes:
    """Ahead of a token: a run of at least 16 letters and digits, both of them, in what these characters divide."""
    short = rb"(?:(?:[A-Za-z0-9]{0,15}+|[A-Za-z]{16,300}+|[0-9]{16,300}+)[%b]){0,100}+" % between
    return rb"(?=%b(?=[A-Za-z]{0,300}+[0-9])(?=[0-9]{0,300}+[A-Za-z])[A-Za-z0-9]{16})" % short


_GAP = rb"(?:[ \t\r\n]|\\{1,8}+(?:[nrt]|u000[9ADad]))"
"""Between lines, as a file has it or as JSON writes it, however often it's encoded."""

_BASE64 = rb"(?:[A-Za-z0-9+/=]|\\{1,8}+/)"

_PRIVATE_KEY = (
    rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:%(gap)b{1,200}+(?:Proc-Type|DEK-Info|Version|Comment|MessageID|Hash|Charset): [ !#-\[\]-~]{1,200}+){0,8}+"
    rb"%(gap)b{0,200}+%(base64)b{16,20000}+"
    rb"(?:(?:%(base64)b|%(gap)b){0,20000}+-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    rb"|(?:%(gap)b{1,200}+(?:%(base64)b{40,20000}+|(?=[A-Za-z+/]{0,75}[0-9])%(base64)b{16,20000}+)){0,400}+)"
) % {b"gap": _GAP, b"base64": _BASE64}
"""With headers of RFC 1421 or PGP, to its end; of one that's cut off the lines that look like its, not the prose after."""

_UUID = rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![\w-])"

_TOKEN = rb"(?:%b[\w.~+/-]{20,4096}+={0,2}|%b)" % (_mixed(rb"_.~+/-"), _UUID)
_STRIPE = rb"[A-Za-z0-9]{20,250}"

_OR_ESCAPE = rb"\w/+\\-"
"""For a literal whose first letter may be an escape's: a backspace is written \\b, the end of a line \\r. Then it stays."""

_FORMS: tuple[tuple[str, str, bytes], ...] = (
    ("eyJ", "json-web-token", _start(b"eyJ") + rb"[\w-]{8,4000}+\.eyJ[\w-]{8,16000}+\.[\w-]{16,2000}"),
    ("earer ", "bearer-token", _start(b"Bearer ") + _TOKEN),
    ("earer ", "bearer-token", _start(b"bearer ", _OR_ESCAPE) + _TOKEN),
    ("earer ", "bearer-token", rb"earer (?<=\\bearer )" + _TOKEN),
    ("sk-", "openai-style-key", _start(b"sk-") + rb"%b[\w-]{20,300}" % _mixed(rb"_-")),
    ("AKIA", "aws-access-key", _start(b"AKIA") + rb"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("ASIA", "aws-access-key", _start(b"ASIA") + rb"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("AIza", "google-key", _start(b"AIza") + rb"[\w-]{35}(?![\w-])"),
    ("gh", "github-token", _start(b"gh[oprsu]_", rb"A-Za-z0-9") + rb"[A-Za-z0-9]{36,255}"),
    ("github_pat_", "github-token", _start(b"github_pat_") + rb"\w{50,255}"),
    ("xox", "slack-token", _start(b"xox") + rb"[abposr]-[A-Za-z0-9-]{20,250}"),
    ("k_live_", "stripe-key", _start(b"sk_live_") + _STRIPE),
    ("k_live_", "stripe-key", _start(b"rk_live_", _OR_ESCAPE) + _STRIPE),
    ("k_live_", "stripe-key", rb"k_live_(?<=\\rk_live_)" + _STRIPE),
    ("hf_", "hugging-face-token", _start(b"hf_") + rb"[A-Za-z]{34}(?![A-Za-z0-9])"),
    ("PRIVATE KEY", "private-key", _PRIVATE_KEY),  # the last: what comes after half a key may look like a line of it
)
"""A literal that's in each of its kind, the kind, and the pattern. Those of one literal together: it's looked for once."""

_RULES = tuple(
    (literal.encode(), tuple((kind, re.compile(pattern)) for _, kind, pattern in forms))
    for literal, forms in groupby(_FORMS, itemgetter(0))
)


Redact = Callable[[bytes], tuple[bytes, dict[str, int]]]
"""Gives a payload without what looks like a credential, and how many of each kind were taken out."""

MARK = b"[redacted: "
"""What stands in the place of what was taken out begins so."""

OWN = "own-key"
"""The kind of a key that the application itself uses."""


def redact(data: bytes) -> tuple[bytes, dict[str, int]]:
    """The payload without what looks like a credential, and how many of each kind were taken out.

    Args:
        data: a payload of any media type. In the place of each stands ``[redacted: KIND]``.
    """
    found: dict[str, int] = {}
    for literal, forms in _RULES:
        if literal in data:
            for kind, pattern in forms:
                data, count = pattern.subn(_in_place_of(kind), data)
                if count:
                    found[kind] = found.get(kind, 0) + count
    return data, found


def redactor(secrets: Callable[[], Iterable[str]], *, patterns: bool) -> Redact:
    """What takes these secrets out, as they are or as JSON writes them, and what else looks like one if that's asked for.

    Args:
        secrets: gives those that the application uses now.
        patterns: `redact`, too.
    """

    def redacting(data: bytes) -> tuple[bytes, dict[str, int]]:
        data, own = without(data, secrets(), _in_place_of(OWN))
        data, found = redact(data) if patterns else (data, {})
        return data, {OWN: own, **found} if own else found

    return redacting


def _in_place_of(kind: str) -> bytes:
    return MARK + kind.encode() + b"]"
