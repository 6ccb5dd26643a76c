"""A server that records its requests: for tests of what leaves a process, and where it goes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def listening(host: str, body: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server on *host* that answers with *body*, and the list of the requests that it gets."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            came.append(self.requestline)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_GET = do_POST = do_PUT = _answer  # noqa: N815  # http.server finds them by name

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://{host}:{server.server_port}", came
        server.shutdown()
