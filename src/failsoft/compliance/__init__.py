"""Which records support which clause of a rule, and which command shows them."""
