"""A verification names each record that is not as it was sealed, and proves nothing that it cannot."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.chain import DeliveredEntry, next_entry
from ledger.entry import parse_entry
from ledger.leaf import canonical
from ledger.payment import Payment
from ledger.seal import Seal, seal_view
from ledger_cli import ROOT
from ledger_cli.books.export import Export, line_of, line_of_seal
from ledger_cli.sealed_log.notes import Checkpoint
from ledger_cli.sealed_log.verification import Findings, Head, UnverifiableExportError, verify
from tests.support.sealed import LogKey, payment_facts, seals_of, write_export

KEY = LogKey()
FACTS = [payment_facts(number) for number in range(12)]
GROUPS = [[FACTS[3], FACTS[1]], [FACTS[0]], [FACTS[2], FACTS[7], FACTS[5]], [FACTS[4], FACTS[6]]]
SEALS = seals_of(GROUPS)
RECORDS = sorted((one for group in GROUPS for one in group), key=lambda one: one["TransactionID"])


def ids(*numbers: int) -> list[str]:
    """Return the IDs of these payments."""
    return [FACTS[number]["TransactionID"] for number in numbers]


def verified(path: Path, *seals: Seal, notes: Sequence[str] = ()) -> Findings:
    """Return what a verification finds against the checkpoints of these seals."""
    found = Findings()
    texts = [*(KEY.checkpoint(one) for one in seals or SEALS[-1:]), *notes]
    heads = [Head(f"checkpoint {number}", Checkpoint.parse(text)) for number, text in enumerate(texts, 1)]
    for _ in verify(Export.open(path), heads, found):
        pass
    return found


def test_what_is_as_it_was_sealed_is_proven(tmp_path: Path) -> None:
    """Against the newest checkpoint, and against every older one at once."""
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    for seals in (SEALS[-1:], SEALS):
        found = verified(path, *seals)
        assert found == Findings(proven=8)
        assert found.is_all_proven


def test_an_entry_is_proven_with_its_payment(tmp_path: Path) -> None:
    """Its leaf has its totals, its acceptance and the hash of the entry before it."""
    payment = Payment.from_state(FACTS[0])
    start_input = json.loads((ROOT / "events/start/10-refund.json").read_text())
    entry = parse_entry({**start_input, "TransactionID": payment.transaction_id, "Amount": "0.10"})
    recorded = next_entry(payment, [], DeliveredEntry(entry, "arn:1", FACTS[0]["RecordedAt"])).facts()
    seals = seals_of([[FACTS[0]], [recorded]])
    path = write_export(tmp_path / "export", seals, [FACTS[0], recorded])
    assert verified(path, *seals) == Findings(proven=2)
    changed = {**recorded, "Totals": {**recorded["Totals"], "Refunded": "0.00"}}
    path = write_export(tmp_path / "changed", seals, [FACTS[0], changed])
    assert verified(path, *seals).changed == [f"{payment.transaction_id}#1"]


def test_what_is_newer_than_the_checkpoint_is_not_proven(tmp_path: Path) -> None:
    """Nothing is wrong with it, and nothing says that it will stay."""
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    found = verified(path, SEALS[1])
    assert (found.proven, found.later, found.is_wrong, found.is_all_proven) == (3, 5, False, False)
    young = {**FACTS[9], "RecordedAt": "2026-11-23T08:59:00.000000Z"}
    path = write_export(tmp_path / "more", SEALS, [*RECORDS, young])
    found = verified(path)
    assert (found.proven, found.unsealed, found.is_wrong, found.is_all_proven) == (8, ids(9), False, False)


def test_a_record_that_no_seal_has_for_a_day_is_extra(tmp_path: Path) -> None:
    """The sealer runs every five minutes: somebody keeps this one from it, or has slipped it in."""
    old = {**FACTS[9], "RecordedAt": "2026-11-22T08:59:59.000000Z"}
    found = verified(write_export(tmp_path / "export", SEALS, [*RECORDS, old]))
    assert (found.extra, found.is_wrong) == (ids(9), True)


def changes_of(facts: dict[str, Any]) -> list[str]:
    """Return lines in which one byte of a record's line is another one, for each byte."""
    line = line_of(facts).encode()
    return [(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]).decode("utf-8", "replace") for at in range(len(line))]


