"""What users need to test their own fallbacks, and what failsoft is tested with."""
