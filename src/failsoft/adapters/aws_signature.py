"""AWS's signature of a request, version 4: pure, of a moment that is handed in.

It's the standard library's hashing and nothing else, so that no SDK is needed for it. Signed are the host, the content's
type, the date and, where there is one, the session's token; the body is signed by its digest. The path is quoted once more
than it's sent, as every service but S3 wants it. Source: AWS's page "Create a signed AWS API request", November 2026;
botocore, whose output the tests compare.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from attrs import evolve

from failsoft.core.effects import HttpRequest
from failsoft.credentials import AwsCredentials

SERVICE: Final = "bedrock"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_OURS: Final = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})
_PORTS: Final = {"https": 443, "http": 80}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def sign(
    request: HttpRequest, credentials: AwsCredentials, region: str, now_ns: int, service: str = SERVICE
) -> HttpRequest:
    """The same request, signed.

    Args:
        request: with an absolute URL whose path is quoted; an ``authorization`` that it has is replaced.
        credentials: the key.
        region: where the service is, such as ``us-gov-west-1``.
        now_ns: the present moment, in nanoseconds since 1970-01-01 UTC: a signature is good for five minutes.
        service: the service's name in signatures.
    """
    moment = (_EPOCH + timedelta(microseconds=now_ns // 1000)).strftime("%Y%m%dT%H%M%SZ")
    kept = [(name, value) for name, value in request.headers if name not in _OURS]
    added = [("x-amz-date", moment)]
    if credentials.session_token is not None:
        added.append(("x-amz-security-token", credentials.session_token))
    signed = sorted([("host", _host(request.url)), *added, *(each for each in kept if each[0] == "content-type")])
    names = ";".join(name for name, _ in signed)
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, moment, scope, _digest(_canonical(request, signed, names).encode())))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    said = f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return evolve(request, headers=(*kept, *added, ("authorization", said)))


def _canonical(request: HttpRequest, signed: list[tuple[str, str]], names: str) -> str:
    parts = urlsplit(request.url)
    query = sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in parse_qsl(parts.query, True))
    return "\n".join(
        (
            request.method,
            quote(parts.path or "/", safe="/~"),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(value.split())}" for name, value in signed),
            "",
            names,
            _digest(request.body),
        )
    )


def _host(url: str) -> str:
    """As it's sent: a port that goes without saying is left out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(f":{parts.port}") if parts.port == _PORTS.get(parts.scheme) else host


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