def test_any_changed_byte_of_a_record_is_named(tmp_path: Path) -> None:
    """Exhaustively: each byte of one record's line. The file's own hash is made again, as a forger would."""
    others = [one for one in RECORDS if one is not FACTS[2]]
    line = line_of(FACTS[2])
    for at, changed in enumerate(changes_of(FACTS[2])):
        lines: list[Any] = [*others[:2], changed, *others[2:]]
        found = verified(write_export(tmp_path / "export", SEALS, lines))
        assert found.is_wrong, at
        named = {*found.changed, *found.missing}
        assert ids(2)[0] in named, (at, line[at])
        assert found.proven >= 6, at  # an ID may become that of the next record, which is there twice then


@pytest.mark.parametrize("dropped", range(8))
def test_a_dropped_record_is_missing(tmp_path: Path, dropped: int) -> None:
    """Also if nothing else of the file says so."""
    kept = [*RECORDS[:dropped], *RECORDS[dropped + 1 :]]
    found = verified(write_export(tmp_path / "export", SEALS, kept))
    assert (found.missing, found.proven) == ([RECORDS[dropped]["TransactionID"]], 7)


def test_a_record_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Sums over the export would count it twice."""
    found = verified(write_export(tmp_path / "export", SEALS, [*RECORDS[:3], RECORDS[2], *RECORDS[3:]]))
    assert (found.extra, found.proven) == (ids(2), 8)


def test_a_record_out_of_order_is_named(tmp_path: Path) -> None:
    """An export has one order, so that the same records give the same text."""
    found = verified(write_export(tmp_path / "export", SEALS, [RECORDS[1], RECORDS[0], *RECORDS[2:]]))
    assert found.faults == [f"{ids(0)[0]} is out of order"]
    assert found.proven == 8


def test_a_damaged_item_is_not_missing(tmp_path: Path) -> None:
    """The export names it in its first line: the ledger has it, and cannot read it."""
    damaged = [{"TransactionID": ids(5)[0], "Attribute": "Fingerprint"}]
    kept = [one for one in RECORDS if one is not FACTS[5]]
    found = verified(write_export(tmp_path / "export", SEALS, kept, damaged))
    assert (found.changed, found.missing) == (ids(5), [])


FORGED = {**FACTS[5], "Metadata": {"order": "forged"}}


def test_a_rewritten_tail_is_named_by_its_seals(tmp_path: Path) -> None:
    """A forger who may write everything makes new leaves and roots. No signed checkpoint fits them."""
    groups = [GROUPS[0], GROUPS[1], [FACTS[2], FACTS[7], FORGED], GROUPS[3]]
    records = [FORGED if one is FACTS[5] else one for one in RECORDS]
    path = write_export(tmp_path / "export", seals_of(groups), records)
    found = verified(path, *SEALS)
    wrong = "the log is not the one that was signed"
    assert found.faults == [
        f"checkpoint 3: {wrong}: seal 3 had other records when the checkpoint of 6 was made",
        f"checkpoint 4: {wrong}: seals 3 to 4 had other records when the checkpoint of 8 was made",
    ]
    assert (found.proven, found.later) == (3, 5)


def test_a_log_that_was_cut_is_shorter_than_its_checkpoint(tmp_path: Path) -> None:
    """A forger who removes the newest records removes their seal as well."""
    records = [one for one in RECORDS if one not in GROUPS[3]]
    path = write_export(tmp_path / "export", SEALS[:3], records)
    assert verified(path, *SEALS[:3]) == Findings(proven=6)
    found = verified(path, *SEALS)
    (fault,) = found.faults
    assert fault.startswith("checkpoint 4: the checkpoint has 8 records, and the log only 6")


def test_a_checkpoint_of_another_log_is_a_fault(tmp_path: Path) -> None:
    """Two ledgers may have the same records by chance, such as none."""
    other = LogKey(origin="another/log").checkpoint(SEALS[-1])
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    found = verified(path, SEALS[-1], notes=[other])
    assert found.faults == ["checkpoint 2: a checkpoint of another log, another/log"]


def test_a_log_that_forked_does_not_continue_the_older_checkpoint(tmp_path: Path) -> None:
    """The newest checkpoint fits, and an older one does not: two logs were shown to two parties."""
    fork = seals_of([[FACTS[3], FORGED]])[0]
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    found = verified(path, SEALS[-1], notes=[KEY.checkpoint(fork)])
    (fault,) = found.faults
    assert fault.startswith("checkpoint 2: the log is not the one that was signed: seal 1 had other records")
    assert found.proven == 8


def forged_seal(number: int, **changes: Any) -> list[Seal | str]:
    """Return the log with one seal whose line has these changes."""
    view = {**seal_view(SEALS[number - 1]), **changes}
    return [*SEALS[: number - 1], line_of_seal(view), *SEALS[number:]]


def test_a_changed_seal_is_named(tmp_path: Path) -> None:
    """Its root, its size, its records and its place are all checked again."""
    other_leaves = seal_view(seals_of([[FACTS[8], FACTS[9], FACTS[10]]])[0])["LeafHashes"]
    cases: list[tuple[list[Seal | str], str]] = [
        (forged_seal(3, Root=seal_view(SEALS[0])["Root"]), "seal 3: its size or root"),
        (forged_seal(3, Size=7), "seal 3: its size or root"),
        (
            forged_seal(3, LeafHashes=other_leaves),
            "seal 3: its size or root",
        ),
        ([*SEALS[:1], *SEALS[2:]], "seal 2 is missing"),
        ([*SEALS[:2], SEALS[1], *SEALS[2:]], "seal 3 is missing"),
        (forged_seal(4, Log="another"), "seal 4 is missing, or is of another log"),
        (forged_seal(3, Keys=seal_view(SEALS[2])["Keys"][::-1]), "seal 3: its records are not in order"),
        (forged_seal(4, Keys=ids(4, 5)), f"{ids(5)[0]} was sealed twice"),
    ]
    for seals, message in cases:
        found = verified(write_export(tmp_path / "export", seals, RECORDS))
        assert any(fault.startswith(message) for fault in found.faults), (message, found.faults)
        assert found.is_wrong


@pytest.mark.parametrize(
    "changes",
    [
        {"Keys": ["a#0"]},
        {"Keys": 7},
        {"LeafHashes": "AAAA"},
        {"CiphertextHashes": "no base64!"},
        {"Seal": None},
        {"Log": 7},
    ],
    ids=str,
)
def test_a_line_that_is_not_a_seal_is_one_line_of_complaint(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Nothing behind it can be judged."""
    path = write_export(tmp_path / "export", forged_seal(2, **changes), RECORDS)
    if changes.keys() & {"Log", "Seal"}:
        assert verified(path).is_wrong
        return
    with pytest.raises(UnverifiableExportError, match=r"\Aseal 2 of the export is damaged: export again\Z"):
        verified(path)


