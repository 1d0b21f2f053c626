"""Addresses of PostgreSQL databases, which are shown without a password. The driver is imported where one is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

from attrs import field, frozen

from failsoft.errors import ConfigurationError
from failsoft.migrations import SCHEMA

_SCHEME = re.compile(r"postgres(?:ql)?://")
_FORM = re.compile(
    r"""postgres(?:ql)?://
    (?: [^:@/?\#\s]* (?: : (?P<password> [^@/?\#\s]* ) )? @ )?
    (?P<place> [^@/?\#\s]* )
    (?: / (?P<database> [^@/?\#\s]* ) )?
    (?: \? (?P<query> [^?\#\s]* ) )?""",
    re.VERBOSE,
)
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:\[\]]*)(?::[0-9]*)?")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RESERVED = re.compile(
    r"""
    pg_.* | information_schema | all | analyse | analyze | and | any | array | as | asc | asymmetric | authorization
    | binary | both | case | cast | check | collate | collation | column | concurrently | constraint | create
    | cross | current_catalog | current_date | current_role | current_schema | current_time | current_timestamp
    | current_user | default | deferrable | desc | distinct | do | else | end | except | false | fetch | for | foreign
    | freeze | from | full | grant | group | having | ilike | in | initially | inner | intersect | into | is
    | isnull | join | lateral | leading | left | like | limit | localtime | localtimestamp | natural | not | notnull
    | null | offset | on | only | or | order | outer | overlaps | placing | primary | references | returning | right
    | select | session_user | similar | some | symmetric | system_user | table | tablesample | then | to | trailing
    | true | union | unique | user | using | variadic | verbose | when | where | window | with
    """,
    re.VERBOSE,
)
"""Words of SQL that are no name of a schema without quotes, and names that a server keeps for itself."""


_WHERE = ("host", "hostaddr", "port", "dbname", "service")
"""Parameters that say where a database is. libpq takes them before what stands in their place in front."""

NO_ADDRESS = (
    'it is no address of a PostgreSQL database, such as "postgresql://host/database" (in a password @ / ? # and spaces are '
    "written %40 %2F %3F %23 %20)"
)
"""What's said of one. Its text isn't shown."""


def is_postgres(url: str) -> bool:
    """Is it meant as a database's address?"""
    return _SCHEME.match(url) is not None


def form_of(url: str) -> re.Match[str] | None:
    """The parts of an address: password, place, database, query; None where it isn't plain which is which.

    What ends a part stands in no other one as it is, but as ``%2F`` and the like: a password with such a character is read
    otherwise by each reader, and half of it would be shown as a host's or a database's name.
    """
    form = _FORM.fullmatch(url)
    if form is None or not all(_PLACE.fullmatch(each) for each in form["place"].split(",")):
        return None
    return form


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
        given = list(_parameters(query))
        schema = {name: unquote(value) for name, value, _ in given}.get("schema", SCHEMA)
        if _NAME.fullmatch(schema) is None:
            raise ConfigurationError("the schema's name may have lower-case letters, digits and _, 63 at most")
        if _RESERVED.fullmatch(schema):
            raise ConfigurationError(f"{schema!r} can't be the schema's name: it's a word of PostgreSQL's own")
        if form_of(url) is None:
            raise ConfigurationError(NO_ADDRESS)
        rest = "&".join(text for name, _, text in given if name != "schema")
        plain = head + (f"?{rest}" if rest else "")
        try:
            conninfo.conninfo_to_dict(plain)
        except psycopg.Error:
            raise ConfigurationError(NO_ADDRESS) from None
        return cls(plain, schema)

    @property
    def database(self) -> str:
        """The database's name; empty where the address leaves it to the server."""
        form = form_of(self.url)
        return "" if form is None else unquote(form["database"] or "")

    def __str__(self) -> str:
        form = form_of(self.url)
        place = "" if form is None else form["place"]
        query = "" if form is None else form["query"] or ""
        named = [text for name, _, text in _parameters(query) if name in _WHERE]
        if self.schema != SCHEMA:
            named.append(f"schema={self.schema}")
        text = f"postgresql://{place}/{self.database}" + ("?" + "&".join(named) if named else "")
        return "".join(char if char.isprintable() else quote(char) for char in text)


def _parameters(query: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and text of each, as libpq reads them: unlike in a form of the web, a + is a +."""
    for text in filter(None, query.split("&")):
        name, _, value = text.partition("=")
        yield unquote(name), value, text


def _driver() -> tuple[Any, Any]:
    try:
        import psycopg
        from psycopg import conninfo
    except ImportError:
        raise ConfigurationError('PostgreSQL needs the extra "postgres": pip install "failsoft[postgres]"') from None
    return psycopg, conninfo
