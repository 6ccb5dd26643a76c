"""The leaf of a record: canonical JSON with nothing that could be read in two ways."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.leaf import ENTRY_SCHEMA, PAYMENT_SCHEMA, canonical, leaf_of
from tests.support.sealed_log import VECTORS

PAYMENT, ENTRY = (record["Facts"] for record in VECTORS["Records"])
CIPHERTEXT_HASH = bytes(range(32))


@pytest.mark.parametrize(("facts", "schema"), [(PAYMENT, PAYMENT_SCHEMA), (ENTRY, ENTRY_SCHEMA)])
def test_a_leaf_is_canonical_json_of_facts_schema_and_ciphertext(facts: dict[str, Any], schema: str) -> None:
    """A verifier that somebody else wrote makes the same bytes with any library for RFC 8785."""
    whole = {**facts, "Schema": schema, "CiphertextSHA256": CIPHERTEXT_HASH.hex()}
    assert leaf_of(facts, CIPHERTEXT_HASH) == rfc8785.dumps(whole)


@pytest.mark.parametrize("name", ["Schema", "CiphertextSHA256"])
@pytest.mark.parametrize("facts", [PAYMENT, ENTRY])
def test_a_record_cannot_bring_what_only_the_leaf_has(name: str, facts: dict[str, Any]) -> None:
    """The leaf would replace the field, so somebody could add it to an exported record without being noticed."""
    with pytest.raises(ValueError, match="field of the leaf"):
        leaf_of({**facts, name: "anything"}, CIPHERTEXT_HASH)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=127)),
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS | st.dictionaries(st.just("a"), TEXTS),
    )
)
def test_canonical_json_is_that_of_the_rfc(value: dict[str, Any]) -> None:
    """Each value of a record is of one of these kinds."""
    assert canonical(value).encode() == rfc8785.dumps(value)
