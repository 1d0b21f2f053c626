"""The fault catalogue: what must come of each of its 100 rows. Typed from the specification's section 5 and table 1.6.

Nothing under ``src/`` is imported here, and nothing there imports this: what the code does is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

ROWS = 100

FAILURE, NEUTRAL, SUCCESS = "failure", "neutral", "success"
EMPTY: Mapping[str, Any] = MappingProxyType({})
AT_ONCE, SECOND_CALL = "at once", "at the second call"


@frozen
class Case:
    """A fault that a provider can show.

    Args:
        row: of the catalogue.
        show: how it's shown: ``faults.NAME``, ``streams.NAME`` and ``wire.NAME`` of `failsoft.testing`, or ``own.NAME`` of the module
            `catalogue_shows`.
        fault: the class of outcome: a name of the closed list.
        attempts: requests to the one adapter of a route that allows two, by a caller who has time; None: not said.
        health: what each of them is to the health breaker. Five failures in a row open it; nothing else does.
        quality: what the call is to the quality breaker: "fail" (once), "open", or "".
        throttle: seconds to wait; 0: none.
        latch: is the adapter stopped until somebody mends the configuration?
        alert: does an event tell somebody to look?
        answered: by whom, where the route has a second adapter that works; "": not said.
        told: how often the call is that to the quality breaker: "one per call, the final one".
        note: a remark for the page.
    """

    row: int
    show: str
    fault: str
    attempts: int | None
    health: str
    quality: str = ""
    throttle: float = 0
    latch: str = ""
    alert: bool = False
    answered: str = "second"
    told: int = 1
    note: str = ""


@frozen
class Directed:
    """What no single reply shows: it has a test of its own.

    Args:
        test: ``file::function`` below ``tests/``.
        outcome: what it proves.
    """

    row: int
    test: str
    outcome: str


@frozen
class NotBuilt:
    """What isn't there yet, and why."""

    row: int
    why: str


_OWN = "faults/catalogue/test_catalogue_circumstances.py::"

