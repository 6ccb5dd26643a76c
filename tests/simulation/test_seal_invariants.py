"""Each invariant of the sealed log can fail: one value of a correct run is changed, and the check must see it."""

import base64
import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger_cli.engine import Engine
from tests.simulation.entry_scenarios import REFUND, SECOND
from tests.simulation.observations import Moment, Observations, ViolationError
from tests.simulation.run import PAYMENT, Run, Simulator, intercepted_calls
from tests.simulation.seal_invariants import (
    MARKERS,
    SEALED,
    check_answer,
    check_everything_sealed,
    check_log,
    peaks_of,
    root_of,
)
from tests.simulation.seal_scenarios import ID, QUIET, REFUND_ID
from tests.simulation.test_invariants import GONE, change

Changes = Sequence[tuple[Sequence[Any], Any]]
LAST_ID = str(QUIET["TransactionID"])

FORGET: Changes = [(("observed", name), {}) for name in ("seals", "checkpoints", "sealed", "announced", "verified")]
"""The run has not seen the log before: so the checks of one moment alone must see the change."""


class Seen(NamedTuple):
    """A run that has ended: what the ledger holds, what the run has seen, and what the last sealer answered."""

    moment: Moment
    observed: Observations
    answer: dict[str, Any]
    sign: Callable[[str], bytes]


@pytest.fixture(scope="module")
def seen(deployed: tuple[Engine, list[float]]) -> Seen:
    """Return a run with a seal of a payment and its refund, and one of another refund and an imported payment."""
    engine, _ = deployed
    engine.clear()
    run = Run(Simulator(engine), {})
    run.has_faults = False
    with intercepted_calls(lambda: run):
        for name, delivered in {"payment": PAYMENT, "refund": REFUND}.items():
            run.deliver(delivered, name)
        run.seal()
        for name, delivered in {"second": {**SECOND, "Amount": "1.00"}, "quiet": QUIET}.items():
            run.deliver(delivered, name)
        answer = run.seal()

    def sign(text: str) -> bytes:
        signed: bytes = engine.client("kms").sign(
            KeyId=run.simulator.sealer.declared["SEAL_KEY_ARN"],
            Message=text.encode(),
            MessageType="RAW",
            SigningAlgorithm="ED25519_SHA_512",
        )["Signature"]
        return signed

    return Seen(copy.deepcopy(run.moment()), run.observed, answer, sign)


def check(seen: Seen, changes: Changes = ()) -> None:
    """Make all checks of the log, after the values at these paths were changed."""
    moment, observed, answer = copy.deepcopy(seen[:3])
    whole: dict[str, Any] = {
        "payments": dict(moment.payments),
        "entries": moment.entries[ID],
        "seals": list(moment.seals),
        "events": [event for event in moment.events if event["detail-type"] == SEALED],
        "observed": observed.__dict__,
        "answer": answer,
    }
    change(whole, changes)
    moment = Moment(whole["payments"], {ID: whole["entries"]}, whole["events"], whole["seals"])
    check_log(observed, moment)
    check_answer(whole["answer"], moment)
    check_everything_sealed(observed, whole["answer"], moment)


def test_a_correct_run_passes(seen: Seen) -> None:
    """Otherwise the changes below would prove nothing."""
    check(seen)
    check(seen, FORGET)
    assert [seal["Keys"]["S"].split("\n") for seal in seen.moment.seals] == [[ID, REFUND_ID], [f"{ID}#2", LAST_ID]]


