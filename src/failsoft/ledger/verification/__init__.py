"""What full verification is made of (see `failsoft.ledger.verify`), and the monitor that remembers for it."""
