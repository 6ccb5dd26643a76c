"""What the mappings of processors' messages share. The tests of each format show how it uses this."""

from typing import Any

import pytest

from ledger.formats.mapping import code, first_text, microseconds


@pytest.mark.parametrize("value", ["a", "Z", "9", "_", ".", "-", "card_declined", "51.2-MX", "a" * 64])
def test_a_code_is_kept(value: str) -> None:
    """Processors' reasons, methods and IDs are of these characters."""
    assert code(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a:b", "a\n", "é", "a" * 65, None, 7, ["a"]])
def test_what_is_not_a_code_is_not_kept(value: Any) -> None:
    """It could be free text, which may hold what nobody should keep."""
    assert code(value) is None


@pytest.mark.parametrize("missing", [None, "", 7, ["tok_1"], {"id": "tok_1"}])
def test_the_first_text_is_found_behind_values_that_are_none(missing: Any) -> None:
    """A value of another type does not hide the next field, which may have the token of a payment that was made."""
    assert first_text({"token": missing, "card": "card_1", "order": "order_1"}) == ("card_1", "card")
    assert first_text({"token": missing}) == (None, None)


@pytest.mark.parametrize(
    ("time", "cut"),
    [
        ("2026-11-21T10:18:47.123456789Z", "2026-11-21T10:18:47.123456Z"),
        ("2026-11-21T10:18:47.6543217+02:00", "2026-11-21T10:18:47.654321+02:00"),
        ("2026-11-21T10:18:47.01234567890123Z", "2026-11-21T10:18:47.012345Z"),
    ],
)
def test_a_time_has_at_most_six_decimals(time: str, cut: str) -> None:
    """The contract takes no more, and a payment is not refused because its processor's clock is finer."""
    assert microseconds(time) == cut


@pytest.mark.parametrize(
    "time",
    ["2026-11-21T10:18:47Z", "2026-11-21T10:18:47.65432Z", "2026-11-21T10:18:47.654321Z", "20261121T101847Z", 7, None],
)
def test_any_other_time_stays_as_it_is(time: Any) -> None:
    """The contract takes it, or rejects it."""
    assert microseconds(time) == time
