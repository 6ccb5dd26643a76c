"""The policy evaluator, in a process of its own: its licence (AGPL) and its runtime (Node) stay there."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger_cli import ROOT

FOLDER = Path(__file__).parent / "node"

# The evaluator takes no notice of a key with a variable part, nor of a service's key on another service's action.
# An alias that it knows keeps the condition's meaning; a key that it still ignores is an error.
ALIASES = {
    "kms:EncryptionContext:aws:states:stateMachineArn": "aws:PrincipalTag/history-of",
    "kms:EncryptionContext:SourceArn": "aws:PrincipalTag/log-source",
    "kms:EncryptionContext:aws:logs:arn": "aws:PrincipalTag/log-group",
    "lambda:SourceFunctionArn": "aws:PrincipalTag/code-of",
}


def node() -> str:
    """The `node` that `make` has found or installed."""
    own = ROOT / ".venv/bin/node"
    found = str(own) if own.exists() else shutil.which("node")
    if not found:
        raise FileNotFoundError("node: run the proof with make, which installs what it needs")
    return found


class Evaluator:
    """Answers which requests some policies allow; the same question is asked once."""

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
        """Every allowed (or denied) line, "principal action resource context"; `evaluate.mjs` describes a question."""
        text = json.dumps(question, sort_keys=True)
        for key, alias in ALIASES.items():
            text = text.replace(f'"{key}"', f'"{alias}"')
        # To the evaluator a function's alias is another type, on which InvokeFunction is not an action.
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
