"""Signed notes, checkpoints and verifier keys: published examples, and what must not be accepted."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import MAX_NOTE_BYTES, checkpoint_text
from ledger.merkle import EMPTY_ROOT
from ledger_cli.sealed_log.notes import (
    Checkpoint,
    InvalidKeyError,
    MalformedNoteError,
    Note,
    NoteError,
    OtherLogError,
    UnknownSignerError,
    VerifierKey,
    WrongSignatureError,
    decode_base64,
    verify,
    verify_note,
)
from tests.support.sealed_log import ORIGIN, PUBLISHED, Signer, hashes_of

SIGNER, OTHER = Signer(), Signer(seed="another key of the log")
WITNESS = Signer("witness.example/w1", "a witness")
NOTE = SIGNER.checkpoint(hashes_of(5))
TEXT, _, LINE = NOTE.partition("\n\n")
TEXT += "\n"
ROOT_LINE = TEXT.split("\n")[2]


@pytest.mark.parametrize("example", PUBLISHED["Notes"], ids=lambda example: example["Source"])
def test_the_published_notes_verify(example: dict[str, Any]) -> None:
    """The specification's own examples say what a note is."""
    keys = [VerifierKey.parse(text) for text in example["Keys"]]
    assert verify_note(Note.parse(example["Note"]), keys) == keys


@pytest.mark.parametrize("example", PUBLISHED["Checkpoints"], ids=lambda example: example["Source"])
def test_the_published_checkpoints_are_read(example: dict[str, Any]) -> None:
    """Logs in production sign these. Their key has another name than their origin, so only the note is judged."""
    checkpoint = Checkpoint.parse(example["Note"])
    assert checkpoint[:2] == (example["Origin"], example["Size"])
    assert base64.b64encode(checkpoint.root).decode() == example["Root"]
    keys = [VerifierKey.parse(text) for text in example["Keys"]]
    if keys:
        assert verify_note(Note.parse(example["Note"]), keys) == keys
        with pytest.raises(OtherLogError):
            verify(checkpoint, keys)


@pytest.mark.parametrize("text", PUBLISHED["BadKeys"]["Keys"])
def test_the_published_keys_that_are_none_are_refused(text: str) -> None:
    """The ID is that of the name and the bytes, and still the key is not one of Ed25519."""
    with pytest.raises(InvalidKeyError, match=r"base64|another algorithm"):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", [SIGNER.text, PUBLISHED["Notes"][1]["Keys"][0]])
def test_each_part_of_a_key_and_each_changed_character_is_refused(text: str) -> None:
    """A key that was copied badly must not become another key."""
    parts = {text[start:end] for start in range(len(text)) for end in range(start, len(text) + 1)} - {text}
    changed = {
        text[:at] + chr(ord(text[at]) ^ bit) + text[at + 1 :] for at in range(len(text)) for bit in (1, 2, 4, 8, 16, 32)
    }
    longer = {f"{text}{tail}" for tail in ("\n", " ", "=", "A", "\0", "+")} | {f" {text}", f"\ufeff{text}"}
    for wrong in parts | changed | longer:
        with pytest.raises(InvalidKeyError):
            VerifierKey.parse(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a+b", "does not have the form"),
        ("", "does not have the form"),
        ("a+0x123456+AA==", "does not have the form"),
        ("a+1234567+AA==", "does not have the form"),
        ("a+123456789+AA==", "does not have the form"),
        ("a+ABCDEF01+AA==", "does not have the form"),
        ("a+\u0661\u0662345678+AA==", "does not have the form"),
        ("+12345678+AA==", "does not have the form"),
        ("a b+12345678+AA==", "does not have the form"),
        ("a\u00a0b+12345678+AA==", "does not have the form"),
        ("a\x1bb+12345678+AA==", "does not have the form"),
        ("a+12345678+", "not in base64"),
        ("a+12345678+é", "not in base64"),
        ("a+12345678+BA==", "another algorithm"),
        ("a+12345678+AQ==", "32 bytes"),
        (f"{SIGNER.text[:-1]}Y", "ID of its name and bytes"),
        (f"x{SIGNER.text}", "ID of its name and bytes"),
    ],
)
def test_a_text_that_is_not_a_key_is_refused_by_a_line_that_says_why(text: str, message: str) -> None:
    """An auditor copies the key from a page, and must see what was lost."""
    with pytest.raises(InvalidKeyError, match=message) as refused:
        VerifierKey.parse(text)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_the_ledger_verifies() -> None:
    """What `ledger.checkpoint` writes is what the reader reads."""
    checkpoint = Checkpoint.parse(NOTE)
    assert (checkpoint.origin, checkpoint.size, checkpoint.text) == (ORIGIN, 5, TEXT)
    assert verify(checkpoint, [OTHER.key, SIGNER.key]) == SIGNER.key
    assert Checkpoint.parse(NOTE.encode()) == checkpoint


