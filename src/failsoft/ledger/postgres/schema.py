"""The tables of a ledger in PostgreSQL: those of `failsoft.ledger.sqlite.schema`, and what the server does for writers.

A writer needs no right to change or delete anything: it inserts and selects, and two functions of the tables' owner do
the rest. `ledger_advance` moves the head, forward only and only to where the records are; `ledger_left` forgets who's
gone: whose lock nobody else has. Triggers guard against accidents of the owner's, and against rows of a writer's by which
others would be stopped, or lose what's theirs.

`ledger_live` is who has the log open: no evidence. Each holds a session advisory lock, by the first eight bytes of its
emitter's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from failsoft.ledger.store import Queries

WRITTEN_BY = 18
"""The version of PostgreSQL that wrote the published catalogue."""

_AS_ANY_SERVER_HAS_IT = ("column", "function", "relation", "table")
_AS_ITS_SERVER_WRITES_IT = ("constraint", "index", "trigger")

STEPS = (
    """
    DO $$ BEGIN IF to_regnamespace('@') IS NULL THEN CREATE SCHEMA @; END IF; END $$;
    CREATE TABLE @.ledger_log (
        id integer PRIMARY KEY CHECK (id = 0),
        origin text COLLATE "C" NOT NULL,
        format text COLLATE "C" NOT NULL,
        created text COLLATE "C" NOT NULL,
        vkey text COLLATE "C"
    );
    CREATE TABLE @.ledger_record (
        seq bigint PRIMARY KEY CHECK (seq >= 0),
        leaf bytea NOT NULL CHECK (length(leaf) = 32),
        body bytea,
        emitter text COLLATE "C",
        eseq bigint,
        rid text COLLATE "C" UNIQUE,
        type text COLLATE "C",
        ts text COLLATE "C",
        call_id text COLLATE "C",
        case_id text COLLATE "C",
        capability text COLLATE "C",
        UNIQUE (emitter, eseq)
    );
    CREATE TABLE @.ledger_head (
        id integer PRIMARY KEY CHECK (id = 0),
        size bigint NOT NULL CHECK (size >= 0),
        frontier bytea NOT NULL,
        sig bytea
    );
    CREATE TABLE @.ledger_checkpoint (
        size bigint PRIMARY KEY,
        note bytea NOT NULL,
        tsr bytea,
        published_to text COLLATE "C"
    );
    CREATE TABLE @.ledger_payload (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        dek bytea,
        nonce bytea,
        data bytea NOT NULL
    );
    CREATE TABLE @.ledger_artifact (
        sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
        media text COLLATE "C" NOT NULL,
        data bytea NOT NULL
    );
    CREATE TABLE @.ledger_subtree (
        idx bigint PRIMARY KEY CHECK (idx >= 0),
        hash bytea NOT NULL CHECK (length(hash) = 32)
    );
    CREATE TABLE @.ledger_live (emitter text COLLATE "C" PRIMARY KEY);
    CREATE INDEX ledger_record_call ON @.ledger_record (call_id) WHERE call_id IS NOT NULL;
    CREATE INDEX ledger_record_case ON @.ledger_record (case_id) WHERE case_id IS NOT NULL;

    CREATE FUNCTION @.ledger_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
    CREATE TRIGGER ledger_log_kept BEFORE UPDATE OR DELETE ON @.ledger_log
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_record_kept BEFORE DELETE ON @.ledger_record
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_record_pruned BEFORE UPDATE ON @.ledger_record
        FOR EACH ROW WHEN (NEW.seq IS DISTINCT FROM OLD.seq OR NEW.leaf IS DISTINCT FROM OLD.leaf
            OR NEW.emitter IS DISTINCT FROM OLD.emitter OR NEW.eseq IS DISTINCT FROM OLD.eseq
            OR NEW.type IS DISTINCT FROM OLD.type OR NEW.body IS NOT NULL
            OR NEW.rid <> OLD.rid OR NEW.ts <> OLD.ts OR NEW.call_id <> OLD.call_id
            OR NEW.case_id <> OLD.case_id OR NEW.capability <> OLD.capability)
        EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_head_kept BEFORE DELETE ON @.ledger_head
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON @.ledger_head
        FOR EACH ROW WHEN (NEW.size < OLD.size) EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_checkpoint_kept BEFORE DELETE ON @.ledger_checkpoint
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_checkpoint_stays BEFORE UPDATE ON @.ledger_checkpoint
        FOR EACH ROW WHEN (NEW.size IS DISTINCT FROM OLD.size OR NEW.note IS DISTINCT FROM OLD.note)
        EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_payload_stays BEFORE UPDATE ON @.ledger_payload
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_artifact_kept BEFORE UPDATE OR DELETE ON @.ledger_artifact
        FOR EACH ROW EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_record_whole BEFORE TRUNCATE ON @.ledger_record
        FOR EACH STATEMENT EXECUTE FUNCTION @.ledger_refuse();
    CREATE TRIGGER ledger_payload_whole BEFORE TRUNCATE ON @.ledger_payload
        FOR EACH STATEMENT EXECUTE FUNCTION @.ledger_refuse();

    CREATE FUNCTION @.ledger_advance(was bigint, becomes bigint, tree bytea, signature bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = @, pg_temp AS $$
    BEGIN
        IF becomes <= was OR becomes IS DISTINCT FROM (SELECT max(seq) + 1 FROM ledger_record) THEN
            RAISE EXCEPTION 'the head goes where the records are';
        END IF;
        UPDATE ledger_head SET size = becomes, frontier = tree, sig = signature WHERE size = was;
        IF NOT FOUND THEN RAISE EXCEPTION 'the head is not where it was'; END IF;
    END $$;
    CREATE FUNCTION @.ledger_left(gone text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = @, pg_temp AS $$
        DELETE FROM ledger_live WHERE emitter = gone
    $$;
    REVOKE EXECUTE ON FUNCTION @.ledger_advance FROM PUBLIC;
    REVOKE EXECUTE ON FUNCTION @.ledger_left FROM PUBLIC;
    """,
    """
    CREATE FUNCTION @.ledger_unfit() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN RAISE EXCEPTION '% takes no such row', TG_TABLE_NAME; END $$;
    CREATE TRIGGER ledger_artifact_itself BEFORE INSERT ON @.ledger_artifact
        FOR EACH ROW WHEN (NEW.sha256 IS DISTINCT FROM pg_catalog.sha256(NEW.data)) EXECUTE FUNCTION @.ledger_unfit();

    CREATE TRIGGER ledger_live_named BEFORE INSERT ON @.ledger_live
        FOR EACH ROW WHEN (NEW.emitter !~ '^[0-9a-f]{32}$') EXECUTE FUNCTION @.ledger_unfit();

    CREATE FUNCTION @.ledger_ahead() RETURNS trigger LANGUAGE plpgsql SET search_path = @, pg_temp AS $$
    BEGIN
        IF EXISTS (SELECT FROM ledger_head WHERE NEW.size NOT BETWEEN 1 AND size OR sig IS NULL) THEN
            RAISE EXCEPTION 'no checkpoint of this size can have been signed';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER ledger_checkpoint_behind BEFORE INSERT ON @.ledger_checkpoint
        FOR EACH ROW EXECUTE FUNCTION @.ledger_ahead();

    CREATE OR REPLACE FUNCTION @.ledger_left(gone text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = @, pg_temp AS $$
    BEGIN
        IF pg_try_advisory_xact_lock(('x' || left(gone, 16))::bit(64)::bigint) THEN
            DELETE FROM ledger_live WHERE emitter = gone;
        END IF;
    END $$;
    """,
)
"""Step by step, the schema written as ``@``: see `failsoft.migrations`. A step that was once released never changes.

What the second one refuses may be there from before: that's for `failsoft verify` to tell.
"""

TABLES = (
    "ledger_log",
    "ledger_record",
    "ledger_head",
    "ledger_checkpoint",
    "ledger_payload",
    "ledger_artifact",
    "ledger_subtree",
    "ledger_live",
)

_GRANTS = (
    "GRANT USAGE ON SCHEMA failsoft, {schema} TO {role}",
    "GRANT SELECT ON failsoft.migration TO {role}",
    "GRANT SELECT, INSERT ON {tables} TO {role}",
    "GRANT EXECUTE ON FUNCTION {schema}.ledger_advance, {schema}.ledger_left TO {role}",
)

_CATALOGUE = r"""
WITH ours AS (
    SELECT c.* FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname LIKE 'ledger\_%' AND NOT (c.relkind = 'i'
        AND c.relname ~ '_cc(new|old)[0-9]*$'
        AND EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indexrelid = c.oid AND NOT (indisvalid AND indisready)))
)
SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' ELSE 'relation' END, relname, concat_ws(' ',
    relkind, relpersistence, CASE WHEN relrowsecurity THEN 'rls' END, CASE WHEN relhasrules THEN 'rules' END,
    CASE WHEN relhassubclass THEN 'children' END, CASE WHEN relispartition THEN 'partition' END,
    CASE WHEN relkind = 'i' THEN
        regexp_replace(pg_get_indexdef(oid), '(\mON )("?)' || current_schema() || '\2\.', '\1') END,
    (SELECT 'invalid' FROM pg_catalog.pg_index AS i WHERE i.indexrelid = ours.oid AND NOT (indisvalid AND indisready)))
FROM ours WHERE relkind <> 'c'
UNION ALL
SELECT 'column', relname || '.' || attname, concat_ws(' ', attnum, format_type(atttypid, atttypmod), attnotnull,
    CASE WHEN atthasdef THEN 'default' END, attidentity, attgenerated, collname)
FROM ours JOIN pg_catalog.pg_attribute AS a ON a.attrelid = ours.oid
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = attcollation
WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', relname || '.' || conname, pg_get_constraintdef(k.oid)
FROM ours JOIN pg_catalog.pg_constraint AS k ON k.conrelid = ours.oid WHERE contype <> 'n'
UNION ALL
SELECT 'trigger', relname || '.' || tgname,
    concat_ws(' ', tgenabled, regexp_replace(
        pg_get_triggerdef(t.oid), '(\m(?:ON|FUNCTION) )("?)' || current_schema() || '\2\.', '\1', 'g'))
FROM ours JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = ours.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'function', proname, concat_ws(' ', prosecdef,
    regexp_replace(array_to_string(proconfig, ','), '=("?)' || current_schema() || '\1,', '=@,'),
    pg_get_function_arguments(p.oid), prosrc)
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = current_schema() AND proname LIKE 'ledger\_%'
"""


def steps(schema: str) -> tuple[str, ...]:
    """The steps for tables in this schema."""
    return tuple(each.replace("@", schema) for each in STEPS)


def component(schema: str) -> str:
    """What `failsoft.migration` calls tables in this schema."""
    return "ledger" if schema == "failsoft" else f"ledger in {schema}"


def grants(schema: str, role: str) -> list[str]:
    """What the owner of the tables grants to a role that writes the ledger, and changes nothing.

    Args:
        schema: of the tables.
        role: quoted as SQL needs it.
    """
    tables = ", ".join(f"{schema}.{each}" for each in TABLES)
    return [each.format(schema=schema, role=role, tables=tables) for each in _GRANTS]


_SHORT_OF = """
WITH given AS (SELECT ?::text AS schema, ?::name AS role),
    tables AS (SELECT role, schema || '.' || unnest(?::text[]) AS name FROM given),
    roles AS (SELECT r.oid, rolname, rolsuper FROM given, pg_catalog.pg_roles AS r WHERE pg_has_role(role, r.oid, 'MEMBER'))
SELECT 'it may not use the schema ' || s FROM given, unnest(ARRAY['failsoft', schema]) AS s
    WHERE NOT has_schema_privilege(role, s, 'USAGE')
UNION ALL SELECT 'it may not read failsoft.migration' FROM given
    WHERE NOT has_table_privilege(role, 'failsoft.migration', 'SELECT')
UNION ALL SELECT 'it may not read, or insert into, ' || name FROM tables
    WHERE NOT (has_table_privilege(role, name, 'SELECT') AND has_table_privilege(role, name, 'INSERT'))
UNION ALL SELECT 'it may act as the superuser ' || quote_ident(rolname) FROM roles WHERE rolsuper
UNION ALL SELECT 'it may run programs and write files on the server, as ' || rolname FROM roles
    WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files')
UNION ALL SELECT 'it may act as the owner of ' || name FROM tables
    WHERE (SELECT relowner FROM pg_catalog.pg_class WHERE oid = name::regclass) IN (SELECT oid FROM roles)
UNION ALL SELECT 'it may act as the owner of the schema ' || nspname FROM given, pg_catalog.pg_namespace
    WHERE nspname IN ('failsoft', schema) AND nspowner IN (SELECT oid FROM roles)
UNION ALL SELECT 'it may act as the owner of the database' FROM pg_catalog.pg_database
    WHERE datname = current_database() AND datdba IN (SELECT oid FROM roles)
UNION ALL SELECT DISTINCT 'it may change ' || name FROM (SELECT name FROM tables UNION SELECT 'failsoft.migration'), roles
    WHERE has_table_privilege(oid, name, 'DELETE, TRUNCATE, TRIGGER') OR has_any_column_privilege(oid, name, 'UPDATE')
UNION ALL SELECT DISTINCT 'it may create what it likes in the schema ' || s
    FROM given, unnest(ARRAY['failsoft', schema]) AS s, roles WHERE has_schema_privilege(oid, s, 'CREATE')
"""


def short_of(queries: Queries, schema: str, role: str) -> list[str]:
    """What a role, by its name, may not and should, or may and shouldn't, to write the ledger and change nothing. A server
    only warns where whoever grants has nothing to grant, and nothing is taken from an owner or a superuser.
    """
    return [told for (told,) in queries.execute(_SHORT_OF, (schema, role, list(TABLES)))]


def catalogue(queries: Queries) -> dict[str, str]:
    """What the server says that a ledger's schema is: definitions by kind and name."""
    return {f"{kind} {name}": definition for kind, name, definition in queries.execute(_CATALOGUE)}


def differences(queries: Queries) -> list[str]:
    """What a database's schema has too much, too little or otherwise than the published SQL: one phrase each.

    What REINDEX CONCURRENTLY has under way, or left as it was interrupted, is passed over: no query goes by such an index.
    How a server writes a definition down is its version's own: those of indexes, constraints and triggers are compared on
    the version that the published ones are of.
    """
    wanted, found = published(), catalogue(queries)
    number = int(queries.execute("SELECT current_setting('server_version_num')").fetchone()[0])
    compared = _AS_ANY_SERVER_HAS_IT + (_AS_ITS_SERVER_WRITES_IT if number // 10_000 == WRITTEN_BY else ())
    return [
        *(f"the {each} is missing" for each in sorted(wanted.keys() - found.keys())),
        *(f"the {each} doesn't belong here" for each in sorted(found.keys() - wanted.keys())),
        *(
            f"the {each} is not as published"
            for each in sorted(wanted.keys() & found.keys())
            if each.startswith(compared) and wanted[each] != found[each]
        ),
    ]


@cache
def published() -> Mapping[str, str]:
    """The catalogue that the steps make."""
    text = resources.files("failsoft.ledger.postgres").joinpath("catalogue.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))
