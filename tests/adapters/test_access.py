"""What a codec is made from, and how an adapter's own options are read."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.adapters.access import Access, Options
from failsoft.errors import ConfigurationError


def test_each_option_is_read_by_what_it_may_be() -> None:
    options = Options({"api": "b", "name": "x", "on": True, "only": ["p", "q"], "body": {"k": 1}})
    assert options.choice("api", "a", "b") == "b"
    assert options.text("name") == "x"
    assert options.flag("on") is True
    assert options.texts("only") == ("p", "q")
    assert options.table("body") == {"k": 1}
    options.done()


def test_without_it_the_default_stands() -> None:
    options = Options({})
    assert options.choice("api", "a", "b") == "a"
    assert options.text("name", "d") == "d"
    assert options.text("other") == ""
    assert options.flag("on", default=True) is True
    assert options.texts("only") == ()
    assert options.table("body") == {}
    options.done()


@pytest.mark.parametrize(
    ("read", "value", "wanted"),
    [
        (lambda o: o.choice("x", "a", "b"), "c", 'one of "a", "b"'),
        (lambda o: o.choice("x", "a", "b"), ["a"], 'one of "a", "b"'),
        (lambda o: o.text("x"), "", "a text of 1 to 512 printable characters"),
        (lambda o: o.text("x"), "a\n", "a text of 1 to 512 printable characters"),
        (lambda o: o.text("x"), "a" * 513, "a text of 1 to 512 printable characters"),
        (lambda o: o.text("x"), 5, "a text of 1 to 512 printable characters"),
        (lambda o: o.flag("x"), 1, "true or false"),
        (lambda o: o.texts("x"), "one", "a list of texts, none of them empty"),
        (lambda o: o.texts("x"), [""], "a list of texts, none of them empty"),
        (lambda o: o.texts("x"), [5], "a list of texts, none of them empty"),
        (lambda o: o.table("x"), [], "a table"),
    ],
)
def test_one_of_the_wrong_kind_is_told_at_the_end(read: Any, value: Any, wanted: str) -> None:
    options = Options({"x": value})
    read(options)
    with pytest.raises(ConfigurationError) as caught:
        options.done()
    assert caught.value.problems == (f"options.x: must be {wanted}",)


def test_all_that_is_wrong_is_told_at_once_with_what_is_known() -> None:
    options = Options({"flagg": True, "on": 1})
    options.flag("on")
    options.flag("flag")
    options.refuse("flag", "isn't for this model")
    with pytest.raises(ConfigurationError) as caught:
        options.done()
    assert caught.value.problems == (
        "options.on: must be true or false",
        "options.flag: isn't for this model",
        "options.flagg: unknown key; known are: flag, on",
    )


def test_where_nothing_is_known_it_says_so() -> None:
    with pytest.raises(ConfigurationError, match="known are: none"):
        Options({"x": 1}).done()


def test_its_repr_shows_no_key() -> None:
    assert "hunter2" not in repr(Access("m", "p", "https://h/v1", "hunter2", {"x-key": "hunter2"}))
