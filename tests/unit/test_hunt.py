"""The hunt of `tests/support/hunt.py` finds a token in every disguise, and nothing else."""

import base64
import gzip
import hashlib
import html
import json
import zlib
from urllib.parse import quote, quote_plus

import pytest

from tests.support.hunt import CANARY, DIGESTS, FRAGMENT_BYTES, PLAIN_CANARY, RAW_DEFLATE, Hunt

BINARY = {
    "plain": CANARY.encode(),
    "UTF-16 LE": CANARY.encode("utf-16-le"),
    "UTF-16 BE": CANARY.encode("utf-16-be"),
    **{name: hashlib.new(name, CANARY.encode()).digest() for name in DIGESTS},
}

DISGUISES: list[tuple[str, object]] = [
    *BINARY.items(),
    *((f"{name} hex", data.hex()) for name, data in BINARY.items()),
    *((f"{name} HEX", data.hex().upper()) for name, data in BINARY.items()),
    *((name, base64.b64encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(3)),
    *((name, base64.urlsafe_b64encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(3)),
    *((name, base64.b32encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(5)),
    *(("plain", b"A" * n + base64.b64encode(CANARY.encode())) for n in range(1, 4)),
    *(("plain", b"A" * n + base64.b32encode(CANARY.encode())) for n in range(1, 8)),
    ("JSON", json.dumps(CANARY)),
    ("JSON", json.dumps({"Cause": json.dumps({"errorMessage": json.dumps({"token": json.dumps(CANARY)})})})),
    ("JSON, not ASCII", json.dumps(CANARY, ensure_ascii=False)),
    ("plain", json.dumps(json.dumps(CANARY, ensure_ascii=False), ensure_ascii=False)),
    ("repr", repr({"SecureToken": CANARY})),
    ("ascii", ascii(CANARY)),
    ("ascii", json.dumps(json.dumps(ascii(CANARY)))),
    ("repr of bytes", json.dumps(repr({"Plaintext": CANARY.encode()}))),
    ("URL", quote(CANARY, safe="")),
    ("URL path", quote(CANARY)),
    ("form", quote_plus(CANARY)),
    ("HTML", html.escape(CANARY)),
    ("plain", {"Debug": {"B": zlib.compress(CANARY.encode())}}),
    ("plain", [b"\x00prefix" + gzip.compress(CANARY.encode()) + b"suffix"]),
    ("plain", json.dumps({"body": base64.b64encode(gzip.compress(CANARY.encode())).decode().replace("/", "\\/")})),
    ("plain", base64.urlsafe_b64encode(zlib.compress(CANARY.encode(), wbits=RAW_DEFLATE))),
    ("JSON", gzip.compress(json.dumps(CANARY).encode()).hex()),
    ("plain", base64.b64encode(b"~" + base64.b64encode(CANARY.encode()))),
    ("plain", base64.encodebytes(CANARY.encode() * 9)),
    ("plain", {CANARY: "the name holds it"}),
]


@pytest.mark.parametrize(("shape", "disguised"), DISGUISES, ids=[shape for shape, _ in DISGUISES])
def test_the_hunt_finds_the_token_in_every_disguise(shape: str, disguised: object) -> None:
    """If the hunt misses a shape, every payment could leak the token in it, and every other test would pass."""
    assert shape in Hunt(CANARY).shapes_in(["before it", disguised, "after it"])


@pytest.mark.parametrize("token", [CANARY, PLAIN_CANARY], ids=["hostile", "plain"])
def test_the_hunt_finds_every_fragment(token: str) -> None:
    """A token that a limit has cut, or the beginning of a token as a hint, is a leak as well."""
    hunt, plain = Hunt(token), token.encode()
    for start in range(len(plain) - FRAGMENT_BYTES + 1):
        assert hunt.shapes_in(b"~" + plain[start : start + FRAGMENT_BYTES] + b"~")


def test_the_hunt_finds_no_token_in_innocent_data() -> None:
    """A hunt that finds a token everywhere proves as little as a hunt that finds none."""
    innocent = [CANARY[:5], json.dumps(PLAIN_CANARY), hashlib.sha512(b"another").hexdigest(), bytes(range(256)) * 8]
    assert Hunt(CANARY).shapes_in(innocent) == set()
