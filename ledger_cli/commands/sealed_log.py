"""`ledger seal`, `checkpoint`, `verify` and `prove`: the log by which the ledger proves what it has."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from ledger.checkpoint import MAX_NOTE_BYTES, verifier_key
from ledger.seal import key_text
from ledger.totals import MAX_ENTRIES
from ledger_cli.books.draft import opened_draft
from ledger_cli.books.export import Export, Writer, position_of
from ledger_cli.commands.options import FILE, NAME, json_option, stack_command, transaction_argument, write_text
from ledger_cli.errors import CommandError
from ledger_cli.reading import open_regular
from ledger_cli.sealed_log.memory import Remembered, UnusableMemoryError, path_of, recall, remember
from ledger_cli.sealed_log.notes import Checkpoint, NoteError, VerifierKey
from ledger_cli.sealed_log.notes import verify as verify_note
from ledger_cli.sealed_log.proof_file import SUFFIX
from ledger_cli.sealed_log.verification import Findings, Head
from ledger_cli.sealed_log.verification import verify as verify_export
from ledger_cli.stack.client import Stack, now
from ledger_cli.stack.exporting import gather_log
from ledger_cli.stack.sealing import BATCH_SIZE, prove_record, read_seal, run_sealer
from ledger_cli.views import log_text
from ledger_cli.views.layout import Labelled
from ledger_cli.views.records import snake_case
from ledger_cli.views.terminal import display, note, progress, say, say_as_it_is, say_json


@stack_command("0 all that was recorded is sealed, 1 some is not, 2 the run failed, or did not answer")
@click.option(
    "--records",
    "export_file",
    metavar="EXPORT",
    type=FILE,
    help="Seal the records of this file of `ledger export`: those from before the ledger had a log.",
)
@json_option
def seal(stack: Stack, *, export_file: Path | None, as_json: bool) -> int:
    """Add what was recorded to the sealed log now, as the scheduled sealer does every five minutes.

    \b
    Examples:
      ledger seal
      ledger seal --records ledger.jsonl
    """
    if export_file is None:
        return _report_run(run_sealer(stack), as_json=as_json)
    keys = [key_text(position_of(facts)) for facts in Export.open(export_file).records()]
    if not keys:
        raise CommandError(f"{export_file}: has no record")
    status = 0
    for first in range(0, len(keys), BATCH_SIZE):
        answer = run_sealer(stack, keys[first : first + BATCH_SIZE])
        status = max(status, _report_run(answer, as_json=as_json))
    return status


def _report_run(answer: Mapping[str, Any], *, as_json: bool) -> int:
    is_done = bool(answer["Done"]) and not answer["Left"]
    line = f"{answer['Sealed']:,} records sealed; the log has {answer['Size']:,} in {answer['Seal']:,} seals"
    if answer["Left"]:
        line += f"; {answer['Left']:,} cannot be sealed: see docs/operate/runbook.md#unsealed"
    if not answer["Done"]:
        line += "; its time was not enough for all: run this command again"
    if as_json:
        say_json(snake_case(answer))
    else:
        display(Labelled("", line, 0))
    return 0 if is_done else 1


@stack_command("0 the checkpoint is printed, 2 there is none")
@click.option("--seal", "number", type=click.IntRange(1), metavar="N", help="The checkpoint of this seal.")
@click.option("--key", "only_key", is_flag=True, help="Print the key that verifies it instead.")
@json_option
def checkpoint(stack: Stack, *, number: int | None, only_key: bool, as_json: bool) -> int:
    """Print the newest checkpoint of the sealed log, or its verifier key, for a file of your own.

    \b
    Examples:
      ledger checkpoint > checkpoint.txt
      ledger checkpoint --key
    """
    if as_json and only_key:
        raise click.UsageError("Give --key or --json: a line of JSON has the key too.")
    found = read_seal(stack, number)
    if as_json:
        names = ("Seal", "SealedAt", "Size", "Root", "Checkpoint", "VerifierKey")
        say_json(snake_case({name: found[name] for name in names}))
    elif only_key:
        say(found["VerifierKey"])
    else:
        say_as_it_is(found["Checkpoint"], newline=False)
    return 0


@stack_command(
    "0 each record is proven, 1 some record is not, 2 nothing could be verified: the line says why",
    instead="export_file",
)
@click.argument("export_file", metavar="[EXPORT]", required=False, type=FILE)
@click.option(
    "--checkpoint",
    "checkpoint_files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="A checkpoint that you have. Repeat the option for older ones: the log must continue each of them.",
)
@click.option(
    "--key",
    "key_texts",
    multiple=True,
    type=NAME,
    metavar="KEY|FILE",
    help="The verifier key of the log, as `ledger checkpoint --key` prints it, or a file that has it. Repeat the "
    "option for an earlier key.",
)
@json_option
def verify(
    stack: Stack | None,
    *,
    export_file: Path | None,
    checkpoint_files: tuple[Path, ...],
    key_texts: tuple[str, ...],
    as_json: bool,
) -> int:
    """Prove that nothing sealed was changed, removed or slipped in, and name what was.

    With EXPORT, which `ledger export --as-of-seal last` writes, no stack and no AWS credentials are needed. Without it,
    the stack's own records, seals and newest checkpoint are read. The command remembers the newest checkpoint that it
    has verified, and the log must continue that one too.

    \b
    Examples:
      ledger verify
      ledger verify sealed.jsonl --checkpoint checkpoint.txt --checkpoint older.txt --key key.txt
    """
    try:
        keys = [VerifierKey.parse(_key_text(text)) for text in key_texts]
        given: list[tuple[str, str | bytes]] = [(f"{file}", _contents(file)) for file in checkpoint_files]
        if stack is not None:
            return _verify_stack(stack, given, keys, as_json=as_json)
        if export_file is None or not given or not keys:
            raise click.UsageError("Give --checkpoint and --key with EXPORT.")
        export = Export.open(export_file)
        trusted = [_trusted(name, text, keys) for name, text in given]
        known = [verifier_key(key.name, key.public_key) for key in keys]
        return _verify(export, trusted, subjects=known, as_json=as_json)
    except NoteError as error:
        raise CommandError(str(error)) from None


class _Trusted(NamedTuple):
    """A checkpoint whose signature was verified.

    Attributes:
        name: what a person calls it.
        text: the note.
        key: the key that signed it, as text.
        checkpoint: what it says.
    """

    name: str
    text: str
    key: str
    checkpoint: Checkpoint


def _trusted(name: str, note_: str | bytes, keys: Sequence[VerifierKey]) -> _Trusted:
    """Return a checkpoint that one of these keys signed.

    Raises:
        CommandError: none of them did, or the text is not a checkpoint.
    """
    try:
        parsed = Checkpoint.parse(note_)
        key = verify_note(parsed, keys)
    except NoteError as error:
        raise CommandError(f"{name}: {error}") from None
    text = note_ if isinstance(note_, str) else note_.decode()  # `parse` has read it as UTF-8
    return _Trusted(name, text, verifier_key(key.name, key.public_key), parsed)


def _newest(trusted: Sequence[_Trusted]) -> _Trusted:
    return max(trusted, key=lambda one: one.checkpoint.size)


MAX_FILE_NAME = 256
"""Characters below which a text may be the name of a file. A key has about a hundred."""


def _key_text(typed: str) -> str:
    """Return a key as it was typed, or as the file of that name has it."""
    is_file = len(typed) < MAX_FILE_NAME and Path(typed).is_file()
    return _contents(Path(typed)).decode("utf-8", "replace").strip() if is_file else typed


def _contents(file: Path) -> bytes:
    """Return the bytes of a file of a checkpoint or a key.

    Raises:
        CommandError: it cannot be read.
    """
    with open_regular(file, CommandError) as opened:
        return opened.read(MAX_NOTE_BYTES + 1)


def _verify_stack(
    stack: Stack, given: Sequence[tuple[str, str | bytes]], given_keys: Sequence[VerifierKey], *, as_json: bool
) -> int:
    """Verify what a stack has now against its newest checkpoint and those that were given.

    If no key is given, the one that an earlier verification has trusted verifies, or else the one that the stack shows.
    """
    last = read_seal(stack)
    remembered = recall(stack.stack_id)
    keys = list(given_keys)
    if not keys:
        keys = [VerifierKey.parse(remembered.key if remembered else last["VerifierKey"])]
    texts = [(f"the checkpoint of seal {last['Seal']}", last["Checkpoint"]), *given]
    trusted = [_trusted(name, text, keys) for name, text in texts]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.jsonl"
        with opened_draft(Path(folder) / "draft", {}, stack.asked_at) as draft:
            with progress("Reading records") as track:
                for _ in track.over(gather_log(stack, draft, last["Seal"])):
                    pass
            header = {**WHOLE_LOG, "as_of_seal": last["Seal"], "taken_at": now()}
            with path.open("wb") as file:
                for _ in draft.write(file, header, partial(Writer, seals=draft.seal_lines())):
                    pass
        return _verify(
            Export.open(path),
            trusted,
            subjects=[stack.stack_id],
            trusts_stack=remembered is None and not given_keys,
            as_json=as_json,
        )


WHOLE_LOG = {"processors": None, "from": None, "to": None, "as_of": None}
"""The part of an export's first line that says that nothing is left out."""


