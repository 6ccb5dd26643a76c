"""The engine over HTTP: a program that uses the server's address as its endpoint calls the engine as it calls AWS.

A request that is not signed for AWS goes to the stack's HTTP API, so that processors' webhooks have the same address.

A signature proves nothing here, and a web page in a browser of this machine can send requests to loopback. So the
server answers a request only if its Host is the server's own, and if no browser sent it for a page (`head.py`). It
serves only some of moto's operations (`operations.py`).
"""

from ledger_cli.engine.server.listener import EngineServer

__all__ = ["EngineServer"]
