"""IDs of other systems as identifiers: the rule of docs/integrate/contract.md, computed here in another way."""

import hashlib
import json
import os
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.fields import IDENTIFIER
from ledger.identifiers import ORIGINAL_TRANSACTION_ID, mapped_identifier
from ledger_cli import ROOT

RULE = (ROOT / "docs/integrate/contract.md").read_text().partition("## IDs of other systems")[2].partition("\n## ")[0]
VECTORS = [
    (json.loads(original) * int(times or 1), identifier)
    for original, times, identifier in re.findall(r"^\| `(\".*\")`(?: × (\d+))? \| `(.*)` \|$", RULE, re.MULTILINE)
]


def test_the_page_has_a_vector_of_each_case() -> None:
    """A sender in another language has nothing else to check its own code with."""
    kept = [original for original, identifier in VECTORS if original == identifier]
    mapped = [original for original, identifier in VECTORS if original != identifier]
    assert any(len(original) == 64 for original in kept)
    assert any(len(original) == 65 for original in mapped)
    assert any("_sha256_" in original for original in mapped)
    assert any(not original.isascii() for original in mapped)
    for character in ".:/{ ":
        assert any(character in original for original in mapped)


@pytest.mark.parametrize(("original", "identifier"), VECTORS)
def test_a_vector_of_the_page_is_right(original: str, identifier: str) -> None:
    """Senders have computed TransactionIDs with it: another result would be another payment."""
    assert mapped_identifier(original) == identifier


def test_the_page_has_the_rule_as_a_shell_computes_it() -> None:
    """People copy this line, so it must be correct, also for bytes that are not letters."""
    (line,) = re.findall(r"^printf .*$", RULE, re.MULTILINE)
    for original, identifier in VECTORS:
        if original != identifier:
            environment = {**os.environ, "id": original}
            printed = subprocess.check_output(["/bin/bash", "-c", line], env=environment)  # noqa: S603  # our own page
            assert printed.decode() == f"{identifier}\n"


@given(original=st.text(min_size=1, max_size=200) | st.from_regex(r"[\w.:/{}-]{1,80}", fullmatch=True))
def test_every_id_becomes_an_identifier(original: str) -> None:
    """No ID of a processor may be rejected, and a valid one stays the text that people search for."""
    identifier = mapped_identifier(original)
    assert IDENTIFIER.fullmatch(identifier)
    if IDENTIFIER.fullmatch(original) and "_sha256_" not in original:
        assert identifier == original
    else:
        assert identifier == original or identifier.endswith(hashlib.sha256(original.encode()).hexdigest()[:32])


@given(original=st.text(min_size=1, max_size=80))
def test_no_two_ids_become_one(original: str) -> None:
    """Two payments under one TransactionID are a conflict, and one of them is not recorded.

    The hardest pair: an ID, and another that is written as the first one is mapped.
    """
    looks_mapped = mapped_identifier(original)
    originals = {original, looks_mapped, mapped_identifier(looks_mapped)}
    assert len({mapped_identifier(one) for one in originals}) == len(originals)


HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize("readable", ["a", "Z9_-", "x" * 24])
def test_an_id_that_looks_mapped_is_mapped(readable: str) -> None:
    """Otherwise it could be confused with the ID that is mapped to it."""
    assert mapped_identifier(f"{readable}_sha256_{HASH}") != f"{readable}_sha256_{HASH}"


@pytest.mark.parametrize(
    "original", [f"_sha256_{HASH}", f"a_sha256_{HASH[1:]}", f"a_sha256_{HASH.upper()}", f"a_sha1_{HASH}"]
)
def test_an_id_that_does_not_quite_look_mapped_is_kept(original: str) -> None:
    """No ID is mapped to it, and a valid ID stays the text that people search for."""
    assert mapped_identifier(original) == original


def test_the_page_names_the_key_of_the_original() -> None:
    """People find a processor's ID under one key, whichever program mapped it."""
    assert f"`{ORIGINAL_TRANSACTION_ID}`" in RULE


@pytest.mark.parametrize("original", ["", "\ud800", "id-\udfff"])
def test_what_is_not_text_is_not_mapped(original: str) -> None:
    """The text has no bytes to hash. The contract rejects it by a rule, but after an error it would come for days."""
    assert mapped_identifier(original) == original
    assert not IDENTIFIER.fullmatch(original)