def test_the_root_is_that_of_rfc_6962() -> None:
    """These are the roots of Certificate Transparency's own test, of trees with 1, 2, 3 and 8 leaves."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    hashes = [hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest() for leaf in leaves]
    assert {size: root_of(hashes[:size]).hex() for size in (0, 1, 2, 3, 8)} == {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    assert [len(peaks_of(hashes[:size])) for size in range(9)] == [0, 1, 1, 2, 1, 2, 2, 3, 1]
    assert peaks_of(hashes[:3]) == [root_of(hashes[:2]), hashes[2]]


def value(seen: Seen, *path: Any) -> Any:
    """Return the value at a path of the log's seals."""
    found: Any = seen.moment.seals
    for name in path:
        found = found[name]
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # The log only grows.
        ([(("seals", 0), GONE)], r"the seals have the numbers \[2\]"),
        ([(("seals", 1), GONE)], "seal 2 is gone"),
        ([(("seals", 1, "Seal", "N"), "3")], r"the seals have the numbers \[1, 3\]"),
        ([(("seals", 0, "SealedAt", "S"), "2026-02-01T00:00:00.000000Z")], "seal 1 was changed after"),
        ([(("seals", 0, "Note"), GONE)], "seal 1 has VerifierKey alone"),
        ([(("seals", 0, "VerifierKey"), GONE)], "seal 1 has Note alone"),
        ([(("seals", 0, "Note", "S"), "another")], "the checkpoint of seal 1 was changed"),
        ([(("seals", 0, "VerifierKey", "S"), "another")], "the checkpoint of seal 1 was changed"),
        ([(("seals", 0, "Note"), GONE), (("seals", 0, "VerifierKey"), GONE)], "the checkpoint of seal 1 was changed"),
        ([*FORGET, (("seals", 0, "Log", "S"), "another")], "seal 1 is in another log"),
        ([*FORGET, (("seals", 0, "SealedAt", "S"), "2026-02-01T00:00:00.000000Z")], "at which no sealer was due"),
        # A seal has what was recorded, once and in order.
        ([*FORGET, (("seals", 0, "Keys", "S"), f"{REFUND_ID}\n{ID}")], "seal 1 are not in the order of their keys"),
        ([*FORGET, (("seals", 1, "Keys", "S"), f"{LAST_ID}\n{ID}#2")], "seal 2 are not in the order of their keys"),
        ([*FORGET, (("seals", 0, "Keys", "S"), ID)], "seal 1 does not have as many keys as hashes"),
        ([*FORGET, (("seals", 0, "LeafHashes", "B"), b"0" * 32)], "seal 1 does not have as many keys as hashes"),
        ([*FORGET, (("seals", 0, "CiphertextHashes", "B"), b"0" * 96)], "seal 1 does not have as many keys as hashes"),
        ([*FORGET, (("seals", 0, "Keys", "S"), f"{ID}\n{ID}")], f"{ID} is in seal 1 and in seal 1"),
        (
            [*FORGET, (("observed", "leaves"), {}), (("observed", "tampered"), {LAST_ID})],
            f"seal 2 has {LAST_ID}, which nobody recorded",
        ),
        ([*FORGET, (("seals", 0, "Keys", "S"), f"{ID}\n{ID}#3")], f"seal 1 has {ID}#3, which nobody recorded"),
        ([*FORGET, (("seals", 0, "LeafHashes", "B"), b"0" * 64)], f"seal 1 does not have the leaf of {ID}"),
        ([*FORGET, (("seals", 0, "CiphertextHashes", "B"), b"0" * 64)], f"hash of the ciphertext of {ID}"),
        ([*FORGET, (("payments", ID, "Currency", "S"), "USD")], f"seal 1 does not have the leaf of {ID}"),
        ([*FORGET, (("payments", ID, "SecureToken", "B"), b"0")], f"hash of the ciphertext of {ID}"),
        ([*FORGET, (("payments", LAST_ID, "Metadata", "M"), {})], f"seal 2 does not have the leaf of {LAST_ID}"),
        ([*FORGET, (("entries", 0, "Amount", "S"), "1.00")], f"seal 1 does not have the leaf of {REFUND_ID}"),
        # Its sums are those of the whole log.
        ([*FORGET, (("seals", 1, "Root", "B"), b"0" * 32)], "the Root of seal 2 is not that of all leaves"),
        ([*FORGET, (("seals", 1, "PreviousRoot", "B"), b"0" * 32)], "the PreviousRoot of seal 2 is not"),
        ([*FORGET, (("seals", 0, "PreviousRoot", "B"), b"0" * 32)], "the PreviousRoot of seal 1 is not"),
        ([*FORGET, (("seals", 1, "Peaks", "B"), b"0" * 32)], "the Peaks of seal 2 is not that of all leaves"),
        ([*FORGET, (("seals", 1, "Size", "N"), "2")], "the Size of seal 2 is 2, and the log has 4"),
        # A record's marker says which seal has it.
        ([(("payments", ID, "Seal", "N"), "2")], f"the seal that {ID} is marked with was changed"),
        ([(("payments", ID, "Seal"), GONE), (("payments", ID, "Unsealed"), {"S": "4"})], "is marked with was changed"),
        ([*FORGET, (("payments", ID, "Seal", "N"), "2")], f"{ID} is marked with seal 2, and is not in it"),
        ([*FORGET, (("entries", 1, "Seal", "N"), "3")], f"{ID}#2 is marked with seal 3, and is not in it"),
        ([(("payments", ID, "Unsealed"), {"S": "4"})], "marked as sealed and as unsealed, or as neither"),
        ([(("payments", ID, "Seal"), GONE)], "marked as sealed and as unsealed, or as neither"),
        # What is published is true, always the same, and not too late.
        ([*FORGET, (("events", 0, "detail", "Seal"), 3)], "seal 3 was published, and the log does not have it"),
        ([*FORGET, (("events", 0, "detail", "Seal"), 0)], "seal 0 was published, and the log does not have it"),
        ([*FORGET, (("events", 0, "detail", "Size"), 3)], r"the event of seal 1 differs from it in \['Size'\]"),
        ([*FORGET, (("events", 1, "detail", "Records"), 4)], r"the event of seal 2 differs from it in \['Records'\]"),
        (
            [*FORGET, (("events", 0, "detail", "SealedAt"), "")],
            r"the event of seal 1 differs from it in \['SealedAt'\]",
        ),
        ([*FORGET, (("events", 0, "detail", "Outcome"), "")], r"the event of seal 1 differs from it in \['Outcome'\]"),
        ([(("events", 0, "detail", "OutcomeID"), "another")], "seal 1 was published with two contents"),
        ([(("events", 0, "detail", "More"), 1)], "seal 1 was published with two contents"),
        ([*FORGET, (("events", 0), GONE)], "seal 1 is finished, and was not published"),
        ([*FORGET, (("events", 1, "detail-type"), "Other")], "seal 2 is finished, and was not published"),
        # A seal is finished last, and before the next one.
        (
            [*FORGET, (("seals", 0, "Note"), GONE), (("seals", 0, "VerifierKey"), GONE)],
            "seal 1 is not finished, and another one follows it",
        ),
        (
            [*FORGET, (("payments", LAST_ID, "Seal"), GONE), (("payments", LAST_ID, "Unsealed"), {"S": "4"})],
            f"seal 2 is finished, and {LAST_ID} is not marked with it",
        ),
        # A sealer's answer is true.
        ([(("answer", "Seal"), 1)], r"answered for seal 1, and the log differs in \['Checkpoint', 'Size'\]"),
        ([(("answer", "Checkpoint"), None)], r"answered for seal 2, and the log differs in \['Checkpoint'\]"),
        ([(("answer", "VerifierKey"), None)], r"answered for seal 2, and the log differs in \['VerifierKey'\]"),
        ([(("answer", "Left"), 1)], "the sealer answered .* after a run without faults"),
        ([(("answer", "Done"), False)], "the sealer answered .* after a run without faults"),
    ],
)
def test_a_changed_value_is_seen(seen: Seen, changes: Changes, message: str) -> None:
    """The simulation would otherwise pass whatever the sealer does."""
    with pytest.raises(ViolationError, match=message):
        check(seen, changes)


