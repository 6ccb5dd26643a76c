"""The currency table comes from the kept library."""

from tools import currencies


def test_what_a_new_list_changes_is_kept() -> None:
    """A code that was retired, or got other decimals, was correct until then. Older entries of the table stay."""
    former = {"AAA": (("2020-01-01", 2),)}
    before = {"AAA": 3, "BBB": 2, "CCC": 0, "DDD": 2}
    listed = {"AAA": 0, "BBB": 2, "DDD": None, "EEE": 2}
    assert currencies.with_changes(former, before, listed, "2027-01-01") == {
        "AAA": (("2020-01-01", 2), ("2027-01-01", 3)),
        "CCC": (("2027-01-01", 0),),
        "DDD": (("2027-01-01", 2),),
    }
