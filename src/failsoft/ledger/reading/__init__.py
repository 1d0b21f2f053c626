"""Questions that a ledger answers: which records, whom was asked, which decisions a model made."""