def test_everything_is_sealed_at_the_end(seen: Seen) -> None:
    """Before, each of these is right: a sealer may still come."""
    moment, observed, answer, _ = seen
    unsealed = {"Unsealed": {"S": "4"}}
    item = {name: value for name, value in moment.payments[LAST_ID].items() if name not in MARKERS} | unsealed
    unmarked = moment._replace(payments={**moment.payments, LAST_ID: item})
    unfinished = {name: value for name, value in moment.seals[1].items() if name not in {"Note", "VerifierKey"}}
    for changed, message in (
        (moment._replace(payments={**moment.payments, "new": unsealed}), "new is in 0 seals"),
        (moment._replace(seals=moment.seals[:1]), "is in 0 seals after a run without faults"),
        (moment._replace(seals=[*moment.seals, moment.seals[0]]), f"{ID} is in 2 seals"),
        (unmarked, f"{LAST_ID} is not marked after a run without faults"),
        (moment._replace(seals=[moment.seals[0], unfinished]), "seal 2 is not finished after a run without faults"),
    ):
        with pytest.raises(ViolationError, match=message):
            check_everything_sealed(observed, answer, changed)
    with pytest.raises(ViolationError, match="the sealer answered None"):
        check_everything_sealed(observed, None, moment)
    check_everything_sealed(observed, answer, moment)


