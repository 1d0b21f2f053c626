from __future__ import annotations

import threading

import pytest

from failsoft.core.guard import Guard


def test_without_a_listener_nothing_is_kept() -> None:
    guard = Guard[int](None)
    guard._changed(1)
    assert guard._untold == []


def test_what_a_listener_raises_is_counted_and_the_next_notice_is_told() -> None:
    heard: list[int] = []

    def listen(notice: int) -> None:
        heard.append(notice)
        raise KeyError(notice)

    guard = Guard(listen)
    guard._changed(1)
    guard._changed(2)
    guard._announce()
    assert (heard, guard.listener_errors) == ([1, 2], 2)


def test_a_listener_that_causes_changes_hears_them_after_the_one_it_is_hearing() -> None:
    heard: list[str] = []

    def listen(notice: int) -> None:
        heard.append(f"{notice} begins")
        if notice < 3:
            guard._changed(notice + 1)
            guard._announce()
        heard.append(f"{notice} ends")

    guard = Guard(listen)
    guard._changed(1)
    guard._announce()
    assert heard == ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]


def test_an_interrupt_in_a_listener_passes_and_leaves_the_rest_deliverable() -> None:
    heard: list[int] = []

    def listen(notice: int) -> None:
        heard.append(notice)
        if notice == 1:
            raise KeyboardInterrupt

    guard = Guard(listen)
    guard._changed(1)
    guard._changed(2)
    with pytest.raises(KeyboardInterrupt):
        guard._announce()
    guard._announce()
    assert heard == [1, 2]


def test_one_thread_at_a_time_delivers_and_none_of_its_notices_is_lost() -> None:
    heard: list[int] = []
    inside, go_on = threading.Event(), threading.Event()

    def listen(notice: int) -> None:
        if notice == 1:
            inside.set()
            go_on.wait()
        heard.append(notice)

    guard = Guard(listen)
    guard._changed(1)
    first = threading.Thread(target=guard._announce)
    first.start()
    inside.wait()
    guard._changed(2)
    guard._announce()  # the other thread's business: comes back at once
    assert heard == []
    go_on.set()
    first.join()
    assert heard == [1, 2]


def test_after_a_fork_the_child_tells_only_its_own_changes() -> None:
    heard: list[int] = []
    guard = Guard(heard.append)
    guard._changed(1)
    guard._lock.acquire()
    guard._telling = True
    guard.after_fork()
    guard._changed(2)
    guard._announce()
    assert heard == [2]
