"""Differences that are planted into a true ledger and its report, each with the verdicts that it must lead to.

Some changes are no differences: a capture in two lines is still right.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from ledger_cli.books.matcher import (
    AMOUNT,
    CURRENCY,
    DUPLICATE_LINE,
    MISSING_IN_LEDGER,
    STATUS,
)
from ledger_cli.books.report import UNKNOWN_TYPE
from tests.books.histories import ALONE, DECIMALS, Abilities, Case, Line, Recorded, minor_unit

Plant = Callable[[Case, Abilities, random.Random], bool]
"""Changes a case; returns whether it could."""

Pair = tuple[Line, Recorded]

SETTLED = frozenset({"one", "split", "many", "merged", "equal"})
"""Forms of cases in which lines and records have the same sum."""


def drop_line(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Take a line away."""
    if case.form in {"one", "merged"}:
        case.leave_without_lines()
        return True
    if case.form == "split":
        case.lines.pop(rng.randrange(len(case.lines)))
        return _disagree(case, AMOUNT)
    if case.form in {"many", "equal"}:
        line = case.lines.pop(rng.randrange(len(case.lines)))
        next(one for one in case.records if one.record.amount == abs(line.amount)).expected = ALONE
        return True
    return False


def drop_record(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Take a record away."""
    if case.form in {"one", "split", "failed"}:
        case.records.clear()
        return _expect_lines(case, MISSING_IN_LEDGER)
    if case.form == "merged":
        case.records.pop(rng.randrange(len(case.records)))
        return _disagree(case, AMOUNT)
    if case.form in {"many", "equal"}:
        record = case.records.pop(rng.randrange(len(case.records))).record
        next(one for one in case.lines if abs(one.amount) == record.amount).expected = MISSING_IN_LEDGER
        return True
    return False


def double_line(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Write a line twice, if anything tells the lines of the case apart."""
    is_apart = abilities.has_identity or len({one.amount for one in case.lines}) == len(case.lines)
    if case.form == "no_payment" or not case.lines or not is_apart:
        return False
    line = rng.choice(case.lines)
    case.lines.append(replace(line, expected=DUPLICATE_LINE))
    return True


def double_fee(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Write a line twice that is about no payment."""
    if case.form != "no_payment" or not (abilities.has_identity and abilities.has_fee_ids):
        return False
    case.lines.append(replace(case.lines[0], expected=DUPLICATE_LINE))
    return True


def change_line(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Change the amount of a line by one minor unit."""
    if case.form not in SETTLED:
        return False
    line = rng.choice(case.lines)
    pair = _pair(case, abs(line.amount))
    before, line.amount = line.amount, line.amount + rng.choice((-1, 1)) * minor_unit(line.currency)
    is_other = before * line.amount > 0 and [one.amount for one in case.lines].count(line.amount) == 1
    return is_other and _disagree(case, AMOUNT, pair)


def change_record(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Change the amount of a record by one minor unit."""
    if case.form not in SETTLED:
        return False
    recorded = rng.choice(case.records)
    record = recorded.record
    pair = _pair(case, record.amount)
    recorded.record = record._replace(amount=record.amount + minor_unit(record.currency))
    return _disagree(case, AMOUNT, pair)


def swap_currency_of_lines(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Write the same amounts in another currency."""
    if case.form not in {"one", "split"}:
        return False
    currency = _other(case.lines[0].currency, abilities)
    for line in case.lines:
        line.settled = line.settled if line.settled != line.currency else currency
        line.currency = currency
    return _disagree(case, CURRENCY)


def swap_currency_of_records(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Record the same amounts in another currency."""
    if case.form not in {"one", "split"}:
        return False
    for one in case.records:
        one.record = one.record._replace(currency=_other(one.record.currency, abilities))
    return _disagree(case, CURRENCY)


def fail_record(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Record a payment as failed that the report has as settled."""
    if case.form not in {"one", "split"} or case.records[0].record.kind != "Payment":
        return False
    case.records[0].record = case.records[0].record._replace(status="Failure")
    return _disagree(case, STATUS)


def fail_line(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Deny a line, or leave it open, although the ledger has it as settled."""
    if case.form != "one" or not abilities.has_failed_lines:
        return False
    case.lines[0].status = rng.choice(("Failure", "Pending"))
    return _disagree(case, STATUS)


def succeed_line(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Settle a payment that the ledger has as failed."""
    if case.form != "failed":
        return False
    case.lines[0].status = "Success"
    return _disagree(case, STATUS)


def change_type(case: Case, _: Abilities, rng: random.Random) -> bool:
    """Give a line a type that nobody knows."""
    if case.form != "one":
        return False
    line = case.lines[0]
    line.kind, line.role, line.expected = UNKNOWN_TYPE, "", UNKNOWN_TYPE
    for one in case.records:
        one.expected = ALONE
    return True


def split_line(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Write one capture in two lines: nothing is wrong."""
    is_capture = case.form == "one" and case.lines[0].kind == "Payment"
    if not is_capture or abilities.captures not in {"parts", "merged", "reversal"}:
        return False
    line = case.lines[0]
    part = minor_unit(line.currency) * rng.randrange(1, 9)
    if line.amount <= 2 * part:
        return False
    first, second = (f"{line.own_id}{letter}" for letter in "ab")
    case.lines = [replace(line, amount=part, own_id=first), replace(line, amount=line.amount - part, own_id=second)]
    return True


def settle_elsewhere(case: Case, abilities: Abilities, rng: random.Random) -> bool:
    """Settle a line in another currency: nothing is wrong."""
    if case.form not in SETTLED or not abilities.settles_elsewhere:
        return False
    for line in case.lines:
        line.settled = rng.choice([one for one in abilities.currencies if one != line.currency])
    return True


DIFFERENCES: tuple[Plant, ...] = (
    drop_line, drop_record, double_line, double_fee, change_line, change_record, swap_currency_of_lines,
    swap_currency_of_records, fail_record, fail_line, succeed_line, change_type,
)  # fmt: skip
STILL_RIGHT: tuple[Plant, ...] = (split_line, settle_elsewhere)
TRIES = 4
"""Changes to try in one place, since not every change is possible in every place."""


def plant(cases: Sequence[Case], abilities: Abilities, rng: random.Random, number: int) -> Counter[str]:
    """Plant up to so many differences, each where no other one is near, and return how often each was planted."""
    planted: Counter[str] = Counter()
    used: set[tuple[str | None, ...]] = set()
    for case in rng.sample(cases, len(cases)):
        is_capture = case.meeting[1:2] == ("Payment",)
        place = case.meeting[:2] if is_capture else case.meeting
        near = [other for other in cases if other.meeting[: len(place)] == place and other is not case]
        if planted.total() == number:
            break
        if place in used or case.form in {"unnamed", "silent"} or not _differ([case, *near]):
            continue
        has_all_lines = all(other.lines or other.form == "silent" for other in near)
        for chosen in rng.sample((*DIFFERENCES, *STILL_RIGHT), TRIES):
            if chosen is drop_record and not has_all_lines:
                continue  # the line could as well be about the record whose line is in another report
            before = deepcopy((case.records, case.lines))
            if case.lines and chosen(case, abilities, rng):
                planted[chosen.__name__] += 1
                used.add(place)
                break
            case.records, case.lines = before
    return planted


def _differ(cases: Iterable[Case]) -> bool:
    """Return whether the amounts of these cases differ by more than what is planted."""
    records = [[one.record for one in case.records] for case in cases]
    amounts = sorted({(record.amount, place) for place, case in enumerate(records) for record in case})
    units = [minor_unit(record.currency) for case in records for record in case]
    pairs = pairwise(amounts)
    return all(place == other or after - before > 2 * max(units) for (before, place), (after, other) in pairs)


def _other(currency: str, abilities: Abilities) -> str:
    """Return another currency with as many decimals, or with fewer if there is none."""
    same = [one for one in DECIMALS if one != currency and DECIMALS[one] == DECIMALS[currency]]
    return next((one for one in same if one in abilities.currencies), same[0])


def _expect_lines(case: Case, verdict: str) -> bool:
    for line in case.lines:
        line.expected = verdict
    return True


def _pair(case: Case, amount: Decimal) -> Pair | None:
    """Return the line and the record of this amount, in a case in which each line has a record of its own."""
    if case.form not in {"many", "equal"}:
        return None
    line = next(one for one in case.lines if abs(one.amount) == amount)
    return line, next(one for one in case.records if one.record.amount == amount)


def _disagree(case: Case, verdict: str, pair: Pair | None = None) -> bool:
    """Expect the verdict of a pair, or of everything; return False if some of it fits by accident."""
    if pair is not None:
        for one in pair:
            one.expected = verdict
        return abs(sum(one.amount for one in case.lines)) not in {one.record.amount for one in case.records}
    for one in (*case.lines, *case.records):
        one.expected = verdict
    amounts = {one.record.amount for one in case.records}
    return verdict != AMOUNT or not any(abs(one.amount) in amounts for one in case.lines)
