"""The append-only, tamper-evident record of every call, deployment and change.

`failsoft.ledger.writing` writes one, `failsoft.ledger.read` looks into one, `failsoft.ledger.verify` checks one,
`failsoft.ledger.location` names one; what a store is, stands in `failsoft.ledger.store`.
"""