def _verify(
    export: Export, trusted: list[_Trusted], *, subjects: Sequence[str], trusts_stack: bool | None = None, as_json: bool
) -> int:
    """Verify an export, and show what is found. If the log is as it was signed, its newest checkpoint is remembered.

    Args:
        export: the export.
        trusted: the checkpoints.
        subjects: under which names something may be remembered of the log.
        trusts_stack: whether nothing but the stack says which key is the log's; None if no stack is verified.
        as_json: whether a line of JSON is printed.
    """
    for subject in subjects:
        if remembered := recall(subject):
            name = f"the checkpoint that this command remembers ({path_of(subject)})"
            try:
                keys = [VerifierKey.parse(remembered.key)]
            except NoteError as error:
                raise CommandError(f"{name}: {error}") from None
            trusted.append(_trusted(name, remembered.checkpoint, keys))
    found = Findings()
    heads = [Head(one.name, one.checkpoint) for one in trusted]
    number = export.header.get("records")
    with progress("Verifying records") as track:
        total = number if isinstance(number, int) else None
        for _ in track.over(verify_export(export, heads, found), total=total):
            pass
    newest = _newest(trusted)
    if as_json:
        say_json(log_text.record(found, newest.key, len(trusted), trusts_stack=bool(trusts_stack)))
    else:
        display(*log_text.findings(found, newest.key, len(trusted), trusts_stack=bool(trusts_stack)))
    if not found.is_wrong:
        for subject in subjects:
            try:
                remember(subject, Remembered(newest.text, newest.key))
            except UnusableMemoryError as error:
                note(f"this verification is not remembered: {error}")
    # A ledger at work always has some records that wait for the next seal.
    is_proven = found.is_all_proven or (trusts_stack is not None and not found.is_wrong and not found.later)
    return 0 if is_proven else 1


