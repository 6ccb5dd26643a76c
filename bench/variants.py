"""What is measured: the artefact that `sam build` makes, the same without one of its savings, and what others write."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.measure import Bench, BenchError, Function
from bench.runtime_api import Call
from ledger_cli import ROOT

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv/bench/bin/python"
SAMPLES = {
    "validate_payment": "start/01-success",
    "encrypt_token": "functions/encrypt_token",
    "persist_payment_ledger": "functions/persist_payment_ledger",
    "publish_outcome": "functions/publish_outcome-recorded",
}
STEPS = tuple(SAMPLES)
EVENTS = {step: (ROOT / f"events/{name}.json").read_bytes() for step, name in SAMPLES.items()}
RUNTIME = """from aws_lambda_powertools import Logger, Metrics
logger, metrics = Logger(), Metrics()
def handler(event, context): return event
"""


class Change(NamedTuple):
    """A saving switched off: *instead* stands in *file* where *line* stood. Without them, byte code is left out."""

    file: str = ""
    line: str = ""
    instead: str = "pass"

    def apply(self, artefact: Path) -> None:
        """Change the artefact, and compile it again."""
        for folder in list(artefact.rglob("__pycache__")):
            shutil.rmtree(folder)
        if self.file:
            source = (artefact / self.file).read_text()
            (artefact / self.file).write_text(source.replace(self.line, self.instead))
            command = [str(PYTHON), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(artefact)]
            subprocess.run(command, check=True)  # noqa: S603


SWITCHED_OFF = {
    "without byte code": Change(),
    "with all of the SDK's data": Change(
        "ledger/aws.py", 'session.register_component("data_loader", TrimmedSdkData())'
    ),
    "with boto3": Change("ledger/aws.py", "session = Session()", "session = __import__('boto3').Session()._session"),
    "with a session for each client": Change("ledger/aws.py", "@functools.cache", ""),
    "with garbage collection": Change("ledger/cold_start.py", "gc.set_threshold(100_000)"),
}
"""What the artefact is without one of its savings, and the line that makes it so."""


def build(folder: Path) -> Path:
    """The artefact, by the Makefile that `sam build` runs, with byte code for the Python that is measured."""
    artefact = folder / "ours"
    artefact.mkdir()
    command = ["make", "--silent", "build-bench", f"ARTIFACTS_DIR={artefact}", f"RUNTIME_PYTHON={PYTHON}"]
    done = subprocess.run(command, cwd=ROOT / "functions", capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BenchError(f"the artefact cannot be built: {done.stderr}")
    return artefact


def ours(artefact: Path, name: str = "ours") -> list[Function]:
    """The four functions."""
    return [Function(f"{name} {step}", artefact, f"{step}.handler", EVENTS[step]) for step in STEPS]


def others(folder: Path, artefact: Path) -> Iterator[Function]:
    """What ours are compared with: `<variant> <step>`."""
    for variant in ("lean", "typical"):
        for step in STEPS:
            yield Function(f"{variant} {step}", HERE / variant, f"{step}.handler", EVENTS[step])
    yield Function("single record_payment", HERE / "single", "record_payment.handler", EVENTS["validate_payment"])
    runtime = folder / "runtime"
    runtime.mkdir()
    (runtime / "nothing.py").write_text(RUNTIME)
    for name in ("aws_lambda_powertools", "jmespath", "typing_extensions.py", "__pycache__"):
        (runtime / name).symlink_to(artefact / name)
    yield Function("runtime nothing", runtime, "nothing.handler", b"{}")


def without_a_saving(folder: Path, artefact: Path) -> Iterator[Function]:
    """The four functions once for each saving that is switched off: `<how> <step>`."""
    for number, (how, change) in enumerate(SWITCHED_OFF.items()):
        changed = folder / f"changed-{number}"
        shutil.copytree(artefact, changed)
        change.apply(changed)
        yield from ours(changed, how)


def bare(folder: Path, bench: Bench, function: Function) -> Function:
    """Plain boto3 making the very calls that one of our functions makes: `bare <step>`."""
    calls = calls_of(bench, function)
    step = function.name.split()[-1]
    recorded = folder / f"{step}.calls.json"
    recorded.write_text(json.dumps([(call.service, call.operation, call.body) for call in calls]))
    again = Function(f"bare {step}", HERE / "bare", "calls.handler", function.event, {"BENCH_CALLS": str(recorded)})
    if [call.body for call in calls_of(bench, again)] != [call.body for call in calls]:
        raise BenchError(f"{again.name} does not send what {function.name} sends")
    return again


def calls_of(bench: Bench, function: Function) -> list[Call]:
    """What the function sends to AWS in one invocation."""
    bench.aws.calls.clear()
    bench.run(function)
    return list(bench.aws.calls)
