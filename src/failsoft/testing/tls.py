"""Certificates for a `FaultServer`, made on the spot by trustme, which must be installed."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import trustme


class LocalAuthority:
    """An authority that nobody knows but those who are handed `trust`."""

    def __init__(self) -> None:
        self._authority: Any = trustme.CA()  # its own types name a library that needn't be installed

    def certificate(self, host: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """What a `FaultServer` shows as its ``tls``.

        Args:
            host: the name or address that it's for.
            expired: was it valid only in the past?
        """
        past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        times = {"not_before": past, "not_after": past + datetime.timedelta(days=1)} if expired else {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(host, **times).configure_cert(context)
        return context

    def trust(self) -> ssl.SSLContext:
        """For a client that trusts this authority, e.g. ``httpx.AsyncHTTPTransport(verify=…)``."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context
