"""The configuration of what processes share: ``[state]``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, SecretStr

from failsoft.config_values import OutsideLabel, Section, database_address, duration_between, unwrapped
from failsoft.durations import SECOND

_NO_STATE_URL: Final = 'must be "file", "none" or "postgresql://host/database"'


def _state_url(value: object) -> object:
    given = unwrapped(value)
    return given if given in ("file", "none") else database_address(value, _NO_STATE_URL)


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
    scope: OutsideLabel = "default"
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
