"""`EngineServer`: the engine of this process at some addresses of this machine."""

import http.client
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ledger_cli.engine.engine import Engine
from ledger_cli.engine.server.handler import Listener, RequestHandler

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names by which a client on this machine calls the server."""

STOPS_WITHIN_S = 0.05
"""How often a listener looks whether it has to stop."""


class EngineServer:
    """Serves the engine of this process, at one or more addresses, from `with` to the end of the block."""

    def __init__(self, hosts: Iterable[str], port: int = 0, *, names: Iterable[str] = ()) -> None:
        """Listen.

        Args:
            hosts: addresses of this machine: loopback, and that of a container bridge.
            port: the port, which is the same at each address. If it is 0, a free one is chosen.
            names: other names by which clients call this machine, beside these addresses and those of loopback.

        Raises:
            OSError: an address is not this machine's, or the port is in use there.
        """
        self._listeners: list[Listener] = []
        self._started = False
        self.port = port
        hosts = list(hosts)
        try:
            for host in hosts:
                listener = Listener((host, self.port), RequestHandler)
                self._listeners.append(listener)
                self.port = listener.server_port
        except OSError:
            self.close()
            raise
        self._authorities = frozenset(f"{name}:{self.port}" for name in LOOPBACK.union(hosts, names))
        if self.port == http.client.HTTP_PORT:  # clients leave this port out
            self._authorities |= LOOPBACK.union(hosts, names)

    def start(self, engine: Engine) -> None:
        """Answer requests from *engine*. Until then, callers wait."""
        self._started = True
        for listener in self._listeners:
            listener.engine, listener.authorities = engine, self._authorities
            threading.Thread(target=listener.serve_forever, args=[STOPS_WITHIN_S], daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.close()

    def stop(self) -> None:
        """Answer no further request."""
        if self._started:
            for listener in self._listeners:
                listener.shutdown()
        self._started = False

    def close(self) -> None:
        """Release the port."""
        for listener in self._listeners:
            listener.server_close()
