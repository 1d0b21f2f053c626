from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import MILLISECOND, SECOND
from failsoft.core.retry_after import LONGEST, Hint, read_hint, retry_after_ns

NOW = 1_792_000_000 * SECOND
"""2026-10-14 17:46:40 UTC"""
DATE = "Wed, 14 Oct 2026 17:46:40 GMT"


def read(status: int = 429, **headers: str) -> Hint:
    return read_hint({name.replace("_", "-"): value for name, value in headers.items()}, status, NOW)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_throttling_reply_is_read(status: int) -> None:
    assert retry_after_ns({"retry-after": "2"}, status, NOW) == 2 * SECOND


@pytest.mark.parametrize("status", [200, 400, 401, 402, 408, 500, 502, 504])
def test_no_other_reply_is_read(status: int) -> None:
    assert read(status, retry_after="2", retry_after_ms="2") == Hint()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("1", 1.0), ("1.5", 1.5), (" 7\t", 7.0), ("0.000000001", 1e-9), ("3600", 3600.0),
        ("1.99999999999999999999", 1.999999999), ("007", 7.0), ("1." + "0" * 62, 1.0),
    ],
)  # fmt: skip
def test_a_number_is_seconds(text: str, seconds: float) -> None:
    assert read(retry_after=text) == Hint(round(seconds * SECOND), "retry-after")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-1", "+1", "1_0", "١٢", "１２", "nan", "inf", "infinity", "1e3", "0x10", ".5", "5.", "1,5", "5, 7", "5s",
        "1234567890", "9" * 5_000, "1." + "0" * 63, "1." + "0" * 100, "X5", "5\n", "\x005", "soon", "Wed", "Wed, 14 Oct 2026",
        "Wed, 31 Feb 2026 00:00:00 GMT", "Wed, 14 Foo 2026 17:46:40 GMT", "Wed, 14 Oct 2026 25:46:40 GMT",
        "Wed, 14 Oct 0000 17:46:40 GMT", "Wed, 14 Oct 0027 17:46:40 GMT", "Wed, 14 Oct 2026 17:46:39 GMT", "Mon, 01 Jan 1900 00:00:00 GMT",
        "Wed, 14 Oct 2026 17:46:99 GMT", "Wed, 14 Oct 2026 17:46:40 PST", "2026-10-14T17:47:40Z",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_ignored_and_named(text: str) -> None:
    assert read(retry_after=text) == Hint(None, None, ("retry-after",))


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 14 Oct 2026 17:47:40 GMT",
        "Wed, 14 Oct 2026 17:47:40 UTC",
        "Wed, 14 Oct 2026 17:47:40",
        "14 Oct 2026 17:47:40 GMT",
        "Wed, 14 Oct 2026 19:47:40 +0200",
        "Wed, 14 Oct 2026 12:17:40 -0530",
        "Thu, 15 Oct 2026 05:02:40 +1115",
        "Wednesday, 14-Oct-26 17:47:40 GMT",
        "Wed Oct 14 17:47:40 2026",
        "wed, 14 oct 2026 17:47:40 gmt",
    ],
)
@pytest.mark.parametrize("skew", [0, 3_000])
def test_a_date_is_read_against_the_replys_own(text: str, skew: int) -> None:
    hint = read_hint({"retry-after": text, "date": DATE}, 429, NOW + skew * SECOND)
    assert hint == Hint(60 * SECOND, "retry-after")


def test_a_date_without_the_replys_own_is_read_against_our_clock() -> None:
    assert read(retry_after="Wed, 14 Oct 2026 17:47:40 GMT") == Hint(60 * SECOND, "retry-after")
    assert read(retry_after="Wed, 14 Oct 2026 17:47:40 GMT", date="yesterday") == Hint(60 * SECOND, "retry-after")


@pytest.mark.parametrize(
    ("month", "days"),
    [
        ("Jan", 31), ("Feb", 28), ("Mar", 31), ("Apr", 30), ("May", 31), ("Jun", 30),
        ("Jul", 31), ("Aug", 31), ("Sep", 30), ("Oct", 31), ("Nov", 30), ("Dec", 31),
    ],
)  # fmt: skip
def test_every_month_has_a_name(month: str, days: int) -> None:
    hint = read(retry_after=f"{days} {month} 2026 23:59:59 GMT", date=f"{days} {month} 2026 23:59:49 GMT")
    assert hint == Hint(10 * SECOND, "retry-after")


def test_a_moment_that_passed_a_nanosecond_ago_is_past() -> None:
    assert read_hint({"retry-after": DATE}, 429, NOW) == Hint(0, "retry-after")
    assert read_hint({"retry-after": DATE}, 429, NOW + 1) == Hint(None, None, ("retry-after",))


def test_a_leap_second_is_the_second_before_it() -> None:
    hint = read(retry_after="Thu, 31 Dec 2026 23:59:60 GMT", date="Thu, 31 Dec 2026 23:59:00 GMT")
    assert hint.wait_ns == 59 * SECOND


def test_a_two_digit_year_far_ahead_is_in_the_past() -> None:
    assert read(retry_after="Sunday, 06-Nov-94 08:49:37 GMT").ignored == ("retry-after",)


