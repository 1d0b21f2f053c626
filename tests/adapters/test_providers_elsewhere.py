"""Google, Mistral, Cohere and plain JSON in the table of providers: each codec is had by its name, each URL known."""

from __future__ import annotations

import pytest
from tests.adapters.replayed import DATA, access, needs_recordings, reply_of, rows, streaming

from failsoft.adapters.cohere import Cohere
from failsoft.adapters.gemini import Gemini
from failsoft.adapters.http_json import HttpJson
from failsoft.adapters.mistral import Mistral
from failsoft.adapters.registry import api_of, codec_of
from failsoft.core.effects import Reply, Unusable
from failsoft.providers import PROVIDERS

CODECS = {"gemini": Gemini, "vertex": Gemini, "mistral": Mistral, "cohere": Cohere, "http-json": HttpJson}


@pytest.mark.parametrize("name", CODECS)
def test_a_providers_codec_is_had_by_its_name(name: str) -> None:
    made = codec_of(PROVIDERS[name], access())
    assert type(made) is CODECS[name]
    assert api_of(PROVIDERS[name], str(made.endpoint)) == next(iter(PROVIDERS[name].apis))
    assert "h.example" in repr(made)


@needs_recordings
@pytest.mark.parametrize(
    ("provider", "kinds"),
    [("gemini", "generateContent"), ("vertex", "generateContent"), ("mistral", "completions"), ("cohere", "/chat")],
)
def test_recorded_urls_are_those_of_the_interface(provider: str, kinds: str) -> None:
    for _, row in rows(provider):
        url = row["request"]["url"]
        path = url.partition("?")[0].lower()
        ours = kinds.lower() in path and "batch" not in path and "/openai/" not in path
        assert (api_of(PROVIDERS[provider], url) is not None) is ours, url


@needs_recordings
@pytest.mark.parametrize("name", CODECS)
def test_no_recorded_reply_of_any_provider_makes_it_raise(name: str) -> None:
    made = codec_of(PROVIDERS[name], access() if name == "http-json" else streaming())
    for path in DATA.glob("*.jsonl"):
        for _, row in rows(path.name.partition(".")[0]):
            assert isinstance(made.decode(reply_of(row)), Reply | Unusable)
