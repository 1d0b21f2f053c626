"""The configuration of what processes share: ``[state]``."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, SecretStr

from failsoft.config_file import Resolved
from failsoft.config_values import Label, Secret, Section, duration_between, wrong
from failsoft.credentials import SECRET_NAME
from failsoft.durations import SECOND

_NO_STATE_URL: Final = 'must be "file", "none" or "postgresql://host/database"'


def _state_url(value: object) -> object:
    """A database's address may hold a password: as a secret it's kept from every snapshot and repr."""
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(given, str):
        raise wrong(_NO_STATE_URL)
    if given in ("file", "none"):
        return given
    if not given.startswith(("postgresql://", "postgres://")):
        raise wrong(_NO_STATE_URL)
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, Resolved):
        return Secret(value, value.origin)
    try:
        parts = urlsplit(given)
        secret = bool(parts.password) or any(SECRET_NAME.search(each) for each, _ in parse_qsl(parts.query))
    except ValueError:
        raise wrong(_NO_STATE_URL) from None
    if secret:
        raise wrong("an address with a password is a secret", "failsoft_inline")
    return given


class StateConfig(Section):
    """``[state]``: what processes share of their adapters' state, and of blocks.

    Args:
        url: ``file``, beside the ledger or the configuration; ``none``; or ``postgresql://…``, which needs the extra
            ``postgres``. One with a password is a secret.
        scope: processes with the same store and scope share, 1-128 bytes.
        refresh: nanoseconds after which the store is looked at though nobody notified, 100 ms to 10 s.
        timeout: nanoseconds that a command to the database may take, 10 ms to 10 s.
    """

    url: Annotated[str | SecretStr, BeforeValidator(_state_url)] = "file"
    scope: Label = "default"
    refresh: Annotated[int, duration_between("100ms", "10s")] = SECOND
    timeout: Annotated[int, duration_between("10ms", "10s")] = SECOND // 20

    @property
    def database(self) -> str | None:
        """The database's address; None where it's a file or nothing."""
        url = self.url.get_secret_value() if isinstance(self.url, SecretStr) else self.url
        return None if url in ("file", "none") else url

    @property
    def kind(self) -> Literal["file", "none", "postgresql"]:
        """Where state is shared."""
        return "postgresql" if self.database is not None else "file" if self.url == "file" else "none"