def test_an_export_without_seals_proves_nothing(tmp_path: Path) -> None:
    """The message says how to make one that has them."""
    path = write_export(tmp_path / "export", [], RECORDS)
    with pytest.raises(UnverifiableExportError, match="ledger export FILE --as-of-seal last"):
        verified(path)


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    """Wherever it was cut, and what is missing is named as well."""
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    lines = path.read_text().splitlines(keepends=True)
    for kept in range(5, len(lines)):
        path.write_text("".join(lines[:kept]))
        found = verified(path)
        assert "the export is cut off: its last line is missing" in found.faults
        assert len(found.missing) == len(lines) - 1 - kept


@given(data=st.data())
@settings(max_examples=60)
def test_nothing_is_proven_that_was_not_sealed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is changed, dropped, added, repeated or moved: it is named, and all others are proven."""
    records: list[Any] = list(RECORDS)
    at = data.draw(st.integers(0, 7))
    kind = data.draw(st.sampled_from(["change", "drop", "add", "repeat", "move"]))
    name = records[at]["TransactionID"]
    if kind == "change":
        field = data.draw(st.sampled_from(sorted(records[at])))
        records[at] = {
            **records[at],
            field: data.draw(st.text(max_size=5).filter(lambda text: text != records[at][field])),
        }
    elif kind == "drop":
        del records[at]
    elif kind == "add":
        records.insert(at, {**payment_facts(20 + at), "RecordedAt": "2026-01-01T00:00:00.000000Z"})
        name = records[at]["TransactionID"]
    elif kind == "repeat":
        records.insert(at, records[at])
    else:
        to = data.draw(st.integers(0, 7).filter(lambda to: to != at))
        records.insert(to, records.pop(at))
        name = ""
    found = verified(write_export(tmp_path_factory.mktemp("log") / "export", SEALS, records))
    assert found.is_wrong
    named = {*found.changed, *found.missing, *found.extra}
    assert name in named or kind == "move"
    assert found.proven + len({one for one in named if one in {f["TransactionID"] for f in RECORDS}}) >= 8


FRAMES = {
    "as_of_seal": ({"as_of_seal": 3}, "the first line of the export names another seal than its last one"),
    "number": ({"records": 9}, "the first line of the export has another number of records"),
    "processors": (
        {"processors": ["acme-pay"]},
        "the first line of the export says that it has only a part of the ledger",
    ),
    "as_of": ({"as_of": "2026-11-23T08:30:00.000000Z"}, "the first line of the export says that it has only a part"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_the_first_line_is_compared_with_the_rest(tmp_path: Path, case: str) -> None:
    """Nobody has signed it."""
    changes, message = FRAMES[case]
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    first, rest = path.read_text().split("\n", 1)
    made = [canonical({**json.loads(first), **changes}), *rest.split("\n")[:-2]]
    digest = hashlib.sha256("".join(f"{line}\n" for line in made).encode()).hexdigest()
    end = canonical({"record": "end", "payments": 8, "entries": 0, "sha256": digest})
    path.write_text("\n".join([*made, end, ""]))
    (fault,) = verified(path).faults
    assert fault.startswith(message)


def test_the_last_line_is_compared_with_the_rest(tmp_path: Path) -> None:
    """What stands behind it is no part of the export, and its sums are those of the lines before."""
    path = write_export(tmp_path / "export", SEALS, RECORDS)
    text = path.read_text()
    path.write_text(text + "more\n")
    assert verified(path).faults == [f"line {len(text.splitlines()) + 1} of the export is behind its last line"]
    for old, new in (('"payments":8', '"payments":7'), ('"sha256":"', '"sha256":"0'), ('"entries":0,', "")):
        path.write_text(text.replace(old, new))
        (fault,) = verified(path).faults
        assert fault == "the export was changed after it was written: its last line has other sums"


TOKENS = {"SecureToken": "YQ==", "TokenKey": "arn:aws:kms:key"}


@pytest.mark.parametrize(
    ("ciphertext", "added"),
    [(False, TOKENS), (False, {"TokenKey": "x"}), (True, {}), (True, {"SecureToken": "YQ=="}), (True, TOKENS)],
    ids=str,
)
def test_ciphertexts_come_only_where_they_belong(tmp_path: Path, *, ciphertext: bool, added: dict[str, str]) -> None:
    """A field that no leaf has must not get into an export unnoticed."""
    records = [{**RECORDS[0], **added}, *RECORDS[1:]]
    found = verified(write_export(tmp_path / "export", SEALS, records, ciphertext=ciphertext))
    assert ids(0)[0] in found.changed


def test_a_seal_whose_own_checkpoint_is_anothers_is_named(tmp_path: Path) -> None:
    """A reader might take it from there."""
    for note in (KEY.checkpoint(SEALS[0]), "nonsense", 7):
        found = verified(write_export(tmp_path / "export", forged_seal(2, Checkpoint=note), RECORDS))
        assert found.faults == ["seal 2: its checkpoint is not that of the records up to it"]
    own = write_export(tmp_path / "export", forged_seal(2, Checkpoint=KEY.checkpoint(SEALS[1])), RECORDS)
    assert verified(own).is_all_proven


@pytest.mark.parametrize("name", ["Peaks", "PreviousRoot"])
def test_each_part_of_a_seal_is_computed_again(tmp_path: Path, name: str) -> None:
    """A proof is made of the peaks."""
    found = verified(write_export(tmp_path / "export", forged_seal(3, **{name: seal_view(SEALS[0])[name]}), RECORDS))
    assert found.faults == ["seal 3: its size or root is not that of the records up to it"]


def test_a_record_that_two_seals_have_alike_is_repeated(tmp_path: Path) -> None:
    """That takes nothing from the proof; with different contents, it does."""
    seals = seals_of([GROUPS[0], [FACTS[1]]])
    path = write_export(tmp_path / "export", seals, [FACTS[1], FACTS[3]])
    assert verified(path, seals[-1]) == Findings(proven=2, repeated=ids(1))
    seals = seals_of([GROUPS[0], [{**FACTS[1], "Metadata": {}}]])
    found = verified(write_export(tmp_path / "export", seals, [FACTS[1], FACTS[3]]), seals[-1])
    assert found.faults == [f"{ids(1)[0]} was sealed twice, with different contents"]


@pytest.mark.parametrize("sealed_at", ["yesterday", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
def test_a_strange_time_of_a_seal_is_no_fault_of_the_command(tmp_path: Path, sealed_at: str) -> None:
    """Nobody has signed the times of the seals."""
    path = write_export(tmp_path / "export", forged_seal(4, SealedAt=sealed_at), RECORDS)
    if sealed_at == "yesterday":
        with pytest.raises(UnverifiableExportError):
            verified(path)
    else:
        assert verified(path).proven == 8
