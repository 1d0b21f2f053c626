"""`python -m failsoft`: the `failsoft` command."""

from failsoft.cli import main

main()
