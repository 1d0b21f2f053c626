"""What people do to a ledger, always on its own record: erase, prune, copy, hand over to another key."""
