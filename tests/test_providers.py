"""The table of providers: each codec can be had, each interface is found in a URL, foreign ones come by entry points."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from failsoft import providers
from failsoft.adapters.access import Access
from failsoft.adapters.registry import api_of, codec_of
from failsoft.config import AdapterConfig
from failsoft.config_read import read_mapping
from failsoft.errors import ConfigurationError
from failsoft.providers import PROVIDERS, Provider

ACME = Provider("acme", "tests.adapters.test_http_codec:Small", "https://acme.example/v1", "ACME_KEY")
NONSENSE = "no provider"


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Any:
    def add(name: str, value: str) -> None:
        entry = EntryPoint(name, value, providers.ENTRY_POINTS)

        def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
            assert group == providers.ENTRY_POINTS
            return [entry] if name in (None, entry.name) else []

        monkeypatch.setattr(providers, "entry_points", entry_points)

    return add


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_entry_is_whole(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.name == name
    assert provider.codec.startswith("failsoft.adapters.")
    assert provider.apis
    assert name in providers.known()


def test_an_interface_is_found_in_a_url() -> None:
    assert api_of(PROVIDERS["openai"], "https://api.openai.com/v1/chat/completions?x=1") == "chat"
    assert api_of(PROVIDERS["openai"], "https://api.openai.com/v1/embeddings") is None


def problems(**adapter: Any) -> list[str]:
    return read_mapping({"adapters": {"a": {"model": "m", **adapter}}}).problems


def test_a_foreign_one_is_known_by_its_entry_point(foreign: Any) -> None:
    foreign("acme", "tests.test_providers:ACME")
    assert providers.find("acme") is ACME
    assert "acme" in providers.known()
    assert problems(provider="acme") == ['adapters.a.api_key: is missing: write api_key = { env = "ACME_KEY" }']
    assert problems(provider="acmee") == ['adapters.a.provider: there is no "acmee"; did you mean "acme"?']
    assert AdapterConfig(provider="acme", model="m", auth="a:b").provider == "acme"


def test_one_that_is_no_provider_or_cannot_be_imported_is_told(foreign: Any) -> None:
    foreign("acme", "tests.test_providers:NONSENSE")
    with pytest.raises(TypeError, match="is no failsoft"):
        providers.find("acme")
    assert "can't be loaded: TypeError" in problems(provider="acme")[0]
    foreign("acme", "nowhere_at_all:ACME")
    assert "can't be loaded: ModuleNotFoundError" in problems(provider="acme")[0]


@pytest.mark.parametrize("codec", ["nowhere_at_all:codec", "failsoft.adapters.openai:nothing"])
def test_a_codec_that_cannot_be_had_is_a_problem_of_the_configuration(codec: str) -> None:
    with pytest.raises(ConfigurationError, match="the codec of acme can't be had"):
        codec_of(Provider("acme", codec), Access("m", "acme", "https://h/v1"))


@pytest.mark.parametrize("name", ["", "x\n", "openai ", 5, None])
def test_a_name_that_is_none_is_told(name: Any) -> None:
    told = problems(provider=name)
    assert len(told) == 1
    assert told[0].startswith("adapters.a.provider: ")


def test_options_of_another_adapter_are_told_with_their_place() -> None:
    from failsoft import Isolation

    table = {
        "provider": "openai-compatible",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "options": {"region": "x"},
    }
    with pytest.raises(ConfigurationError) as caught:
        Isolation({"ledger": {"url": "none"}, "adapters": {"a": table}}, capabilities=[])
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("adapters.a.options.region: unknown key")


def test_what_an_option_took_from_outside_stands_in_no_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT", "hunter2")
    options = {"body": {"tenant": {"env": "TENANT"}, "tags": [{"env": "TENANT"}, "x"]}, "leave_out": ["seed"]}
    table = {"provider": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1", "options": options}
    config = read_mapping({"adapters": {"a": table}}).config
    assert config.adapters["a"].options["body"]["tenant"] == "hunter2"
    assert b"hunter2" not in config.snapshot()
    assert b'"tags":[{"env":"TENANT"},"x"]' in config.snapshot()


def test_the_page_of_providers_names_each_of_them_and_no_other() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/providers.md").read_text(encoding="utf-8")
    names = page.partition("| page | names |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", names)) == set(PROVIDERS)
    assert page.startswith("# Providers\n\nEighteen")
    assert len(PROVIDERS) == 18
