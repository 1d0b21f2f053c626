"""Claude on Vertex AI (``rawPredict``): Anthropic's messages, with the model in the path and the version in the body.

Structured outputs are off there until an organisation's policy allows them, so a schema is asked for by a tool that must be
called unless ``structured`` says otherwise. An error is Google's where Vertex itself refuses, Anthropic's where Claude does.
Source: Google's and Anthropic's pages of Claude on Vertex AI, November 2026; nothing recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from failsoft.adapters.access import Access, Options
from failsoft.adapters.anthropic import Messages
from failsoft.adapters.claude_body import NATIVE, PROMPT, TOOL, ClaudeBody
from failsoft.adapters.gemini_errors import fault_of_google
from failsoft.core.effects import HttpReply
from failsoft.fault import Fault

_VERSION: Final = "vertex-2023-10-16"
_PLACE: Final = "publishers/anthropic/models/"


class VertexClaude(Messages):
    """A codec for Claude on Vertex AI. Options:

    - ``structured``: how the schema is asked for: ``tool``, ``native``, ``prompt``;
    - ``leave_out``: fields never to send; ``body``: further fields.

    Args:
        access: how to get at it; its base URL ends with project and location, its key is an OAuth access token.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    def __init__(self, access: Access) -> None:
        options = Options(access.options)
        options.choice("api", "anthropic", "generate-content")
        body = ClaudeBody(options, access.model, ways=(TOOL, NATIVE, PROMPT))
        options.done()
        first: dict[str, Any] = {"anthropic_version": _VERSION}
        self._method = "rawPredict"
        if access.streaming is not None:
            self._method, first["stream"] = "streamRawPredict", True
        super().__init__(access, self._path(access.model), body, first)

    def _path(self, model: str) -> str:
        return f"/{_PLACE}{quote(model.removeprefix(_PLACE), safe='@')}:{self._method}"

    def place_of(self, model: str) -> tuple[str, Mapping[str, Any]]:
        """Where a model is asked, and what of the body says so: the path names it."""
        return (self.url if model == self._model else self.url_of(self._path(model))), self._first

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return super().fault_of(reply, body) if body.get("type") == "error" else fault_of_google(reply, body)