def note_of(text: str) -> str:
    """Return a note of a text that is signed as it stands."""
    return SIGNER.note(text)


MALFORMED = {
    "nothing": "",
    "only a text": TEXT,
    "no signature": f"{TEXT}\n",
    "no newline at the end": NOTE[:-1],
    "an empty line at the end": f"{NOTE}\n",
    "no empty line": NOTE.replace("\n\n", "\n"),
    "a line between signatures": f"{NOTE}remark\n",
    "an empty signature": f"{TEXT}\n— {ORIGIN} \n",
    "no signature after the name": f"{TEXT}\n— {ORIGIN}\n",
    "a signature without a name": f"{TEXT}\n—  {LINE.split()[2]}\n",
    "a name with a plus": f"{TEXT}\n— a+b {LINE.split()[2]}\n",
    "a name with a space that is not ASCII": f"{TEXT}\n— a\u2003b {LINE.split()[2]}\n",
    "a hyphen for the dash": NOTE.replace("—", "-"),
    "two spaces": NOTE.replace("— ", "—  "),
    "a signature of an ID only": f"{TEXT}\n— a AAAAAA==\n",
    "base64 with other last bits": f"{TEXT}\n— a AAAAAAB=\n",
    "base64 without padding": f"{TEXT}\n— a AAAAAAA\n",
    "base64 for URLs": f"{TEXT}\n— a __-_AAAA\n",
    "line ends of Windows": NOTE.replace("\n", "\r\n"),
    "a tab": note_of(TEXT.replace("/", "\t", 1)),
    "an escape": note_of(f"\x1b{TEXT}"),
    "a zero": note_of(f"\0{TEXT}"),
    "too large": NOTE + LINE * (MAX_NOTE_BYTES // len(LINE)),
    "two lines": note_of("\n".join(TEXT.split("\n")[:2]) + "\n"),
    "an empty origin": note_of("\n" + TEXT.split("\n", 1)[1]),
    "an empty extension": note_of(f"{TEXT}\n"),
    "an empty line before an extension": note_of(f"{TEXT}\nmore\n"),
    "a size with a zero before it": note_of(TEXT.replace("\n5\n", "\n05\n")),
    "a size with a sign": note_of(TEXT.replace("\n5\n", "\n+5\n")),
    "a negative size": note_of(TEXT.replace("\n5\n", "\n-5\n")),
    "a size with a space": note_of(TEXT.replace("\n5\n", "\n5 \n")),
    "a size with an underscore": note_of(TEXT.replace("\n5\n", "\n1_0\n")),
    "a size in digits of another script": note_of(TEXT.replace("\n5\n", "\n\u0665\n")),
    "a size in hexadecimal digits": note_of(TEXT.replace("\n5\n", "\n0x5\n")),
    "a size beyond 64 bits": note_of(TEXT.replace("\n5\n", f"\n{2**63}\n")),
    "a size of thousands of digits": note_of(TEXT.replace("\n5\n", f"\n{'9' * 5000}\n")),
    "size 0 with another root": note_of(TEXT.replace("\n5\n", "\n0\n")),
    "a root that is too short": note_of(TEXT.replace(ROOT_LINE, "AAAA")),
    "a root that is not base64": note_of(TEXT.replace(ROOT_LINE, "é" * 44)),
    "a root without padding": note_of(TEXT.replace(ROOT_LINE, ROOT_LINE[:-1])),
    "a root with a space": note_of(TEXT.replace(ROOT_LINE, f"{ROOT_LINE} ")),
    "a lone surrogate": note_of(TEXT).replace("payment", "\ud800", 1),
}


@pytest.mark.parametrize("note", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_note_is_refused(note: str) -> None:
    """Two readers that understand one text differently would see two logs."""
    with pytest.raises(MalformedNoteError) as refused:
        Checkpoint.parse(note)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("note", [b"\xff" + NOTE.encode(), NOTE.encode("utf-16"), NOTE.encode()[:-90] + b"\xe2\x80\n"])
def test_other_bytes_than_utf_8_are_refused(note: bytes) -> None:
    """A file may be anything."""
    with pytest.raises(MalformedNoteError, match="UTF-8"):
        Checkpoint.parse(note)


def test_the_largest_size_and_the_empty_log_are_read() -> None:
    """The limits themselves are allowed."""
    assert Checkpoint.parse(note_of(TEXT.replace("\n5\n", f"\n{2**63 - 1}\n"))).size == 2**63 - 1
    assert Checkpoint.parse(note_of(checkpoint_text(ORIGIN, 0, EMPTY_ROOT))).size == 0


def test_extension_lines_are_signed_and_read_over() -> None:
    """The specification allows them, so another log's checkpoint may have them."""
    note = note_of(f"{TEXT}an extension\n— a line that looks like a signature\n")
    assert verify(Checkpoint.parse(note), [SIGNER.key]) == SIGNER.key


def test_the_text_of_a_note_may_have_empty_lines() -> None:
    """The last empty line separates it from the signatures. Source: C2SP, signed-note, format."""
    text = "one\n\ntwo\n\n\nthree\n"
    note = Note.parse(SIGNER.note(text))
    assert note.text == text
    assert verify_note(note, [SIGNER.key]) == [SIGNER.key]


def test_a_note_with_sixteen_large_signatures_is_read() -> None:
    """Verifiers must accept sixteen, and one of a post-quantum key has nearly 5 KB. Source: C2SP, signed-note."""
    large = "".join(
        f"— witness.example/{number} {base64.b64encode(bytes([number]) * 5000).decode()}\n" for number in range(15)
    )
    checkpoint = Checkpoint.parse(NOTE + large)
    assert len(checkpoint.signatures) == 16
    assert verify(checkpoint, [SIGNER.key]) == SIGNER.key


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    """Witnesses add theirs, and a new key signs beside the old one."""
    both = NOTE + WITNESS.signature_line(TEXT) + OTHER.signature_line(TEXT)
    assert verify(Checkpoint.parse(both), [SIGNER.key]) == SIGNER.key
    assert verify(Checkpoint.parse(both), [OTHER.key]) == OTHER.key
    assert verify(Checkpoint.parse(both), [WITNESS.key, SIGNER.key]) == SIGNER.key


def test_a_key_that_shares_only_the_name_or_only_the_id_is_another_key() -> None:
    """Both together name a key. Source: C2SP, signed-note, signatures."""
    for other in (Signer("another.example", SIGNER.seed).key, SIGNER.key._replace(key_id=b"\0\0\0\0")):
        with pytest.raises(UnknownSignerError):
            verify_note(Note.parse(NOTE), [other])


def test_the_note_of_no_known_key_is_refused_and_names_the_ids() -> None:
    """After a rotation the auditor must see that the key is new, and not that the log was changed."""
    with pytest.raises(UnknownSignerError, match="get its line from the log's operator") as refused:
        verify(Checkpoint.parse(NOTE), [OTHER.key])
    assert SIGNER.key.key_id.hex() in str(refused.value)
    assert OTHER.key.key_id.hex() in str(refused.value)
    with pytest.raises(UnknownSignerError, match="known are none"):
        verify_note(Note.parse(NOTE), [])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """An auditor of two ledgers must not prove the records of one by the checkpoint of the other."""
    other = Signer("payment-ledger/1/x/PaymentLedger", SIGNER.seed)
    with pytest.raises(OtherLogError, match="another log"):
        verify(Checkpoint.parse(NOTE), [other.key])
    with pytest.raises(OtherLogError, match="key is for none"):
        verify(Checkpoint.parse(NOTE), [])


def test_no_known_log_signs_for_another() -> None:
    """The operator of one known log must not be able to make checkpoints of another."""
    forged = Signer("other.example/log", "its own key").checkpoint(hashes_of(9), origin=ORIGIN)
    with pytest.raises(UnknownSignerError):
        verify(Checkpoint.parse(forged), [SIGNER.key, Signer("other.example/log", "its own key").key])


def test_an_origin_that_a_terminal_would_obey_is_shown_in_ascii() -> None:
    """The note is somebody's text until it is verified."""
    note = note_of(TEXT.replace("payment", "\u202e\x7f", 1))
    with pytest.raises(OtherLogError) as refused:
        verify(Checkpoint.parse(note), [SIGNER.key])
    assert str(refused.value).isascii()


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: bytes([signature[0] ^ 1]) + signature[1:],
        lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]),
        lambda signature: signature[:-1],
        lambda signature: signature + b"\0",
        lambda signature: bytes(len(signature)),
        lambda signature: signature[32:] + signature[:32],
    ],
)
def test_a_wrong_signature_of_a_known_key_rejects_the_note(change: Callable[[bytes], bytes]) -> None:
    """Another good signature beside it does not help: somebody has tampered with the note."""
    signed = base64.b64decode(LINE.split()[2])
    wrong = base64.b64encode(signed[:4] + change(signed[4:])).decode()
    line = f"— {ORIGIN} {wrong}\n"
    for note in (
        f"{TEXT}\n{line}",
        NOTE + line,
        f"{TEXT}\n{line}{LINE}",
        f"{TEXT}\n{line}{OTHER.signature_line(TEXT)}",
    ):
        with pytest.raises(WrongSignatureError, match="changed"):
            verify(Checkpoint.parse(note), [SIGNER.key, OTHER.key])


