"""What runs a command of failsoft in a test's own process. No tests."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest import mock

from typer import main, testing

_made = cache(main.get_command)


class CliRunner(testing.CliRunner):
    """typer's own, which makes all seventy commands anew for each run of one: here they're made once."""

    def invoke(self, app: Any, *given: Any, **options: Any) -> testing.Result:
        with mock.patch.object(testing, "_get_command", _made):
            return super().invoke(app, *given, **options)
