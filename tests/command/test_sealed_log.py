"""`ledger seal`, `checkpoint`, `verify`, `prove`, and exports as of a seal: on a served stack, and offline."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ledger.item import recorded_facts
from ledger.payment import Payment
from ledger_cli import ROOT
from ledger_cli.books.export import Export
from ledger_cli.engine import Engine, account, template
from ledger_cli.sealed_log.memory import path_of
from ledger_cli.sealed_log.proof_file import ProofFile
from tests.support.cli import ledger
from tests.support.dynamodb_exports import write_export as write_table
from tests.support.sealed import LogKey, payment_facts, seals_of, write_export

SAMPLES = ("01-success", "02-failure", "10-refund")
KEYS = ["txn-2026-0001", "txn-2026-0001#1", "txn-2026-0002"]


class Folder:
    """A folder, and the commands in it, at an endpoint where nothing answers."""

    def __init__(self, folder: Path, endpoint: str = "http://127.0.0.1:9") -> None:
        self.folder, self.endpoint = folder, endpoint

    def run(self, *arguments: str, status: int = 0) -> str:
        """Return the standard output of a command; its standard error if it fails."""
        done = ledger(*arguments, folder=self.folder, LEDGER_ENDPOINT_URL=self.endpoint)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status < 2 else done.stderr

    def found(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """Return what `ledger verify` finds."""
        found: dict[str, Any] = json.loads(self.run("verify", "--json", *arguments, status=status))
        return found


class Ledger(Folder):
    """A served ledger, and the commands on it."""

    def __init__(self, engine: Engine, endpoint: str, folder: Path) -> None:
        super().__init__(folder, endpoint)
        self.engine = engine

    def start(self, *samples: str) -> None:
        """Record samples."""
        for name in samples:
            assert self.engine.run((ROOT / f"events/start/{name}.json").read_text()).outcome == "RECORDED"

    def save(self, name: str, *arguments: str) -> str:
        """Write the output of a command to a file, and return the file's name."""
        (self.folder / name).write_text(self.run(*arguments))
        return name

    def change(self, transaction_id: str, expression: str, **values: Any) -> None:
        """Change a payment's item behind the ledger's back."""
        self._update("TableName", {"TransactionID": {"S": transaction_id}}, expression, values)

    def change_first_seal(self, expression: str, **values: Any) -> None:
        """Change the first seal's item behind the ledger's back."""
        item = self.engine.seals()[0]
        self._update("SealsTableName", {name: item[name] for name in ("Log", "Seal")}, expression, values)

    def _update(self, output: str, key: Mapping[str, Any], expression: str, values: Mapping[str, Any]) -> None:
        self.engine.client("dynamodb").update_item(
            TableName=self.engine.outputs[output],
            Key=key,
            UpdateExpression=expression,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )

    def delete(self, transaction_id: str) -> None:
        """Delete a payment's item behind the ledger's back."""
        self.engine.client("dynamodb").delete_item(
            TableName=self.engine.outputs["TableName"], Key={"TransactionID": {"S": transaction_id}}
        )


@pytest.fixture
def served(engine: Engine, endpoint: str, tmp_path: Path) -> Ledger:
    """Return a served ledger that has nothing."""
    return Ledger(engine, endpoint, tmp_path)


@pytest.fixture
def sealed(served: Ledger) -> Ledger:
    """Return a served ledger with three sealed records in two seals."""
    served.start(*SAMPLES[:1])
    served.run("seal")
    served.start(*SAMPLES[1:])
    served.run("seal")
    return served


def test_a_run_says_what_it_sealed(served: Ledger) -> None:
    """A person sees at once whether anything is left."""
    served.start(*SAMPLES)
    assert served.run("seal").strip() == "3 records sealed; the log has 3 in 1 seals"
    answer = json.loads(served.run("seal", "--json"))
    assert {name: answer[name] for name in ("sealed", "seal", "size", "left", "done")} == {
        "sealed": 0, "seal": 1, "size": 3, "left": 0, "done": True
    }  # fmt: skip