def test_a_signature_does_not_fit_another_text() -> None:
    """The size and the root are what a checkpoint is about."""
    with pytest.raises(WrongSignatureError):
        verify(Checkpoint.parse(NOTE.replace("\n5\n", "\n6\n")), [SIGNER.key])


def test_a_cosignature_of_the_same_key_is_not_a_signature() -> None:
    """The type of a signature is part of the key's ID, so one type never passes for another."""
    cosigning = base64.b64encode(b"\x04" + SIGNER.key.public_key).decode()
    with pytest.raises(InvalidKeyError, match="another algorithm"):
        VerifierKey.parse(f"{ORIGIN}+{SIGNER.key.key_id.hex()}+{cosigning}")


def refusal_of(read: Callable[[], object]) -> str | None:
    """Return the message with which something is refused; None if it is accepted."""
    try:
        read()
    except NoteError as refused:
        return str(refused)
    return None


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_refused_in_one_way(file: bytes) -> None:
    """A reader of hostile files must not end with an error that nobody expects."""
    for hostile in (file, TEXT.encode() + b"\n" + file, NOTE.encode() + file, file + NOTE.encode()):
        refusal = refusal_of(lambda hostile=hostile: verify(Checkpoint.parse(hostile), [SIGNER.key]))
        assert refusal is None if hostile == NOTE.encode() else refusal
        assert "\n" not in (refusal or "")


@given(st.text(), st.text())
def test_any_text_is_refused_as_a_key_in_one_way(first: str, second: str) -> None:
    """As above, for what somebody types after `--key`."""
    for text in (first, f"{first}+12345678+{second}", f"{ORIGIN}+{first}+{second}", SIGNER.text + first):
        refusal = refusal_of(lambda text=text: VerifierKey.parse(text))
        assert refusal is None if text == SIGNER.text else refusal
        assert "\n" not in (refusal or "")


@given(st.binary(min_size=1, max_size=40))
def test_base64_has_one_form(value: bytes) -> None:
    """A second form would be a change that nobody notices."""
    text = base64.b64encode(value).decode()
    assert decode_base64(text) == value
    for wrong in (
        text.rstrip("=") if text.endswith("=") else f"{text}=",
        f"{text}\n",
        f" {text}",
        f"{text[:2]}\n{text[2:]}",
    ):
        with pytest.raises(ValueError, match="base64"):
            decode_base64(wrong)
