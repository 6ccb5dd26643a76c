"""The webhook of the engine's stack, as a processor sees it."""

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed

ACME = (ROOT / "events/webhooks/acme-pay.json").read_bytes()


@dataclass
class Webhook:
    """The webhook at its address, and a processor that posts to it."""

    engine: Engine
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def post(
        self, body: bytes = ACME, processor: str = "acme-pay", *, at_s: float = 0, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The answer to *body*, signed *at_s* seconds from now, unless other headers are given."""
        if headers is None:
            headers = signed(PROCESSORS.get(processor, PROCESSORS["acme-pay"]), body, round(time.time() + at_s))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", f"/processors/{processor}/payments", body=body, headers=headers)
        answer = connection.getresponse()
        text, self.headers = answer.read(), dict(answer.getheaders())
        connection.close()
        return answer.status, json.loads(text)

    def outcome(self, answered: tuple[int, Any]) -> str | None:
        """What the execution that was answered comes to."""
        status, body = answered
        assert status in {202, 400, 413}
        prefix = self.engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
        return self.engine.wait_for(f"{prefix}:{body['Execution']}").outcome


def changed(**fields: Any) -> bytes:
    """Return the sample payment with other fields."""
    return json.dumps({**json.loads(ACME), **fields}).encode()
