"""A ledger in a schema of a PostgreSQL database. Needs the extra ``postgres``, when it is used."""
