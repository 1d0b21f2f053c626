"""Addresses of PostgreSQL databases, which are shown without a password. The driver is imported where one is parsed."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from attrs import field, frozen

from failsoft.errors import ConfigurationError
from failsoft.migrations import SCHEMA

_SCHEME = re.compile(r"postgres(?:ql)?://")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def is_postgres(url: str) -> bool:
    """Is it meant as a database's address?"""
    return _SCHEME.match(url) is not None


@frozen
class Address:
    """Where a database is.

    Args:
        url: as libpq takes it; may hold a password.
        schema: where failsoft's tables are in it.
    """

    url: str = field(repr=False)
    schema: str = SCHEMA

    @classmethod
    def parse(cls, url: str) -> Address:
        """From ``postgresql://…``, where ``schema=NAME`` may stand among the parameters.

        Raises:
            ConfigurationError: it's no such address, or the extra isn't installed. Its text isn't shown.
        """
        psycopg, conninfo = _driver()
        head, _, query = url.partition("?")
        given = parse_qsl(query, keep_blank_values=True)
        schema = dict(given).get("schema", SCHEMA)
        if _NAME.fullmatch(schema) is None:
            raise ConfigurationError("the schema's name may have lower-case letters, digits and _, 63 at most")
        rest = [(name, value) for name, value in given if name != "schema"]
        plain = head + ("?" + urlencode(rest) if rest else "")
        try:
            conninfo.conninfo_to_dict(plain)
        except psycopg.Error:
            raise ConfigurationError(
                'it is no address of a PostgreSQL database, such as "postgresql://host/database"'
            ) from None
        return cls(plain, schema)

    @property
    def database(self) -> str:
        """The database's name; empty where the address leaves it to the server."""
        return unquote(urlsplit(self.url).path.lstrip("/"))

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        named = "" if self.schema == SCHEMA else f"?schema={self.schema}"
        return f"postgresql://{place}/{self.database}{named}"


def _driver() -> tuple[Any, Any]:
    try:
        import psycopg
        from psycopg import conninfo
    except ImportError:
        raise ConfigurationError('PostgreSQL needs the extra "postgres": pip install "failsoft[postgres]"') from None
    return psycopg, conninfo