CASES: tuple[Case, ...] = (
    # no connection
    Case(1, "own.NOBODY_LISTENS", "connect_refused", 2, FAILURE),
    Case(2, "own.NO_SUCH_NAME", "host_unknown", 1, FAILURE, latch=AT_ONCE, alert=True),
    Case(2, "own.NAME_SERVER_FAILS", "dns_failed", 2, FAILURE),
    Case(3, "own.NAME_SERVER_HANGS", "connect_timeout", 2, FAILURE),
    Case(4, "own.NEVER_ACCEPTED", "connect_timeout", 2, FAILURE),
    Case(5, "own.UNKNOWN_AUTHORITY", "tls_invalid", 1, FAILURE, alert=True),
    Case(5, "own.ANOTHER_HOST", "tls_invalid", 1, FAILURE, alert=True),
    Case(5, "own.EXPIRED", "tls_invalid", 1, FAILURE, alert=True),
    Case(6, "own.HANDSHAKE_STALLS", "connect_timeout", 2, FAILURE),
    Case(7, "faults.PROXY_REFUSED", "proxy_refused", 1, NEUTRAL, latch=AT_ONCE),
    Case(8, "faults.POOL_EXHAUSTED", "pool_exhausted", None, NEUTRAL),
    Case(
        10,
        "faults.UPLOAD_CUT",
        "upload_cut",
        2,
        NEUTRAL,
        note="section 5 says failure; table 1.6 and row 90, which were measured, say neutral",
    ),
    # no whole reply
    Case(11, "faults.HANG", "attempt_timeout", 2, FAILURE),
    Case(12, "wire.DRIPPED_BODY", "attempt_timeout", 2, FAILURE),
    Case(13, "wire.DRIPPED_HEAD", "attempt_timeout", 2, FAILURE),
    Case(14, "wire.CUT", "connection_lost", 2, FAILURE),
    Case(15, "wire.CUT_CHUNK", "connection_lost", 2, FAILURE),
    Case(15, "wire.NO_LAST_CHUNK", "connection_lost", 2, FAILURE),
    Case(16, "wire.NO_LENGTH", "bad_framing", 2, FAILURE),
    Case(17, "faults.TRUNCATED_JSON", "malformed_reply", 2, FAILURE),
    Case(18, "wire.NOT_HTTP", "bad_framing", 2, FAILURE),
    Case(18, "wire.CUT_HEAD", "bad_framing", 2, FAILURE),
    Case(19, "wire.TWO_LENGTHS", "conflicting_lengths", None, FAILURE, alert=True),
    Case(20, "wire.LONG_HEADER", "bad_framing", None, FAILURE),
    Case(21, "wire.INTERIM_FLOOD", "bad_framing", None, FAILURE),
    Case(21, "wire.DRIPPED_INTERIM", "attempt_timeout", 2, FAILURE),
    Case(22, "faults.GZIP_BOMB", "too_large", 1, FAILURE),
    Case(23, "faults.HUGE_BODY", "too_large", 1, FAILURE),
    Case(24, "faults.NOT_GZIP", "bad_encoding", 2, FAILURE),
    Case(25, "faults.CUT_GZIP", "bad_encoding", 2, FAILURE),
    Case(25, "faults.TWO_GZIP_MEMBERS", "bad_encoding", None, FAILURE),
    Case(25, "faults.GZIP_TWICE", "unknown_encoding", None, FAILURE),
    Case(25, "own.GARBAGE_AFTER_GZIP", "bad_encoding", None, FAILURE),
    Case(26, "faults.UNKNOWN_ENCODING", "unknown_encoding", 1, FAILURE),
    Case(27, "faults.HTML", "web_page", None, FAILURE, alert=True),
    Case(28, "faults.EMPTY", "malformed_reply", 2, FAILURE),
    Case(28, "faults.NO_CONTENT", "malformed_reply", 2, FAILURE),
    # a success that isn't one
    Case(29, "faults.ERROR_IN_200", "server_error", 2, FAILURE),
    Case(29, "faults.RATE_LIMIT_IN_200", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(30, "faults.NO_CHOICES", "empty_reply", None, SUCCESS, "fail"),
    Case(30, "faults.NULL_CHOICES", "empty_reply", None, SUCCESS, "fail"),
    Case(31, "faults.BROKEN_OFF", "server_error", 2, FAILURE),
    Case(32, "faults.TRUNCATED", "truncated", 1, SUCCESS, "fail"),
    Case(
        33,
        "faults.FILTERED",
        "filtered",
        1,
        SUCCESS,
        answered="fallback",
    ),
    Case(34, "faults.REFUSED", "refused", 1, SUCCESS, answered=""),
    Case(35, "faults.NO_TEXT", "empty_reply", 2, SUCCESS, "fail"),
    Case(36, "faults.TOOL_CALL", "ambiguous_reply", 1, SUCCESS, "fail"),
    Case(37, "faults.TWO_CHOICES", "ambiguous_reply", 1, SUCCESS, "fail"),
    Case(38, "faults.PROSE", "malformed_answer", 1, SUCCESS, "fail"),
    Case(38, "faults.CODE_FENCE", "malformed_answer", 1, SUCCESS, "fail"),
    Case(39, "faults.SCHEMA_INVALID", "schema_invalid", 1, SUCCESS, "fail"),
    Case(40, "faults.NOT_A_NUMBER", "malformed_answer", 1, SUCCESS, "fail"),
    Case(40, "faults.BEYOND_NUMBERS", "malformed_answer", 1, SUCCESS, "fail"),
    Case(41, "faults.DUPLICATE_KEYS", "malformed_answer", 1, SUCCESS, "fail"),
    Case(42, "faults.LONG_INTEGER", "malformed_answer", 1, SUCCESS, "fail"),
    Case(43, "faults.DEEP_NESTING", "malformed_answer", 1, SUCCESS, "fail"),
    Case(44, "faults.LONE_SURROGATE", "malformed_answer", 1, SUCCESS, "fail"),
    Case(45, "faults.INVALID_UTF8", "malformed_reply", None, FAILURE),
    Case(45, "own.CORRUPTED", "malformed_reply", None, FAILURE),
    Case(46, "faults.UTF16", "malformed_reply", None, FAILURE),
    Case(46, "own.BYTE_ORDER_MARK", "malformed_reply", None, FAILURE),
    Case(46, "own.GARBAGE_BEHIND", "malformed_reply", None, FAILURE),
    Case(46, "own.TWO_ENVELOPES", "malformed_reply", None, FAILURE),
    Case(46, "faults.TWO_DOCUMENTS", "malformed_answer", 1, SUCCESS, "fail"),
    # a status that says it
    Case(47, "faults.CONTEXT_TOO_LONG", "context_too_long", 1, NEUTRAL, answered=""),
    Case(47, "own.CONTEXT_TOO_LONG_AS_500", "context_too_long", 1, NEUTRAL, answered=""),
    Case(48, "faults.UNAUTHENTICATED", "unauthenticated", 1, NEUTRAL, latch=AT_ONCE),
    Case(48, "faults.FORBIDDEN", "forbidden", 1, NEUTRAL, latch=SECOND_CALL, note="a code that isn't known"),
    Case(49, "faults.QUOTA_SPENT", "quota_spent", 1, NEUTRAL, latch=AT_ONCE),
    Case(49, "faults.PAYMENT_REQUIRED", "quota_spent", 1, NEUTRAL, latch=AT_ONCE),
    Case(50, "faults.MODEL_NOT_FOUND", "model_not_found", 1, NEUTRAL, latch=AT_ONCE),
    Case(50, "faults.NOT_FOUND", "not_found", 1, NEUTRAL, latch=SECOND_CALL, note="names no model"),
    Case(51, "faults.REQUEST_TIMEOUT", "server_error", 2, FAILURE),
    Case(51, "faults.CONFLICT", "conflict", 2, NEUTRAL),
    Case(51, "faults.TOO_EARLY", "conflict", 2, NEUTRAL),
    Case(52, "faults.PAYLOAD_TOO_LARGE", "request_rejected", 1, NEUTRAL),
    Case(52, "own.UNSUPPORTED_MEDIA", "request_rejected", 1, NEUTRAL),
    Case(52, "faults.REQUEST_REJECTED", "request_rejected", 1, NEUTRAL),
    Case(53, "own.LIMITED_FOR_90_S", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(53, "own.LIMITED_FOR_50_MS", "rate_limited", 2, NEUTRAL, note="a hint that fits the deadline is waited for"),
    Case(54, "own.LIMITED_UNTIL_A_DATE", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(54, "own.LIMITED_UNTIL_YESTERDAY", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(55, "own.LIMITED_IN_MILLISECONDS", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(55, "own.LIMITED_6M0S", "rate_limited", 1, NEUTRAL, throttle=360),
    Case(55, "own.LIMITED_MINUS_1", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(55, "own.LIMITED_NAN", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(55, "own.LIMITED_FOR_31_YEARS", "rate_limited", 1, NEUTRAL, throttle=3600),
    Case(56, "faults.RATE_LIMITED", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(57, "faults.SERVER_ERROR", "server_error", 2, FAILURE),
    Case(57, "faults.BAD_GATEWAY", "server_error", 2, FAILURE),
    Case(57, "faults.UNAVAILABLE", "server_error", 2, FAILURE),
    Case(57, "own.UNAVAILABLE_FOR_90_S", "overloaded", 1, FAILURE, throttle=90),
    Case(57, "faults.GATEWAY_TIMEOUT", "server_error", 2, FAILURE),
    Case(58, "faults.OVERLOADED", "overloaded", 2, FAILURE),
    Case(58, "own.OVERLOADED_FOR_90_S", "overloaded", 1, FAILURE, throttle=90),
    Case(59, "faults.UNKNOWN_CLIENT_STATUS", "request_rejected", 1, NEUTRAL),
    Case(59, "own.STATUS_522", "server_error", 2, FAILURE),
    Case(59, "faults.UNKNOWN_STATUS", "unexpected_status", None, FAILURE),
    Case(60, "faults.REDIRECT", "redirect", 1, FAILURE, alert=True),
    Case(61, "own.REDIRECT_TO_ITSELF", "redirect", 1, FAILURE, alert=True),
    # streams
    Case(62, "streams.CUT_STREAM", "connection_lost", 2, FAILURE),
    Case(62, "streams.CUT_EVENT", "truncated_stream", 2, FAILURE, note="the framing is whole"),
    Case(63, "streams.ERROR_EVENT", "server_error", 2, FAILURE),
    Case(63, "streams.LIMIT_EVENT", "rate_limited", 1, NEUTRAL, throttle=5),
    Case(64, "streams.PINGS", "stream_stalled", 2, FAILURE),
    Case(64, "streams.STALLED", "stream_stalled", 2, FAILURE),
    Case(64, "streams.STALLED_WITH_PINGS", "stream_stalled", 2, FAILURE),
    Case(65, "streams.NO_FINISH", "truncated_stream", 2, FAILURE),
    Case(65, "streams.NO_END", "truncated_stream", 2, FAILURE),
    Case(65, "streams.NO_EVENT", "truncated_stream", 2, FAILURE),
    Case(66, "streams.EVENTS_TWICE", "ambiguous_reply", 1, SUCCESS, "fail"),
    Case(66, "streams.OTHER_CHOICE", "ambiguous_reply", 1, SUCCESS, "fail"),
    Case(66, "streams.TWO_ANSWERS", "ambiguous_reply", 1, SUCCESS, "fail"),
    Case(66, "streams.NOT_JSON", "malformed_reply", 2, FAILURE),
    # who answered
    Case(67, "faults.WRONG_MODEL", "served_model_mismatch", 1, SUCCESS, "open", alert=True),
    # what the two transports were seen to do
    Case(92, "wire.SWITCHING_PROTOCOLS", "bad_framing", None, FAILURE),
    Case(93, "wire.OTHER_TRANSFER_ENCODING", "bad_framing", None, FAILURE),
    Case(94, "wire.LENGTH_AND_CHUNKS", "bad_framing", None, FAILURE),
    Case(96, "own.LIMITED_UNTIL_EPOCH_SECONDS", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(96, "own.LIMITED_UNTIL_EPOCH_MILLISECONDS", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(96, "own.LIMITED_IN_THE_BODY", "rate_limited", 1, NEUTRAL, throttle=90),
    Case(97, "faults.RATE_LIMITED_LIKE_BILLING", "rate_limited", 1, NEUTRAL, throttle=5),
)

DIRECTED: tuple[Directed, ...] = (
    Directed(
        9,
        _OWN + "test_row_9_a_connection_that_died_idle_costs_one_free_retry",
        "`stale_connection`: neutral, one free retry on a fresh connection, told apart by reuse",
    ),
    Directed(
        10,
        _OWN + "test_row_10_a_reset_while_sending_says_nothing_of_the_provider",
        "over a socket: neutral, whether the write or the read finds out. What the system had taken whole counts as sent",
    ),
    Directed(11, _OWN + "test_row_11_a_time_out_costs_the_retry_budget_twice", "cost x2"),
    Directed(
        39,
        _OWN + "test_row_39_a_repair_shows_the_model_what_was_wrong",
        "one repair with the error's text where the capability asks for it; quality is told once",
    ),
    Directed(
        36,
        _OWN + "test_row_36_a_tool_call_is_repaired_once",
        "one repair where the capability asks for it",
    ),
    Directed(
        38,
        _OWN + "test_row_38_text_around_the_answer_is_repaired_once",
        "one repair, recorded as one, where the capability asks for it",
    ),
    Directed(
        48,
        _OWN + "test_row_48_a_bad_key_stops_everybody_who_uses_it",
        "the latch is the credential's",
    ),
    Directed(
        58,
        _OWN + "test_row_58_an_overload_is_waited_for_longer",
        "longer back-off",
    ),
    Directed(
        59,
        _OWN + "test_row_59_an_unknown_status_is_told",
        "an event says that a status isn't known",
    ),
    Directed(
        66,
        "adapters/test_openai_stream.py::test_unknown_types_of_events_are_passed_over",
        "unknown types and kinds are ignored",
    ),
    Directed(67, _OWN + "test_row_67_a_changed_fingerprint_is_recorded_only", "the fingerprint: recorded, no more"),
    Directed(68, _OWN + "test_row_68_usage_that_isnt_stated_is_unknown", "unknown, not 0; the answer is taken"),
    Directed(70, _OWN + "test_row_70_a_caller_who_leaves_is_let_go", "re-raised, neutral, no fallback, all slots back"),
    Directed(
        70,
        "core/test_cancellation.py::test_a_cancel_at_any_effect_is_raised_again_and_leaves_nothing_held",
        "the same at every effect: before the send, in the body, in the queue, while recording",
    ),
    Directed(
        70,
        "faults/test_cancel_every_step.py::test_a_cancel_at_any_step_is_raised_again_and_leaves_nothing_behind",
        "the same at every step of a real exchange, whole and streamed; a hundred calls afterwards are answered",
    ),
    Directed(71, _OWN + "test_row_71_a_deadline_before_fair_time_says_nothing", "fallback; neutral before fair time"),
    Directed(71, _OWN + "test_row_71_a_deadline_in_the_queue_leads_to_the_fallback", "fallback; nothing sent"),
    Directed(
        72,
        "faults/test_calls_under_attack.py::"
        "test_awaited_work_that_swallows_its_cancellation_keeps_its_slot_until_it_ends",
        "the slot is kept until the work ends, and counted in `health()`; the caller has the fallback",
    ),
    Directed(
        73,
        "faults/test_calls_under_attack.py::test_a_coroutine_that_holds_up_its_loop_is_told_by_name",
        "`loop.blocked` says who and for how long, once it's over",
    ),
    Directed(
        74, _OWN + "test_row_74_each_event_loop_has_connections_of_its_own", "two loops, one isolation: both answered"
    ),
    Directed(
        75,
        "faults/test_transport_connections.py::"
        "test_a_forked_child_makes_its_own_connections_and_leaves_its_parents_alone",
        "no shared socket",
    ),
    Directed(
        75,
        "core/test_breaker.py::test_after_a_fork_the_childs_breaker_has_a_lock_of_its_own_and_no_permits",
        "a new lock",
    ),
    Directed(75, _OWN + "test_row_75_a_child_has_other_random_numbers", "no shared jitter"),
    Directed(76, _OWN + "test_row_76_a_wall_clock_that_jumps_moves_no_guard", "guards read the monotonic clock"),
    Directed(76, "core/test_clocks_disagree.py::test_a_wall_clock_that_was_set_is_told_once", "`clock.anomaly`"),
    Directed(77, _OWN + "test_row_77_a_listener_that_raises_changes_no_answer", "isolated and counted"),
    Directed(
        77,
        _OWN + "test_row_77_events_are_told_while_another_thread_loads_structlog",
        "telling an event never raises",
    ),
    Directed(
        78, _OWN + "test_row_78_a_ledger_that_cant_record", "`on_ledger_failure`: the fallback, a refusal, or going on"
    ),
    Directed(
        78,
        "ledger/test_ledger_disk.py::test_a_disk_that_is_really_full_says_so_and_loses_nothing_acknowledged",
        "a disk that's really full",
    ),
    Directed(
        79, _OWN + "test_row_79_a_fallback_that_raises_says_why_everybody_failed", "`FallbackFailed`, with the chain"
    ),
    Directed(
        80,
        "io/test_state_postgres.py::test_row_80_a_dead_server_stops_no_call_and_ends_no_block",
        "each process for itself; the last blocks hold",
    ),
    Directed(
        80,
        "io/test_state_postgres.py::test_row_80_a_paused_server_makes_no_call_wait",
        "given up after its time limit, off the hot path",
    ),
    Directed(81, _OWN + "test_row_81_a_block_during_a_call_lets_it_drain", "drained; the next call asks nobody"),
    Directed(82, _OWN + "test_row_82_the_garbage_collector_gives_back_without_a_lock", "a deque, drained later"),
    Directed(83, _OWN + "test_row_83_an_echoed_key_reaches_no_record_and_no_event", "struck before it's recorded"),
    Directed(
        84,
        "regressions/test_breaker_too_many_trials.py::test_at_the_instant_of_expiry_exactly_so_many_are_admitted",
        "exactly k trials",
    ),
    Directed(85, _OWN + "test_row_85_a_flapping_provider_is_left_alone_for_longer_and_longer", "openings grow"),
    Directed(
        86, _OWN + "test_row_86_a_brown_out_is_answered_and_not_multiplied", "stays closed, attempts per call bounded"
    ),
    Directed(
        87, _OWN + "test_row_87_a_recovered_provider_with_another_model_stays_out", "`recovery_check`: opens again"
    ),
    Directed(88, _OWN + "test_row_88_a_time_out_is_told_as_possibly_billed", "cost at least: `billed`"),
    Directed(
        89, _OWN + "test_row_89_an_answer_too_many_is_nobodys", "bytes after the body: the connection is discarded"
    ),
    Directed(
        90,
        _OWN + "test_row_90_an_answer_before_the_request_is_sent_says_nothing_of_the_provider",
        "neutral while uploading",
    ),
    Directed(91, _OWN + "test_row_91_a_cookie_doesnt_come_back", "no cookie jar"),
    Directed(95, _OWN + "test_row_95_a_hint_on_an_answer_isnt_read", "no throttle"),
    Directed(98, _OWN + "test_row_98_a_provider_that_hangs_opens_though_every_caller_is_impatient", "fair time"),
    Directed(99, _OWN + "test_row_99_poison_input_doesnt_stop_the_others", "one entry per call"),
    Directed(
        100,
        "io/test_state_postgres.py::test_row_100_a_process_that_knows_better_isnt_misled_by_a_sick_one",
        "a peer's opening is advice: `peer.disagrees`",
    ),
    Directed(
        100,
        "simulation/test_scenarios.py::test_one_sick_process_of_twenty_misleads_none_of_the_others",
        "0 % of the others' calls fall back",
    ),
)

NOT_BUILT: tuple[NotBuilt, ...] = (
    NotBuilt(
        69, "no adapter sends a number that a reply would have to echo; row 89 covers the mix-up on one connection"
    ),
    NotBuilt(72, "no conformance kit fails the adapter"),
    NotBuilt(73, "no conformance kit fails the adapter; while a loop is held, nobody tells"),
    NotBuilt(79, "no alarm of the process; `FallbackFailed` reaches the caller"),
    NotBuilt(81, "a block can't cancel what runs"),
    NotBuilt(
        88,
        "no idempotency key is sent: no header for one was found in OpenAI's or Azure's pages and recorded exchanges; of the "
        "compatible servers only single gateways read one",
    ),
    NotBuilt(96, "no adapter of Gemini reads its `RetryInfo`"),
)
