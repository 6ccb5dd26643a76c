"""The order of the calls of several actors that run at once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from ledger_cli.engine import lambda_runtime

TURN_TIMEOUT_S = 60


class Interleaver:
    """Runs one actor at a time; another actor can go on only when the running one reaches a shared call.

    Plainly, the actor that ran last goes on, so each other turn is a switch. *choose_turn* gets an option for each
    other actor that could go on, and returns one of them, or None for the plain way. *plan* has the numbers of actors
    whose turns come first.
    """

    def __init__(
        self,
        actors: Sequence[Callable[[], Any]],
        choose_turn: Callable[[list[str]], str | None],
        plan: Sequence[int] = (),
    ) -> None:
        self.choose_turn = choose_turn
        self.plan = list(plan)
        self.turn = [threading.Semaphore(0) for _ in actors]
        self.back = threading.Semaphore(0)
        self.alive = set(range(len(actors)))
        self.asleep: set[int] = set()
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self._act, args=pair, daemon=True) for pair in enumerate(actors)]

    def run(self) -> None:
        """Run the actors to their ends, in the order that *choose_turn* decides."""
        for number, thread in enumerate(self.threads):
            thread.start()
            self._give_turn_to(number)
        last = 0
        while self.alive:
            if self.alive == self.asleep:
                self.asleep.clear()
            ready = sorted(self.alive - self.asleep)
            planned = self.plan.pop(0) if self.plan else last
            plainly = next((number for number in (planned, last) if number in ready), ready[0])
            others = [number for number in ready if number != plainly]
            chosen = self.choose_turn([f"turn of {number}" for number in others]) if others else None
            last = int(chosen.rpartition(" ")[2]) if chosen else plainly
            self._give_turn_to(last)
        if self.failures:
            raise self.failures[0]

    def wait_for_turn(self) -> None:
        """Give the turn back, and wait for the next one. An actor calls this before each shared call."""
        number = self.threads.index(threading.current_thread())
        with lambda_runtime.outside_the_handler():
            self.back.release()
            _acquire(self.turn[number])

    def sleep(self) -> None:
        """Let all other actors go on, until each has ended or sleeps too. An actor calls this at a long wait."""
        self.asleep.add(self.threads.index(threading.current_thread()))
        self.wait_for_turn()

    def _give_turn_to(self, number: int) -> None:
        self.turn[number].release()
        _acquire(self.back)

    def _act(self, number: int, actor: Callable[[], Any]) -> None:
        _acquire(self.turn[number])
        try:
            actor()
        except BaseException as failure:  # noqa: BLE001  # `run` raises it again
            self.failures.append(failure)
        self.alive.discard(number)
        self.asleep.discard(number)
        self.back.release()


def _acquire(semaphore: threading.Semaphore) -> None:
    if not semaphore.acquire(timeout=TURN_TIMEOUT_S):
        raise TimeoutError("an actor does not give its turn back")
