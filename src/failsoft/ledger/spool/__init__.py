"""What waits in a file while the database of a ledger is away."""
