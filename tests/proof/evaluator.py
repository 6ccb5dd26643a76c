"""The policy evaluator. It runs in a process of its own, because of its licence (AGPL) and its runtime (Node)."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from ledger_cli import ROOT

FOLDER = ROOT / "tests/node"

ALIASES = {
    "kms:EncryptionContext:aws:states:stateMachineArn": "aws:PrincipalTag/history-of",
    "kms:EncryptionContext:SourceArn": "aws:PrincipalTag/log-source",
    "kms:EncryptionContext:aws:logs:arn": "aws:PrincipalTag/log-group",
    "lambda:SourceFunctionArn": "aws:PrincipalTag/code-of",
}
"""Keys that the evaluator knows, in the place of keys that it ignores.

It ignores keys with a variable part, and a service's key on another service's action. The condition keeps its
meaning. A key that it still ignores is an error.
"""


def node() -> str:
    """Return the `node` that `make` has found or installed."""
    own = ROOT / ".venv/bin/node"
    found = str(own) if own.exists() else shutil.which("node")
    if not found:
        raise FileNotFoundError("node: run the proof with make, which installs what it needs")
    return found


class Evaluator:
    """A process that says which requests some policies allow. It answers the same question only once."""

    def __init__(self) -> None:
        self.tried = 0
        self._answers: dict[str, list[str]] = {}
        self._process = subprocess.Popen(  # noqa: S603
            [node(), "evaluate.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def lines(self, **question: Any) -> list[str]:
        """Return every allowed (or denied) request as a line. `evaluate.mjs` describes questions and lines."""
        text = json.dumps(question, sort_keys=True)
        for key, alias in ALIASES.items():
            text = text.replace(f'"{key}"', f'"{alias}"')
        # The evaluator treats a function's alias as another resource type, which does not have InvokeFunction.
        text = re.sub(r"(:function:[\w-]+):live", r"\1_at_live", text)
        asked = hashlib.sha256(text.encode()).hexdigest()
        if asked not in self._answers:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
            reply: Mapping[str, Any] = json.loads(self._process.stdout.readline())
            if "error" in reply:
                raise ValueError(reply["error"])
            self.tried += reply["tried"]
            self._answers[asked] = reply["lines"]
        return self._answers[asked]
