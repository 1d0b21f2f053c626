"""The append-only, tamper-evident record of every call, deployment and change.

`failsoft.ledger.writer` writes one, `failsoft.ledger.read` looks into one, `failsoft.ledger.verify` checks one.
"""
