"""The hunt: finds one secret text, in every shape that it could take, in anything that a run leaves behind."""

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, quote_plus

CANARY = 'tók"7Kq\\2+vX/9ñw&R4%m\'Zu?5P=e8<J;3ß L6h#\\"d+Gy/1€sB\\'
"""A token full of characters that JSON, URLs, forms, HTML and `repr` each write in another way."""

PLAIN_CANARY = "tok_live_Zk3vQ9-hT7xW2mB8rN4cJ6yL1pD5sG0fA"
"""A token that fits into every field, also into identifiers and metadata names. No escape changes it."""

FRAGMENT_BYTES = 12
PACKINGS = 3
"""The depth to which packed data is opened: for example base64 of gzip of base64."""

MAX_INFLATED_BYTES = 1 << 20
DIGESTS = ("md5", "sha1", "sha256", "sha512")
ZLIB_OR_GZIP, RAW_DEFLATE = 47, -15  # zlib's `wbits`
STREAM_START = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")
ENCODINGS: list[tuple[re.Pattern[bytes], int, Callable[[bytes], bytes]]] = [
    (re.compile(rb"[A-Za-z0-9+/]{16,}"), 4, base64.b64decode),
    (re.compile(rb"[A-Z2-7]{20,}"), 8, base64.b32decode),
    (re.compile(rb"[0-9A-Fa-f]{24,}"), 2, lambda run: bytes.fromhex(run.decode())),
]
"""Encodings of bytes as text: a run as long as a fragment, the characters that belong together, and the decoder."""


def shapes(token: str) -> Iterator[tuple[str, bytes]]:
    """Yield every shape of the token that the hunt looks for, by name. `unpacked` opens packed data first."""
    plain = token.encode()
    binary = {"plain": plain, "UTF-16 LE": token.encode("utf-16-le"), "UTF-16 BE": token.encode("utf-16-be")}
    binary |= {name: hashlib.new(name, plain, usedforsecurity=False).digest() for name in DIGESTS}
    for name, data in binary.items():
        yield name, data
        yield f"{name} hex", data.hex().encode()  # its fragments count too: programs often shorten a digest
        yield f"{name} HEX", data.hex().upper().encode()
    yield "JSON", json.dumps(token)[1:-1].encode()
    yield "JSON, not ASCII", json.dumps(token, ensure_ascii=False)[1:-1].encode()
    yield "repr", repr(token)[1:-1].encode()
    yield "ascii", ascii(token)[1:-1].encode()
    yield "repr of bytes", repr(plain)[2:-1].encode()
    yield "URL", quote(token, safe="").encode()
    yield "URL path", quote(token).encode()
    yield "form", quote_plus(token).encode()
    yield "HTML", html.escape(token).encode()


def without_backslashes(data: bytes) -> bytes:
    """Remove every backslash. An escaped escape only doubles them, so every depth then looks the same."""
    return data.replace(b"\\", b"")


def inflated(data: bytes, wbits: int) -> bytes:
    """Return the content of the compressed stream at the start of *data*, or nothing if there is no stream."""
    try:
        return zlib.decompressobj(wbits).decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        return b""


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what is packed in *data*: compressed streams, and text that encodes bytes, at every alignment."""
    for stream in STREAM_START.finditer(data):
        yield inflated(data[stream.start() :], ZLIB_OR_GZIP)
    bare = without_backslashes(data).translate(STANDARD_BASE64)
    for pattern, group, decode in ENCODINGS:
        for run in pattern.findall(bare):
            for start in range(group):
                decoded = decode(run[start : start + (len(run) - start) // group * group])
                yield decoded
                yield inflated(decoded, RAW_DEFLATE)


def views(data: bytes, packings: int = PACKINGS) -> Iterator[bytes]:
    """Yield *data* in each way in which the hunt looks at it."""
    yield data
    yield without_backslashes(data)
    if packings:
        for inner in unpacked(data):
            if len(inner) >= FRAGMENT_BYTES:
                yield from views(inner, packings - 1)


def leaves(trace: object) -> Iterator[bytes]:
    """Yield every text in *trace*, the names of its mappings included."""
    if isinstance(trace, Mapping):
        trace = [*trace.keys(), *trace.values()]
    if isinstance(trace, list | tuple):
        for part in trace:
            yield from leaves(part)
    else:
        yield trace if isinstance(trace, bytes) else str(trace).encode(errors="surrogatepass")


class Hunt:
    """A search for one token by every 12 bytes of each of its shapes."""

    def __init__(self, token: str) -> None:
        self._fragments: dict[bytes, str] = {}
        for name, shape in shapes(token):
            for form in (shape, without_backslashes(shape)):
                for start in range(len(form) - FRAGMENT_BYTES + 1):
                    self._fragments.setdefault(form[start : start + FRAGMENT_BYTES], name)

    def shapes_in(self, trace: object) -> set[str]:
        """Return the shapes in which *trace* holds the token, or 12 bytes of it."""
        known: dict[bytes, str] = self._fragments
        names: set[str] = set()
        for view in views(b"\n".join(leaves(trace))):
            starts = range(len(view) - FRAGMENT_BYTES + 1)
            names |= {known[part] for start in starts if (part := view[start : start + FRAGMENT_BYTES]) in known}
        return names

    def found(self, places: Mapping[str, object]) -> dict[str, set[str]]:
        """Return the places that hold the token, each with the shapes that the token has there."""
        return {place: names for place, trace in places.items() if (names := self.shapes_in(trace))}
