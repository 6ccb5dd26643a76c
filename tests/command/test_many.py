"""Many calls at once: their results are in order, what belongs together is not mixed, and the rate is kept."""

import threading
import time
from collections.abc import Iterator

import pytest

from ledger_cli.stack.many import WORKERS, Pace, in_order


def test_results_are_in_the_order_of_the_things() -> None:
    """The first call may end last."""

    def slow_at_first(number: int) -> int:
        time.sleep(0.05 if number % 7 == 0 else 0)
        return number * 2

    assert list(in_order(slow_at_first, range(60), threading.Event())) == [number * 2 for number in range(60)]


def test_several_calls_run_at_once_and_no_more_than_the_workers() -> None:
    """A stack has quotas."""
    running, most, lock = 0, 0, threading.Lock()

    def call(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    list(in_order(call, range(50), threading.Event()))
    assert 2 <= most <= WORKERS


def test_things_are_read_only_when_there_is_room() -> None:
    """A file of a million lines is never read ahead."""
    read = []

    def things() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    results = in_order(lambda number: number, things(), threading.Event())
    assert next(results) == 0
    assert len(read) <= WORKERS


def test_calls_with_the_same_key_come_one_after_another() -> None:
    """A refund must not overtake its payment, which is before it in the file."""
    ended: list[int] = []

    def call(number: int) -> None:
        time.sleep(0.03 - number * 0.004)
        ended.append(number)

    list(in_order(call, range(6), threading.Event(), key=lambda _: "one payment"))
    assert ended == list(range(6))
    ended.clear()
    list(in_order(call, range(6), threading.Event(), key=lambda _: None))
    assert ended != list(range(6))


def test_an_error_ends_the_rest_and_waits_for_what_has_begun() -> None:
    """Whatever was started is known, and nothing else starts."""
    stopping, begun, ended = threading.Event(), [], []

    def call(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise LookupError
        if number > 3:
            assert stopping.wait(10)
        ended.append(number)
        return number

    results = in_order(call, range(1000), stopping)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(results)
    assert sorted(ended) == [number for number in sorted(begun) if number != 3]
    assert len(begun) <= 3 + WORKERS


def test_a_rate_is_kept_by_all_threads_together() -> None:
    """An account's quota counts them together."""
    pace, begun = Pace(200), time.monotonic()
    list(in_order(lambda _: pace.wait(), range(41), threading.Event()))
    assert time.monotonic() - begun >= 40 / 200
