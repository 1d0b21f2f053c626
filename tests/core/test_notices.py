from __future__ import annotations

import threading

import pytest

from failsoft.core.notices import Notices


def test_without_a_listener_nothing_is_kept() -> None:
    notices = Notices[int](None)
    notices.add(1)
    assert notices.pending == []


def test_what_a_listener_raises_is_counted_and_the_next_notice_is_told() -> None:
    heard: list[int] = []

    def listen(notice: int) -> None:
        heard.append(notice)
        raise KeyError(notice)

    notices = Notices(listen)
    notices.add(1)
    notices.add(2)
    notices.deliver()
    assert (heard, notices.errors) == ([1, 2], 2)


def test_a_listener_that_causes_notices_hears_them_after_the_one_it_is_hearing() -> None:
    heard: list[str] = []

    def listen(notice: int) -> None:
        heard.append(f"{notice} begins")
        if notice < 3:
            notices.add(notice + 1)
            notices.deliver()
        heard.append(f"{notice} ends")

    notices = Notices(listen)
    notices.add(1)
    notices.deliver()
    assert heard == ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]


def test_an_interrupt_in_a_listener_passes_and_leaves_the_rest_deliverable() -> None:
    heard: list[int] = []

    def listen(notice: int) -> None:
        heard.append(notice)
        if notice == 1:
            raise KeyboardInterrupt

    notices = Notices(listen)
    notices.add(1)
    notices.add(2)
    with pytest.raises(KeyboardInterrupt):
        notices.deliver()
    notices.deliver()
    assert heard == [1, 2]


def test_one_thread_at_a_time_delivers_and_none_of_its_notices_is_lost() -> None:
    heard: list[int] = []
    inside, go_on = threading.Event(), threading.Event()

    def listen(notice: int) -> None:
        if notice == 1:
            inside.set()
            go_on.wait()
        heard.append(notice)

    notices = Notices(listen)
    notices.add(1)
    first = threading.Thread(target=notices.deliver)
    first.start()
    inside.wait()
    notices.add(2)
    notices.deliver()  # the other thread's business: comes back at once
    assert heard == []
    go_on.set()
    first.join()
    assert heard == [1, 2]


def test_after_a_fork_the_child_tells_only_its_own_changes() -> None:
    heard: list[int] = []
    notices = Notices(heard.append)
    notices.add(1)
    notices._delivering.acquire()
    notices.after_fork()
    notices.add(2)
    notices.deliver()
    assert heard == [2]
