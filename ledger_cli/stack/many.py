"""Many calls to a stack: several at once, at a bounded rate, with their results in order."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 10
"""Calls at once: as many connections as a client keeps open. Source: botocore's Config, max_pool_connections."""


class Pace:
    """A rate that several threads keep together."""

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1 / per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until it is this thread's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        time.sleep(turn - now)


def in_order(
    function: Callable[[T], R], things: Iterable[T], stopping: threading.Event, key: Callable[[T], object] | None = None
) -> Iterator[R]:
    """Call the function for each thing, several at once, and yield the results in the order of the things.

    If a call raises an error, or the caller stops, no further call begins, and those that have begun are waited for.

    Args:
        function: the function. If it waits for something, it ends soon after *stopping* is set.
        things: the things.
        stopping: it is set when no further call begins.
        key: if two things have the same key, the second call begins after the first has ended. None for a key means
            that the thing waits for no other.
    """
    results: deque[tuple[object, Future[R]]] = deque()
    newest: dict[object, Future[R]] = {}

    def call(thing: T, before: Future[R] | None) -> R:
        if before is not None:
            before.exception()  # it has begun, since calls begin in their order
        return function(thing)

    def next_result() -> R:
        of, future = results.popleft()
        if newest.get(of) is future:
            del newest[of]
        return future.result()

    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for thing in things:
                of = None if key is None else key(thing)
                future = pool.submit(call, thing, newest.get(of))
                results.append((of, future))
                if of is not None:
                    newest[of] = future
                if len(results) == WORKERS:
                    yield next_result()
            while results:
                yield next_result()
        finally:
            if results:
                stopping.set()
            for _, future in results:
                future.cancel()