def test_a_run_that_leaves_records_says_what_to_do(served: Ledger) -> None:
    """The exit status is 1: the answer is not all of it."""
    served.start(*SAMPLES)
    served.change("txn-2026-0002", "SET Amount = :a", a={"N": "7"})
    text = " ".join(served.run("seal", status=1).split())
    assert text == (
        "2 records sealed; the log has 2 in 1 seals; 1 cannot be sealed: see docs/operate/runbook.md#unsealed"
    )


def test_records_from_before_the_log_are_sealed_from_an_export(served: Ledger) -> None:
    """An older ledger gets its whole history into the log with one command."""
    served.start(*SAMPLES)
    for item in (*served.engine.items(), *served.engine.entries()):
        table = served.engine.outputs["EntriesTableName" if "Entry" in item else "TableName"]
        old = {name: value for name, value in item.items() if name != "Unsealed"}
        served.engine.client("dynamodb").put_item(TableName=table, Item=old)
    assert "0 records sealed" in served.run("seal")
    served.run("export", "all.jsonl", "--processor", "acme-pay")
    assert "3 records sealed" in served.run("seal", "--records", "all.jsonl")
    assert served.found()["proven"] == 3


def test_without_a_seal_each_command_says_what_to_do(served: Ledger) -> None:
    """A new ledger has no log yet."""
    served.start("01-success")
    for arguments in (("checkpoint",), ("verify",)):
        assert served.run(*arguments, status=2) == "ledger: the log has no seal yet: run `ledger seal`\n"
    assert "no seal has it yet: run `ledger seal`" in served.run("prove", "txn-2026-0001", status=2)


def test_checkpoints_are_printed_for_a_file(sealed: Ledger) -> None:
    """The newest, or that of a seal, or the key."""
    newest, first = sealed.run("checkpoint"), sealed.run("checkpoint", "--seal", "1")
    assert [text.split("\n")[1] for text in (newest, first)] == ["3", "1"]
    assert sealed.run("checkpoint", "--key").strip() == json.loads(sealed.run("checkpoint", "--json"))["verifier_key"]
    message = sealed.run("checkpoint", "--seal", "3", status=2)
    assert message == "ledger: the log has no finished seal 3: its last one is 2\n"


def test_a_stack_is_verified_and_remembered(sealed: Ledger) -> None:
    """The first time, nothing but the stack says which key is the log's: the output says so."""
    first = sealed.run("verify")
    assert "compare it once with the key that its operator publishes" in " ".join(first.split())
    assert first.endswith("Proven: each record is as it was sealed, and none is missing.\n")
    again = sealed.found()
    assert (again["is_proven"], again["proven"], again["checkpoints"]) == (True, 3, 2)
    assert "Trust" not in sealed.run("verify")


def test_what_is_not_sealed_yet_is_left_out(sealed: Ledger) -> None:
    """A ledger at work always has some records that wait for the next seal."""
    sealed.start("04-zero-decimal-currency")
    assert sealed.found()["proven"] == 3
    sealed.run("seal")
    assert sealed.found()["proven"] == 4


