"""What `benchmarks/year.py` and `benchmarks/scenarios.py` are made of: a simulated world, data, and pages."""
