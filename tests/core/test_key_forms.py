"""A key is found however JSON writes it, by whichever encoder, and what holds none isn't looked at twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.key_forms import pattern_in

KEY = "sk+Zx/91+abcDEF/g&<i>=="


def struck(data: str, *keys: str) -> str:
    pattern = pattern_in(data.encode(), keys)
    return data if pattern is None else pattern.sub(b"#", data.encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        KEY.replace("/", r"\/"),
        KEY.replace("/", r"\\\/"),  # what was escaped is escaped again
        KEY.replace("+", r"\u002B").replace("=", r"\u003D"),
        KEY.replace("+", r"\\u002b").replace("/", r"\\/"),
        KEY.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003E"),
        KEY.replace("/", r"\u005c/"),
        KEY.replace("=", r"\u005cu003d"),
        KEY.replace("s", r"\u0073"),
        "".join(rf"\u{ord(each):04x}" for each in KEY),
    ],
)
def test_it_is_found_in_every_form(written: str) -> None:
    assert struck(f'data: {{"a": "x {written} y"}}', "other-key", KEY) == 'data: {"a": "x # y"}'


@pytest.mark.parametrize(
    ("key", "data", "left"),
    [
        ("/first-slash", r'"\/first-slash"', '"#"'),
        ("nvapi-key", r'"\nnvapi-key"', r'"\n#"'),
        ("e9-own-key", r'"\\u00e9-own-key"', r'"\\u00#"'),
        ("20-own-key", r"C:\u0020-own-key", r"C:\u00#"),  # the number is seen as a space, and the key all the same
        ("schlüssel-😀", r'"schl\u00FCssel-\ud83d\uDE00"', '"#"'),
        ("schlüssel-😀", '"schlüssel-😀"', '"#"'),
        ('own"key-1', r'"{\"a\":\"own\\\"key-1\"}"', r'"{\"a\":\"#\"}"'),
        ("own-key-\\", r'"own-key-\\" "{\"a\":\"own-key-\\\\\"}"', r'"#" "{\"a\":\"#\"}"'),
        (r"own\+key", r'"own\\\u002Bkey"', '"#"'),
        (r"own\\key", r'"own\\\\key" own\\key', '"#" #'),
    ],
)
def test_what_is_around_it_stays_whole(key: str, data: str, left: str) -> None:
    assert struck(data, key) == left


def test_the_longest_is_found_first() -> None:
    assert struck("own-key-1 own-key-12 own-key-1", "own-key-1", "own-key-12") == "# # #"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "sk",
        r'{"a": "\u0073k+\n \"quoted\" \u00e9 \/"}',
        KEY[:-1],
        KEY.replace("+", "u002b"),
        KEY.replace("+", " \\u002b"),
    ],
)
def test_what_holds_none_is_searched_by_literals_alone(data: str) -> None:
    assert pattern_in(data.encode(), [KEY, "schlüssel"]) is None or "\\u" in data
    assert struck(data, KEY, "schlüssel") == data


def written(text: str, choices: st.DataObject, *, letters: bool) -> str:
    """As some encoder writes it: a letter by its number only where that isn't encoded again."""

    def one(each: str) -> str:
        forms = [each] if each not in '"\\' else ["\\" + each]
        units = each.encode("utf-16-be").hex()
        number = "".join(rf"\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        if letters or not each.isalnum() or not each.isascii():
            forms += [number, number.upper().replace("\\U", "\\u")]
        return choices.draw(st.sampled_from([*forms, "\\/"] if each == "/" else forms))

    return '"' + "".join(map(one, text)) + '"'


@given(st.text("ab/+=&<>\"'\\nu05c é😀", min_size=4, max_size=12), st.sampled_from(["", "x ", "\\", '"']), st.data())
def test_whatever_the_encoder_it_is_found_up_to_three_times_encoded(
    key: str, around: str, choices: st.DataObject
) -> None:
    key = key.strip("\\") or "key"  # of one at an end nobody can tell whose it is
    text = around + key + around
    for times in range(4):
        pattern = pattern_in(text.encode(), [key])
        assert pattern is not None
        left, count = pattern.subn(b"#", text.encode())
        assert count >= 1
        if times == 1:
            json.loads(left)
        text = written(text, choices, letters=times == 0)


@pytest.mark.parametrize("key", [KEY, "/slash-first", '"quote-first', "\\backslash", "aaaaaaaaaab"])
@pytest.mark.parametrize(
    "part", ["\\", r"\u005c", "u005c", r"\u003c", "{key}\\", "\\\\\\\\{first}", "{almost}", "{numbers}g", "{first}"]
)
def test_a_megabyte_of_almost_a_key_comes_to_an_end(key: str, part: str) -> None:
    part = part.format(
        key=key[:-1],
        first=key[0],
        almost=r"\\".join(key[:-1]),
        numbers="".join(rf"\u{ord(each):04x}" for each in key[:-1]),
    )
    data = key + " \\" + part * (2**20 // len(part))
    assert struck(data, key).startswith("#")