CHANGES = {
    "metadata": ("SET Metadata = :v", {"M": {}}),
    "time": ("SET RecordedAt = :v", {"S": "2026-11-26T00:00:00.000000Z"}),
    "amount": ("SET Amount = :v", {"N": "75.01"}),
    "execution": ("SET Execution = :v", {"S": "arn:another"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_item_is_named(sealed: Ledger, change: str) -> None:
    """Also if the item is so damaged that the ledger cannot read it."""
    expression, value = CHANGES[change]
    sealed.change("txn-2026-0002", expression, v=value)
    found = sealed.found(status=1)
    assert (found["changed"], found["missing"], found["proven"]) == (["txn-2026-0002"], [], 2)


def test_a_changed_payment_and_its_entries(sealed: Ledger) -> None:
    """A payment that cannot be read hides its entries: they are named with it."""
    sealed.change("txn-2026-0001", "SET Amount = :v", v={"N": "1"})
    found = sealed.found(status=1)
    assert "txn-2026-0001" in found["changed"]
    assert found["missing"] == []


def test_a_deleted_item_is_named(sealed: Ledger) -> None:
    """Nothing in the table says that it ever was."""
    sealed.delete("txn-2026-0002")
    found = sealed.found(status=1)
    assert (found["changed"], found["missing"]) == ([], ["txn-2026-0002"])


def test_a_deleted_payment_leaves_its_entries_behind(sealed: Ledger) -> None:
    """They are still there, and only what is gone is missing."""
    sealed.delete("txn-2026-0001")
    found = sealed.found(status=1)
    assert "txn-2026-0001" in found["missing"]
    assert found["changed"] == []


def slip_in(served: Ledger, transaction_id: str, **changes: Any) -> None:
    """Put a payment into the table that the ledger never recorded, with a fitting fingerprint and no mark of a seal."""
    (item,) = [one for one in served.engine.items() if one["TransactionID"]["S"] == "txn-2026-0002"]
    payment = Payment.from_state(recorded_facts(item))._replace(transaction_id=transaction_id)
    own = {"TransactionID": {"S": transaction_id}, "Fingerprint": {"S": payment.fingerprint}}
    forged = {name: value for name, value in {**item, **own, **changes}.items() if name != "Seal" or "Seal" in changes}
    served.engine.client("dynamodb").put_item(TableName=served.engine.outputs["TableName"], Item=forged)


@pytest.mark.parametrize("changes", [{}, {"Seal": {"N": "1"}}], ids=["without a mark", "with the mark of a seal"])
@pytest.mark.parametrize("recorded_at", ["2020-01-01T00:00:00.000000Z", "2100-01-01T00:00:00.000000Z"])
def test_a_record_that_was_slipped_in_is_named(sealed: Ledger, recorded_at: str, changes: dict[str, Any]) -> None:
    """The lists show it, and the sealer does not find it: nothing else would say that it was never sealed."""
    slip_in(sealed, "slipped-in", RecordedAt={"S": recorded_at}, **changes)
    found = sealed.found(status=1)
    assert (found["extra"], found["proven"]) == (["slipped-in"], 3)


def test_a_record_that_waits_is_named_and_nothing_is_wrong(sealed: Ledger) -> None:
    """A ledger at work always has some: the status stays 0."""
    payment = json.loads((ROOT / "events/start/01-success.json").read_text())
    assert sealed.engine.run(json.dumps({**payment, "TransactionID": "txn-waits"})).outcome == "RECORDED"
    found = sealed.found()
    assert (len(found["unsealed"]), found["is_proven"], found["proven"]) == (1, False, 3)
    assert "Nothing is wrong, and 1 record is newer than the checkpoint: not proven yet." in sealed.run("verify")


def test_a_mark_that_was_moved_back_is_no_fault_for_ever(sealed: Ledger) -> None:
    """The sealer seals the record again, alike. That takes nothing from the proof, and the output says it."""
    sealed.change("txn-2026-0002", "SET Unsealed = :u REMOVE Seal", u={"S": "0"})
    sealed.run("seal")
    found = sealed.found()
    assert (found["repeated"], found["proven"], found["is_proven"]) == (["txn-2026-0002"], 3, True)


def test_a_removed_seal_is_named(sealed: Ledger) -> None:
    """Its checkpoint is not replaced by that of the next one."""
    sealed.start("04-zero-decimal-currency")
    sealed.run("seal")
    item = sealed.engine.seals()[1]
    key = {name: item[name] for name in ("Log", "Seal")}
    sealed.engine.client("dynamodb").delete_item(TableName=sealed.engine.outputs["SealsTableName"], Key=key)
    message = "ledger: seal 2 is gone, or was changed: run `ledger verify`\n"
    assert sealed.run("checkpoint", "--seal", "2", status=2) == message
    assert sealed.run("prove", "txn-2026-0002", status=2) == message
    assert any(fault.startswith("seal 2 is missing") for fault in sealed.found(status=1)["faults"])


def test_a_memory_that_cannot_be_written_hides_nothing(sealed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The findings are shown, and a note says that the next verification will not know of this one."""
    no_folder = sealed.folder / "state"
    no_folder.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(no_folder))
    done = ledger("verify", folder=sealed.folder, LEDGER_ENDPOINT_URL=sealed.endpoint)
    assert (done.returncode, "Proven" in done.stdout) == (0, True)
    assert done.stderr.startswith(f"ledger: this verification is not remembered: {no_folder}/payment-ledger")


def test_a_stack_of_before_the_log_says_so(sealed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its query function does not know the question."""
    module = sealed.engine.functions["QueryPaymentLedger"].module

    def unknown(_: Any) -> Any:
        raise module.InvalidQueryError([module.Violation("Query", "unknown_field")])

    monkeypatch.setattr(module, "read_seals", unknown)
    monkeypatch.setattr(module, "seal_of", lambda _: None)
    for arguments in (("verify",), ("checkpoint",), ("export", "x.jsonl", "--as-of-seal", "last")):
        assert "the stack has no sealed log: deploy this version of it" in sealed.run(*arguments, status=2)


def test_a_replaced_log_is_refused_by_memory(sealed: Ledger) -> None:
    """Somebody with every right makes the whole log again, without the payment that he wants to hide."""
    sealed.run("verify")
    dynamodb, seals = sealed.engine.client("dynamodb"), sealed.engine.outputs["SealsTableName"]
    sealed.delete("txn-2026-0002")
    for item in sealed.engine.seals():
        dynamodb.delete_item(TableName=seals, Key={name: item[name] for name in ("Log", "Seal")})
    for item in (*sealed.engine.items(), *sealed.engine.entries()):
        table = sealed.engine.outputs["EntriesTableName" if "Entry" in item else "TableName"]
        kept = {name: value for name, value in item.items() if name != "Seal"} | {"Unsealed": {"S": "0"}}
        dynamodb.put_item(TableName=table, Item=kept)
    sealed.run("seal")
    found = sealed.found(status=1)
    (fault,) = found["faults"]
    assert "the checkpoint that this command remembers" in fault
    assert "and the log only 2" in fault
    assert sealed.found(status=1)["faults"] == [fault], "a wrong log must not be remembered"


def test_a_damaged_seal_is_one_line(sealed: Ledger) -> None:
    """Nothing can be verified before somebody has looked."""
    sealed.change_first_seal("SET Peaks = :v", v={"B": bytes(32)})
    message = sealed.run("verify", status=2)
    assert message == "ledger: seal 1 is damaged: its item was changed; see docs/operate/runbook.md#unsealed\n"


@pytest.fixture
def offline(sealed: Ledger) -> Ledger:
    """Return the ledger, with its export, its checkpoints and its key as files."""
    sealed.run("export", "sealed.jsonl", "--as-of-seal", "last")
    sealed.save("newest.txt", "checkpoint")
    sealed.save("older.txt", "checkpoint", "--seal", "1")
    sealed.save("key.txt", "checkpoint", "--key")
    return sealed


@pytest.fixture
def files(tmp_path: Path, remembered: Path) -> Folder:
    """Return a folder with an export of three records in two seals, its checkpoints and its key, and nothing else."""
    shutil.rmtree(remembered / "payment-ledger", ignore_errors=True)
    records, key = [payment_facts(number) for number in (1, 2, 3)], LogKey()
    seals = seals_of([records[:1], records[1:]])
    write_export(tmp_path / "sealed.jsonl", seals, records)
    for name, text in (("older", key.checkpoint(seals[0])), ("newest", key.checkpoint(seals[1])), ("key", key.text)):
        (tmp_path / f"{name}.txt").write_text(text)
    return Folder(tmp_path)


OFFLINE = ("sealed.jsonl", "--checkpoint", "newest.txt", "--key", "key.txt")


def test_an_export_is_verified_offline(offline: Ledger) -> None:
    """No stack answers: the files are enough."""
    offline.endpoint = "http://127.0.0.1:9"
    found = offline.found(*OFFLINE, "--checkpoint", "older.txt")
    assert (found["is_proven"], found["proven"], found["checkpoints"]) == (True, 3, 2)
    assert offline.found(*OFFLINE)["checkpoints"] == 2, "the newest one is remembered"


def test_an_older_checkpoint_proves_less(files: Folder) -> None:
    """What is newer is not wrong, and not proven: the status is 1."""
    arguments = ("sealed.jsonl", "--checkpoint", "older.txt", "--key", "key.txt")
    found = files.found(*arguments, status=1)
    assert (found["proven"], found["later"], found["faults"]) == (1, 2, [])
    assert "2 records are newer than the checkpoint" in files.run("verify", *arguments, status=1)


def test_the_remembered_checkpoint_is_newer_than_the_export(offline: Ledger) -> None:
    """Somebody hands out an older export, in which a record is not there yet."""
    offline.found(*OFFLINE)
    offline.start("04-zero-decimal-currency")
    offline.run("seal")
    offline.run("export", "newer.jsonl", "--as-of-seal", "last")
    offline.save("newer.txt", "checkpoint")
    offline.found("newer.jsonl", "--checkpoint", "newer.txt", "--key", "key.txt")
    (fault,) = offline.found(*OFFLINE, status=1)["faults"]
    assert re.search(r"remembers .*the checkpoint has 4 records, and the log only 3", fault)


def test_a_second_key_does_not_make_the_command_forget(files: Folder) -> None:
    """A log that forked under a new key must continue what was signed by the old one."""
    files.found(*OFFLINE)
    forged = seals_of([[payment_facts(1)]])
    write_export(files.folder / "fork.jsonl", forged, [payment_facts(1)])
    (files.folder / "fork.txt").write_text(OTHER.checkpoint(forged[-1]))
    (files.folder / "fork-key.txt").write_text(OTHER.text)
    arguments = ("fork.jsonl", "--checkpoint", "fork.txt", "--key", "fork-key.txt")
    assert files.found(*arguments)["is_proven"], "nothing is remembered under that key alone"
    (fault,) = files.found(*arguments, "--key", "key.txt", status=1)["faults"]
    assert "and the log only 1" in fault


def test_two_checkpoints_of_one_size_are_a_fork(files: Folder) -> None:
    """The classic attack: each of two parties gets a log of its own."""
    other = seals_of([[payment_facts(1)], [payment_facts(2), payment_facts(4)]])
    (files.folder / "other.txt").write_text(OTHER.checkpoint(other[-1]))
    (files.folder / "other-key.txt").write_text(OTHER.text)
    arguments = ("--checkpoint", "other.txt", "--key", "other-key.txt")
    (fault,) = files.found(*OFFLINE, *arguments, status=1)["faults"]
    assert "other.txt: the log is not the one that was signed" in fault


def test_a_damaged_memory_is_one_line(files: Folder) -> None:
    """It may have been changed by somebody who does not want to be found out."""
    files.found(*OFFLINE)
    file = path_of((files.folder / "key.txt").read_text().strip())
    file.write_text("{}")
    message = files.run("verify", *OFFLINE, status=2)
    assert message.startswith(f"ledger: {file}: is not what this command has remembered")


OTHER = LogKey(7)
ANOTHER_LOG = LogKey(7, "another/log")
BAD_INPUT = {
    "another ledger's checkpoint": (
        {"newest.txt": ANOTHER_LOG.sign(3, bytes(32))},
        "newest.txt: the checkpoint is of another log, 'another/log'",
    ),
    "another key": ({"key.txt": OTHER.text}, "newest.txt: no known key of the log has signed the note"),
    "another ledger's key": ({"key.txt": ANOTHER_LOG.text}, "newest.txt: the checkpoint is of another log"),
    "no key": ({"key.txt": "nonsense"}, "the verifier key does not have the form"),
    "no checkpoint": ({"newest.txt": "nonsense"}, "newest.txt: the note has no signatures"),
    "an empty checkpoint": ({"newest.txt": ""}, "newest.txt: the note has no signatures"),
    "no export": ({"sealed.jsonl": "nonsense\n"}, "sealed.jsonl:1: not a line of an export"),
    "an empty export": ({"sealed.jsonl": ""}, "sealed.jsonl:1: not a line of an export"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line(files: Folder, case: str) -> None:
    """Each fault has its own line, and none has a traceback."""
    wrong, message = BAD_INPUT[case]
    for name, text in wrong.items():
        (files.folder / name).write_text(text)
    printed = files.run("verify", *OFFLINE, status=2)
    assert printed.startswith(f"ledger: {message}"), printed
    assert printed.count("\n") == 1


def test_a_changed_checkpoint_is_refused(files: Folder) -> None:
    """Its signature does not fit any more."""
    file = files.folder / "newest.txt"
    file.write_text(file.read_text().replace("\n3\n", "\n4\n"))
    assert "the note was changed after the log signed it" in files.run("verify", *OFFLINE, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sealed.jsonl",), "Give --checkpoint and --key with EXPORT."),
        (("sealed.jsonl", "--checkpoint", "newest.txt"), "Give --checkpoint and --key with EXPORT."),
        (("sealed.jsonl", "--key", "key.txt"), "Give --checkpoint and --key with EXPORT."),
        (("sealed.jsonl", "--checkpoint", "none.txt", "--key", "key.txt"), "none.txt: no such file or directory"),
        (("none.jsonl", "--checkpoint", "newest.txt", "--key", "key.txt"), "none.jsonl: no such file or directory"),
    ],
)
def test_missing_options_and_files_are_named(files: Folder, arguments: tuple[str, ...], message: str) -> None:
    """Nothing is read before."""
    assert message.lower() in files.run("verify", *arguments, status=2).lower()


def test_a_plain_export_cannot_be_verified(offline: Ledger) -> None:
    """It has no seals: the line says how to make one that has them."""
    offline.run("export", "plain.jsonl", "--processor", "acme-pay")
    message = offline.run("verify", "plain.jsonl", *OFFLINE[1:], status=2)
    assert "has no seals: make an export that has them with `ledger export FILE --as-of-seal last`" in message


def test_a_changed_export_is_named_offline(files: Folder) -> None:
    """The forger changes a line and makes the file's own hash again; here even without that."""
    file = files.folder / "sealed.jsonl"
    file.write_text(file.read_text().replace('"2.50"', '"2.60"'))
    found = files.found(*OFFLINE, status=1)
    assert (found["changed"], found["proven"]) == ([payment_facts(2)["TransactionID"]], 2)


# ── As of ───────────────────────────────────────────────────────────────────────────────────────────


def records_in(path: Path) -> list[str]:
    """Return the keys of the records of an export."""
    return [
        f"{one['TransactionID']}#{one['Entry']}" if "Entry" in one else one["TransactionID"]
        for one in Export.open(path).records()
    ]


def test_an_export_as_of_a_seal_never_changes(sealed: Ledger) -> None:
    """Whatever is recorded and sealed later."""
    sealed.run("export", "before.jsonl", "--as-of-seal", "1")
    sealed.start("04-zero-decimal-currency")
    sealed.run("seal")
    sealed.run("export", "after.jsonl", "--as-of-seal", "1")
    before, after = ((sealed.folder / f"{name}.jsonl").read_text().split("\n")[1:-2] for name in ("before", "after"))
    assert before == after
    assert records_in(sealed.folder / "after.jsonl") == KEYS[:1]
    sealed.run("export", "all.jsonl", "--as-of-seal", "last")
    assert len(records_in(sealed.folder / "all.jsonl")) == 4
    message = sealed.run("export", "none.jsonl", "--as-of-seal", "9", status=2)
    assert "the log has no finished seal 9 yet: its last one is 3" in message


def test_an_export_as_of_a_later_seal_continues_once_it_is_there(sealed: Ledger) -> None:
    """The same command works after the next seal: what was read before is no hindrance."""
    assert "no finished seal 3 yet" in sealed.run("export", "third.jsonl", "--as-of-seal", "3", status=2)
    sealed.start("04-zero-decimal-currency")
    sealed.run("seal")
    sealed.run("export", "third.jsonl", "--as-of-seal", "3")
    assert len(records_in(sealed.folder / "third.jsonl")) == 4


def test_an_export_of_a_processor_has_what_no_list_shows(sealed: Ledger) -> None:
    """Somebody hides a payment from the lists; the seals name it all the same."""
    sealed.change("txn-2026-0002", "SET ProcessorShard = :s", s={"S": "nowhere#0"})
    sealed.run("export", "one.jsonl", "--processor", "acme-pay", "--as-of-seal", "last")
    assert records_in(sealed.folder / "one.jsonl") == KEYS


def test_an_export_as_of_a_time_names_its_seal(sealed: Ledger) -> None:
    """A record of that time may come later. With the seal, the export stays the same."""
    recorded = sorted(item["RecordedAt"]["S"] for item in (*sealed.engine.items(), *sealed.engine.entries()))
    done = ledger(
        "export", "then.jsonl", "--as-of", recorded[1], folder=sealed.folder, LEDGER_ENDPOINT_URL=sealed.endpoint
    )
    assert done.returncode == 0
    assert "as of seal 2: an execution that is redriven may add records of that time later" in done.stderr
    assert len(records_in(sealed.folder / "then.jsonl")) == 2
    header = Export.open(sealed.folder / "then.jsonl").header
    assert (header["as_of_seal"], header["as_of"], header["format"]) == (2, recorded[1], 1)


def test_an_export_as_of_a_seal_of_one_processor(sealed: Ledger) -> None:
    """It has no seals, since those name the records of others, and is exact all the same."""
    sealed.run("export", "one.jsonl", "--as-of-seal", "last", "--processor", "acme-pay")
    export = Export.open(sealed.folder / "one.jsonl")
    assert not export.has_seals
    assert len(records_in(sealed.folder / "one.jsonl")) == len(
        [item for item in (*sealed.engine.items(), *sealed.engine.entries()) if item["ProcessorID"]["S"] == "acme-pay"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--as-of-seal", "0"), "give the number of a seal, or `last`"),
        (("--as-of-seal", "first"), "give the number of a seal, or `last`"),
        (("--as-of", "yesterday"), "give a date and time with an offset"),
        (("--as-of-seal", "1", "--from", "2026-01-01T00:00:00Z"), "give them without --as-of-seal"),
    ],
)
def test_wrong_options_of_an_export(sealed: Ledger, arguments: tuple[str, ...], message: str) -> None:
    """One line, and no file."""
    assert message in sealed.run("export", "x.jsonl", *arguments, status=2)
    assert not (sealed.folder / "x.jsonl").exists()


def test_the_tables_own_exports_are_verified_with_their_ciphertexts(offline: Ledger) -> None:
    """A large ledger is read from S3. Only then does the export have the ciphertexts, and their bytes are proven."""
    engine, folder = offline.engine, offline.folder
    write_table(folder / "payments", "PaymentLedger", engine.items())
    write_table(folder / "entries", "PaymentEntries", engine.entries())
    folders = [part for name in ("payments", "entries") for part in ("--dynamodb-export", name)]
    message = offline.run("export", "tables.jsonl", *folders, "--as-of-seal", "last", status=2)
    assert "the export of the table PaymentSeals is missing: it has the seals" in message
    write_table(folder / "seals", "PaymentSeals", engine.seals())
    folders += ["--dynamodb-export", "seals"]
    offline.run("export", "tables.jsonl", *folders, "--as-of-seal", "last", "--ciphertext")
    assert offline.found("tables.jsonl", *OFFLINE[1:])["proven"] == 3
    offline.run("export", "first.jsonl", *folders, "--as-of-seal", "1")
    assert records_in(folder / "first.jsonl") == KEYS[:1]
    assert "has no seal 9" in offline.run("export", "none.jsonl", *folders, "--as-of-seal", "9", status=2)
    offline.change("txn-2026-0002", "SET SecureToken = :v", v={"B": b"another"})
    write_table(folder / "payments-2", "PaymentLedger", engine.items())
    folders[1] = "payments-2"
    offline.run("export", "changed.jsonl", *folders, "--as-of-seal", "last", "--ciphertext")
    assert offline.found("changed.jsonl", *OFFLINE[1:], status=1)["changed"] == ["txn-2026-0002"]


# ── Proofs ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("arguments", "file"), [((), "txn-2026-0001"), (("--entry", "1"), "txn-2026-0001-1")])
def test_a_proof_is_written(offline: Ledger, arguments: tuple[str, ...], file: str) -> None:
    """It has the record, and the checkpoint of the record's own seal."""
    printed = offline.run("prove", "txn-2026-0001", *arguments)
    assert printed.startswith(f"{file}.tlog-proof: record {2 if arguments else 1} of")
    leaf = json.loads(ProofFile.parse((offline.folder / f"{file}.tlog-proof").read_bytes()).leaf)
    assert leaf["TransactionID"] == "txn-2026-0001"
    assert leaf.get("Entry") == (1 if arguments else None)
    assert "exists already" in offline.run("prove", "txn-2026-0001", *arguments, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("txn-none",), "txn-none: the ledger has no such record"),
        (("txn-2026-0001", "--entry", "2"), "txn-2026-0001#2: the ledger has no such record"),
        (("txn-2026-0002", "--out", "no/such/folder"), "no/such/folder: no such file or directory"),
        (("txn-2026-0002", "--out", "-", "--json"), "standard output has the proof itself"),
    ],
)
def test_what_cannot_be_proven_is_one_line(offline: Ledger, arguments: tuple[str, ...], message: str) -> None:
    """Nothing is written then."""
    assert message in offline.run("prove", *arguments, status=2)


def test_a_damaged_entry_is_not_called_absent(offline: Ledger) -> None:
    """It is there, and cannot be read."""
    offline.engine.client("dynamodb").update_item(
        TableName=offline.engine.outputs["EntriesTableName"],
        Key={"TransactionID": {"S": "txn-2026-0001"}, "Entry": {"N": "1"}},
        UpdateExpression="REMOVE Fingerprint",
    )
    message = offline.run("prove", "txn-2026-0001", "--entry", "1", status=2)
    assert "txn-2026-0001 entry 1: its attribute Fingerprint is not what the ledger has written" in message


def test_a_changed_record_is_not_proven(offline: Ledger) -> None:
    """The proof would be refused by everybody."""
    offline.change("txn-2026-0002", "SET Metadata = :v", v={"M": {}})
    message = offline.run("prove", "txn-2026-0002", status=2)
    assert "txn-2026-0002: is not what seal 2 has: somebody changed it; run `ledger verify`" in message
    offline.change("txn-2026-0002", "SET Seal = :v", v={"N": "1"})
    assert "is marked with seal 1, which does not have it" in offline.run("prove", "txn-2026-0002", status=2)


def test_a_proof_that_would_be_refused_is_not_written(offline: Ledger) -> None:
    """The seal before it was changed, so that the root would be another one."""
    offline.change_first_seal("SET Peaks = :v, Root = :v", v={"B": bytes(32)})
    message = offline.run("prove", "txn-2026-0002", status=2)
    assert message == "ledger: txn-2026-0002: seal 2 or the one before it was changed: run `ledger verify`\n"
    assert not (offline.folder / "txn-2026-0002.tlog-proof").exists()


# ── A new key ───────────────────────────────────────────────────────────────────────────────────────


def replace_key(engine: Engine) -> None:
    """Give the log a new key, as a deployment with another logical ID of the key does."""
    keys = account.keys()
    key = keys[str(engine.physical_ids["SealKey"])]
    key.key_material = bytes(31) + key.key_material[:1]


def test_a_log_goes_on_under_a_new_key(offline: Ledger) -> None:
    """The older checkpoints stay valid under the key that signed them: a verifier knows both."""
    before = account.keys()[str(offline.engine.physical_ids["SealKey"])].key_material
    try:
        offline.run("verify")
        replace_key(offline.engine)
        offline.start("04-zero-decimal-currency")
        offline.run("seal")
        offline.save("new-key.txt", "checkpoint", "--key")
        assert "if the log has a new key, get its line from the log's operator" in offline.run("verify", status=2)
        assert offline.found("--key", "new-key.txt")["proven"] == 4
        offline.run("export", "later.jsonl", "--as-of-seal", "last")
        offline.save("later.txt", "checkpoint")
        arguments = ("later.jsonl", "--checkpoint", "later.txt", "--checkpoint", "newest.txt")
        assert "newest.txt: no known key" in offline.run("verify", *arguments, "--key", "new-key.txt", status=2)
        found = offline.found(*arguments, "--key", "new-key.txt", "--key", "key.txt")
        assert (found["is_proven"], found["checkpoints"]) == (True, 2)
    finally:
        account.keys()[str(offline.engine.physical_ids["SealKey"])].key_material = before


def test_the_page_renames_the_key_everywhere(tmp_path: Path) -> None:
    """The command of the page gives the key another logical ID, and changes nothing else of the stack's names."""
    page = (ROOT / "docs/operate/sealed-log.md").read_text()
    (pattern, name) = re.findall(r"sed -i 's/(.+?)/(.+?)/g' template.yaml", page)[0]
    text = (ROOT / "template.yaml").read_text()
    (tmp_path / "template.yaml").write_text(re.sub(pattern, name, text))
    changed = template.load(tmp_path / "template.yaml")
    declared = template.load(ROOT / "template.yaml")
    assert changed["Resources"].keys() ^ declared["Resources"].keys() == {"SealKey", name}
    assert changed["Outputs"].keys() == declared["Outputs"].keys()