def test_a_record_is_in_one_seal(seen: Seen) -> None:
    """The first seal's records are in the second one too, which is right in every other way."""
    first, second = seen.moment.seals
    again = {
        **second,
        "Keys": first["Keys"],
        **{name: {"B": value(seen, 0, name, "B")} for name in ("LeafHashes", "CiphertextHashes")},
    }
    with pytest.raises(ViolationError, match=f"{ID} is in seal 1 and in seal 2"):
        check(seen, [*FORGET, (("seals", 1), again)])


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        (lambda text: text.replace("\n4\n", "\n5\n"), "has another size or root"),
        (lambda text: text.replace("\n4\n", "\n2\n"), "has another size or root"),
        (lambda text: text[: text.index("\n4\n")] + f"\n4\n{base64.b64encode(b'0' * 32).decode()}\n", "size or root"),
        (lambda text: f"another/{text}", "names another log or key"),
        (lambda text: text.replace("\n4\n", "\nfour\n"), "does not verify"),
        (lambda text: f"{text}more\n", "does not verify"),
    ],
)
def test_a_signed_checkpoint_says_what_the_log_has(seen: Seen, altered: Callable[[str], str], message: str) -> None:
    """Here the signature is right, and what it signs is not."""
    note = value(seen, 1, "Note", "S")
    text, _, line = note.partition("\n\n")
    text = altered(f"{text}\n")
    prefix, _, signed = line.rpartition(" ")
    signature = base64.b64encode(base64.b64decode(signed)[:4] + seen.sign(text)).decode()
    other = f"{text}\n{prefix} {signature}\n"
    with pytest.raises(ViolationError, match=message):
        check(seen, [*FORGET, (("seals", 1, "Note", "S"), other), (("events", 1, "detail", "Checkpoint"), other)])


def test_a_checkpoint_has_the_signature_of_the_seal_key(seen: Seen) -> None:
    """Another key, another name of it, and another form are all seen, in the log and in the event."""
    note, key = value(seen, 1, "Note", "S"), value(seen, 1, "VerifierKey", "S")
    text, _, line = note.partition("\n\n")
    prefix, _, signed = line.rpartition(" ")
    raw = base64.b64decode(signed)
    by_another = Ed25519PrivateKey.generate().sign(f"{text}\n".encode())
    forged = [
        f"{text}\n\n{prefix} {base64.b64encode(raw[:4] + by_another).decode()}\n",
        f"{text}\n\n{prefix} {base64.b64encode(b'0000' + raw[4:]).decode()}\n",
        f"{text}\n\n{prefix}x {signed}",
        note.removesuffix("\n"),
        note.replace("\n4\n", "\n5\n"),
        "",
    ]
    for other in forged:
        with pytest.raises(ViolationError, match=r"does not verify|names another log or key"):
            check(seen, [*FORGET, (("seals", 1, "Note", "S"), other)])
        with pytest.raises(ViolationError, match=r"does not verify|names another log or key"):
            check(seen, [*FORGET, (("events", 1, "detail", "Checkpoint"), other)])
    for place in (("seals", 1, "VerifierKey", "S"), ("events", 1, "detail", "VerifierKey")):
        with pytest.raises(ViolationError, match="is not the seal key"):
            check(seen, [*FORGET, (place, key.replace("A", "B"))])


def test_the_event_has_the_checkpoint_of_the_log(seen: Seen) -> None:
    """Two notes that both verify are still two: a consumer could not compare them as texts."""
    observed = copy.deepcopy(seen.observed)
    observed.verified["another", "key"] = (4, value(seen, 1, "Root", "B"))
    observed.announced.clear()
    detail = {"Checkpoint": "another", "VerifierKey": "key"}
    events = [
        {**event, "detail": {**event["detail"], **(detail if event["detail"].get("Seal") == 2 else {})}}
        for event in seen.moment.events
    ]
    with pytest.raises(ViolationError, match="seal 2 was published with another checkpoint than it has"):
        check_log(observed, seen.moment._replace(events=events))


def test_two_seals_have_two_outcome_ids(seen: Seen) -> None:
    """A consumer drops repeats by OutcomeID, and would drop the second seal."""
    first = next(event for event in seen.moment.events if event["detail-type"] == SEALED)["detail"]["OutcomeID"]
    with pytest.raises(ViolationError, match="two seals were published under one OutcomeID"):
        check(seen, [*FORGET, (("events", 1, "detail", "OutcomeID"), first)])


def test_a_record_from_before_the_log_may_be_without_marker(seen: Seen) -> None:
    """No other record may, and not once it is sealed."""
    observed = copy.deepcopy(seen.observed)
    observed.from_before_the_log.add(ID)
    check_log(observed, seen.moment)
    payment = {name: value for name, value in seen.moment.payments[ID].items() if name not in MARKERS}
    with pytest.raises(ViolationError, match=f"seal that {ID} is marked with was changed"):
        check_log(observed, seen.moment._replace(payments={**seen.moment.payments, ID: payment}))