@stack_command("0 the proof is written, 2 there is no such record, or it cannot be proven")
@transaction_argument
@click.option(
    "--entry",
    type=click.IntRange(1, MAX_ENTRIES),
    metavar="N",
    help="Prove the payment's entry with this number instead.",
)
@click.option("--out", "file", metavar="FILE|-", type=FILE, help=f"The file. By default TRANSACTION_ID{SUFFIX}.")
@json_option
def prove(stack: Stack, *, transaction_id: str, entry: int | None, file: Path | None, as_json: bool) -> int:
    """Write a file that proves one record to anybody, without showing any other.

    It has the record, its place in the sealed log, and the signed checkpoint. docs/operate/verify_proof.py verifies it
    offline, and so does any other reader of C2SP's tlog-proof.

    \b
    Examples:
      ledger prove txn-2026-0001
      ledger prove txn-2026-0001 --entry 1 --out refund.tlog-proof
      ledger prove txn-2026-0001 --out - > payment.tlog-proof
    """
    if file is None:
        file = Path(f"{transaction_id}-{entry}{SUFFIX}" if entry else f"{transaction_id}{SUFFIX}")
    to_stdout = str(file) == "-"
    if to_stdout and as_json:
        raise click.UsageError("Give --out FILE with --json: standard output has the proof itself.")
    try:
        exists = not to_stdout and file.exists()
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'cannot be written').lower()}") from None
    if exists:
        raise CommandError(f"{file}: exists already: name another file with --out, or remove it")
    proof, seal_ = prove_record(stack, transaction_id, entry or 0)
    if to_stdout:
        say_as_it_is(proof.text(), newline=False)
        return 0
    write_text(file, proof.text())
    if as_json:
        say_json({"file": str(file), "seal": seal_["Seal"], "index": proof.index, "size": seal_["Size"]})
    else:
        say(f"{file}: record {proof.index + 1:,} of {seal_['Size']:,} in the log, in seal {seal_['Seal']:,}")
    return 0
