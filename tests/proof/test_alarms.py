"""The expression that counts technical failures, evaluated minute by minute as CloudWatch evaluates it."""

import itertools
import random
from collections import Counter

import pytest

from tests.proof.rules.alarms import COUNTED

MINUTE_MS = 60_000
MINUTES = 30


def technical_failures(failed_ms: list[int], rejected_ms: list[int]) -> list[int]:
    """Return each minute's value of the alarm's expression.

    Source: CloudWatch User Guide, using metric math: IF, FILL, and DIFF, which subtracts the previous value.
    """
    failed = Counter(moment // MINUTE_MS for moment in failed_ms)
    rejected = Counter(moment // MINUTE_MS for moment in rejected_ms)
    difference = [failed[minute] - rejected[minute] for minute in range(MINUTES)]
    # The alarm's expression is valid Python, with the functions IF and DIFF. `difference` already is a time series.
    expression = compile(COUNTED["TechnicalFailuresAlarm"]["technical"], "alarm", "eval")
    values = []
    for before, now in itertools.pairwise(difference):
        functions = {
            "IF": lambda condition, then, other: then if condition else other,
            "DIFF": lambda _, d=now - before: d,
        }
        values.append(eval(expression, functions, {"difference": now}))  # noqa: S307  # it is a constant of the project
    return values


def rings(values: list[int]) -> bool:
    """Return whether two of five minutes in a row are above zero."""
    return any(sum(value > 0 for value in values[start : start + 5]) >= 2 for start in range(len(values) - 4))


def test_technical_failures_make_the_alarm_ring() -> None:
    """An outage fails one payment a minute, while many other payments are rejected."""
    failures = [minute * MINUTE_MS + 30_000 for minute in range(5, 10)]
    rejections = [minute * MINUTE_MS + second * 1000 for minute in range(MINUTES) for second in range(0, 55, 5)]
    assert rings(technical_failures([*failures, *(moment + 1 for moment in rejections)], rejections))


@pytest.mark.parametrize("gap_ms", [1, 5, 50])
def test_a_rejection_at_the_end_of_a_minute_does_not_ring(gap_ms: int) -> None:
    """Its execution may count as rejected in one minute, and as failed in the next."""
    rejections = [minute * MINUTE_MS - 1 for minute in (3, 5, 7, 9)]
    values = technical_failures([moment + gap_ms for moment in rejections], rejections)
    assert max(values) == 0
    assert not rings(values)


def test_many_rejections_do_not_ring() -> None:
    """A broken integration sends ten payments a second, and none of their rejections is a technical failure."""
    rng = random.Random(14)  # noqa: S311
    for _ in range(50):
        rejections = [rng.randrange(MINUTE_MS, (MINUTES - 1) * MINUTE_MS) for _ in range(10 * 60 * MINUTES)]
        failed = [moment + rng.randrange(1, 3) for moment in rejections]
        assert not rings(technical_failures(failed, rejections))
