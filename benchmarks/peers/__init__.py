"""Other libraries' circuit breakers beside ours: what `benchmarks/breakers.py` runs in a process for each."""
