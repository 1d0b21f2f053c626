"""What looks like a credential is taken out of a payload before anything is committed to, and counted.

Headers aren't recorded, and the application's own keys are struck from what a provider sends (`failsoft.core.judge`). These
are the keys that people paste: into a request, a document, a prompt. The application's own, whatever they look like; and
others where their form is unmistakable, as their makers publish it: each is looked for by a literal first, and no pattern
repeats without a bound. A key that's written in another form (split, encoded) stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

_NOT_WITHIN = rb"(?<![A-Za-z0-9_/+-])"

_PRIVATE_KEY = (
    rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----[\s\\nr]{0,8}[A-Za-z0-9+/=]{16}[A-Za-z0-9+/=\s\\]{0,20000}"
    rb"(?:-----END [A-Z0-9 ]{0,30}KEY-----)?"
)
"""As it stands in a file, or as JSON writes it: with \\n for each end of a line."""

_FORMS: tuple[tuple[str, str, bytes], ...] = (
    (" KEY-----", "private-key", _PRIVATE_KEY),
    ("eyJ", "json-web-token", _NOT_WITHIN + rb"eyJ[\w-]{8,4000}\.eyJ[\w-]{8,16000}\.[\w-]{16,2000}"),
    ("earer ", "bearer-token", rb"(?<![A-Za-z])[Bb]earer (?=[A-Za-z._~+/-]{0,4000}[0-9])[\w.~+/-]{20,4096}={0,2}"),
    ("sk-", "openai-style-key", _NOT_WITHIN + rb"sk-(?=[A-Za-z_-]{0,200}[0-9])[\w-]{20,300}"),
    ("AKIA", "aws-access-key", _NOT_WITHIN + rb"AKIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("ASIA", "aws-access-key", _NOT_WITHIN + rb"ASIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("AIza", "google-key", _NOT_WITHIN + rb"AIza[\w-]{35}(?![\w-])"),
    ("gh", "github-token", rb"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("github_pat_", "github-token", _NOT_WITHIN + rb"github_pat_\w{50,255}"),
    ("xox", "slack-token", _NOT_WITHIN + rb"xox[abposr]-[A-Za-z0-9-]{20,250}"),
    ("k_live_", "stripe-key", _NOT_WITHIN + rb"[sr]k_live_[A-Za-z0-9]{20,250}"),
    ("hf_", "hugging-face-token", _NOT_WITHIN + rb"hf_[A-Za-z]{34}(?![A-Za-z0-9])"),
)  # fmt: skip
"""A literal that's in each of its kind, the kind, and the pattern."""

_RULES = tuple((literal.encode(), kind, re.compile(pattern)) for literal, kind, pattern in _FORMS)


Redact = Callable[[bytes], tuple[bytes, dict[str, int]]]
"""Gives a payload without what looks like a credential, and how many of each kind were taken out."""

OWN = "own-key"
"""The kind of a key that the application itself uses."""


def redact(data: bytes) -> tuple[bytes, dict[str, int]]:
    """The payload without what looks like a credential, and how many of each kind were taken out.

    Args:
        data: a payload of any media type. In the place of each stands ``[redacted: KIND]``.
    """
    found: dict[str, int] = {}
    for literal, kind, pattern in _RULES:
        if literal in data:
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
        own = 0
        for secret in sorted(secrets(), key=len, reverse=True):  # one may begin with another
            for form in dict.fromkeys((secret.encode(), json.dumps(secret)[1:-1].encode())):
                own += data.count(form)
                data = data.replace(form, _in_place_of(OWN))
        data, found = redact(data) if patterns else (data, {})
        return data, {OWN: own, **found} if own else found

    return redacting


def _in_place_of(kind: str) -> bytes:
    return b"[redacted: %s]" % kind.encode()
