"""Keys: those that sign a log (`ed25519`), and those that payloads are encrypted under, a case each (`vault`)."""
