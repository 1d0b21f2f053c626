"""``failsoft.lock``: the exact set in force, written down, compared, and told in plain words."""