@pytest.mark.parametrize(("year", "wait"), [(25, None), (26, 60 * SECOND), (27, LONGEST), (76, LONGEST), (77, None)])
def test_a_two_digit_year_is_at_most_fifty_years_ahead(year: int, wait: int | None) -> None:
    assert read(retry_after=f"Wednesday, 14-Oct-{year} 17:47:40 GMT").wait_ns == wait


def test_at_new_year_two_digits_are_read_by_the_year_that_it_is() -> None:
    eve = "Thu, 31 Dec 2026 12:00:00 GMT"
    assert read(retry_after="Thursday, 31-Dec-77 12:00:00 GMT", date=eve).wait_ns is None


def test_more_than_an_hour_is_an_hour() -> None:
    assert LONGEST == 3_600 * SECOND
    assert read(retry_after="999999999") == Hint(LONGEST, "retry-after", (), capped=True)
    assert read(retry_after="Fri, 31 Dec 9999 23:59:59 GMT") == Hint(LONGEST, "retry-after", (), capped=True)


def test_milliseconds_come_before_seconds() -> None:
    assert read(retry_after_ms="1500", retry_after="9") == Hint(1_500 * MILLISECOND, "retry-after-ms")


def test_milliseconds_that_make_no_sense_give_way_to_seconds() -> None:
    assert read(retry_after_ms="-5", retry_after="9") == Hint(9 * SECOND, "retry-after", ("retry-after-ms",))


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("6m0s", 360 * SECOND), ("20ms", 20 * MILLISECOND), ("16.6s", 16_600 * MILLISECOND),
        ("1h2m3.4s", LONGEST), ("0.01h", 36 * SECOND), ("0.001d", 86_400 * MILLISECOND), ("59m59s", 3_599 * SECOND), ("17.399999999s", 17_399_999_999), ("1d", LONGEST),
        ("500us", 500_000), ("500µs", 500_000), ("7ns", 7), ("500", 500 * MILLISECOND),
        ("1792000030", 30 * SECOND), ("1792000030000", 30 * SECOND),
        ("2026-10-14T17:47:10Z", 30 * SECOND), ("2026-10-14T19:47:10.999+02:00", 30 * SECOND),
        ("2026-10-14 17:47:10", 30 * SECOND),
    ],
)  # fmt: skip
def test_a_reset_is_read_in_every_form(text: str, nanoseconds: int) -> None:
    hint = read(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens=text)
    assert (hint.wait_ns, hint.source) == (nanoseconds, "x-ratelimit-reset-tokens")


@pytest.mark.parametrize(
    "text", ["", "-1", "1_0s", "s", "5x", "12345678901", "1791999999", "2026-10-14", "2026-13-14T17:47:10Z", "1s 2s"]
)
def test_a_reset_that_makes_no_sense_is_ignored(text: str) -> None:
    hint = read(x_ratelimit_remaining="0", x_ratelimit_reset=text)
    assert hint == Hint(None, None, ("x-ratelimit-reset",))


@pytest.mark.parametrize("name", ["x-ratelimit-{}", "ratelimit-{}", "anthropic-ratelimit-input-tokens-{}"])
def test_a_plain_number_is_seconds_unless_a_dimension_follows(name: str) -> None:
    headers = {name.format("remaining"): "0", name.format("reset"): "7"}
    assert retry_after_ns(headers, 429, NOW) == 7 * SECOND


def test_a_reset_of_something_that_remains_says_nothing() -> None:
    assert read(x_ratelimit_remaining_tokens="12", x_ratelimit_reset_tokens="6m0s") == Hint()
    assert read(x_ratelimit_reset_tokens="6m0s") == Hint()
    assert read(x_ratelimit_remaining_tokens="0") == Hint()


def test_only_rate_limits_are_read() -> None:
    assert read(x_remaining="0", x_reset="5s") == Hint()
    assert read(x_ratelimit_reset_tokens="0") == Hint()


@pytest.mark.parametrize(("others", "wait"), [(999, 5 * SECOND), (1_000, None)])
def test_a_thousand_headers_are_looked_through(others: int, wait: int | None) -> None:
    headers = {f"x-{each}": "" for each in range(others)}
    headers |= {"ratelimit-remaining": "0", "ratelimit-reset": "5"}
    assert retry_after_ns(headers, 429, NOW) == wait


def test_the_longest_of_the_spent_dimensions_counts() -> None:
    hint = read(
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="5s",
        x_ratelimit_remaining_requests="0.0",
        x_ratelimit_reset_requests="9s",
    )
    assert (hint.wait_ns, hint.source) == (9 * SECOND, "x-ratelimit-reset-requests")


def test_resets_are_not_read_when_the_reply_says_how_long() -> None:
    assert read(retry_after="1", ratelimit_remaining="0", ratelimit_reset="50").wait_ns == SECOND


@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["retry-after", "retry-after-ms", "date", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-reset-x"]
        ),
        st.text(max_size=80) | st.from_regex(r"[0-9.:TZ+\-a-zA-Z, ]{0,40}", fullmatch=True) | st.just("0"),
    ),
    status=st.sampled_from([429, 503]),
)
def test_no_header_raises_and_no_wait_is_negative_or_beyond_an_hour(headers: dict[str, str], status: int) -> None:
    wait = retry_after_ns(headers, status, NOW)
    assert wait is None or 0 <= wait <= LONGEST
