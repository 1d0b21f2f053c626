"""What all must agree on to the byte, and nothing of failsoft besides: canonical JSON, tree, notes, commitments. Pure."""
