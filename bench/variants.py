"""What is measured: the artefact of `sam build`, the same without one of its savings, and other functions."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.measure import Bench, BenchError, Function
from bench.runtime_api import Aws, Call
from ledger_cli import ROOT
from tests.support.patches import apply_patch

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

ALL_AUTHORITIES = "with all certificate authorities"
SWITCHED_OFF: dict[str, Path | None] = {
    "without byte code": None,
    "with all of the SDK's data": HERE / "variants/with-all-of-the-sdk-data.patch",
    "with boto3": HERE / "variants/with-boto3.patch",
    "with a session for each client": HERE / "variants/with-a-session-for-each-client.patch",
    "with garbage collection": HERE / "variants/with-garbage-collection.patch",
    "with the modules that nothing calls": HERE / "variants/with-the-modules-that-nothing-calls.patch",
    ALL_AUTHORITIES: HERE / "variants/with-all-authorities.patch",
    "with the SDK's handlers of all services": HERE / "variants/with-all-handlers.patch",
    "with all places of credentials": HERE / "variants/with-all-places-of-credentials.patch",
}
"""The artefact without one of its savings, and the patch that makes it so; byte code is left out without a patch."""
SWITCHED_OFF_WARM: dict[str, Path | None] = {
    "with the SDK's own name of the caller": HERE / "variants/with-its-own-name-of-the-caller.patch",
    "with the SDK's check of parameters": HERE / "variants/with-its-check-of-parameters.patch",
}
"""The same for the savings of a warm call."""


def build(folder: Path, aws: Aws) -> Path:
    """Build the artefact by the Makefile that `sam build` runs, with byte code for the Python that is measured.

    The stub's certificate is then one of Amazon's.
    """
    artefact = folder / "ours"
    artefact.mkdir()
    command = ["make", "--silent", "build-bench", f"ARTIFACTS_DIR={artefact}", f"RUNTIME_PYTHON={PYTHON}"]
    done = subprocess.run(command, cwd=ROOT / "functions", capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the artefact cannot be built: {done.stderr}")
    with (artefact / "ledger/sdk_data/authorities.pem").open("ab") as authorities:
        authorities.write(aws.certificate.read_bytes())
    return artefact


def own_functions(artefact: Path, variant: str = "ours") -> list[Function]:
    """Return the four functions of the artefact: `<variant> <step>`."""
    own = variant != ALL_AUTHORITIES
    return [
        Function(f"{variant} {step}", artefact, f"{step}.handler", EVENTS[step], has_authorities=own) for step in STEPS
    ]


def other_functions(folder: Path, artefact: Path) -> Iterator[Function]:
    """Yield the functions with which our own are compared: `<variant> <step>`."""
    for variant in ("lean", "typical"):
        for step in STEPS:
            yield Function(f"{variant} {step}", HERE / variant, f"{step}.handler", EVENTS[step])
    yield Function("single record_payment", HERE / "single", "record_payment.handler", EVENTS["validate_payment"])
    runtime = folder / "runtime"
    runtime.mkdir()
    (runtime / "nothing.py").write_text(RUNTIME)
    for name in ("aws_lambda_powertools", "typing_extensions.py", "__pycache__"):
        (runtime / name).symlink_to(artefact / name)
    yield Function("runtime nothing", runtime, "nothing.handler", b"{}")


def functions_without_a_saving(folder: Path, artefact: Path, savings: Mapping[str, Path | None]) -> Iterator[Function]:
    """Yield the four functions once for each saving that is switched off: `<variant> <step>`."""
    for variant, patch in savings.items():
        changed = folder / variant
        shutil.copytree(artefact, changed)
        switch_off(changed, patch)
        yield from own_functions(changed, variant)


def switch_off(artefact: Path, patch: Path | None) -> None:
    """Remove the byte code; if there is a patch, apply it to the artefact and compile the artefact again."""
    for folder in list(artefact.rglob("__pycache__")):
        shutil.rmtree(folder)
    if patch:
        apply_patch(patch, artefact, strip=2)  # a/functions/ledger/aws.py is ledger/aws.py in the artefact
        command = [str(PYTHON), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(artefact)]
        subprocess.run(command, check=True)


def bare_function(folder: Path, bench: Bench, function: Function) -> Function:
    """Return a function that makes the very calls of one of our functions with plain boto3: `bare <step>`."""
    calls = record_calls(bench, function)
    step = function.name.split()[-1]
    recorded = folder / f"{step}.calls.json"
    recorded.write_text(json.dumps([(call.service, call.operation, call.body) for call in calls]))
    bare = Function(f"bare {step}", HERE / "bare", "calls.handler", function.event, {"BENCH_CALLS": str(recorded)})
    if [call.body for call in record_calls(bench, bare)] != [call.body for call in calls]:
        raise BenchError(f"{bare.name} does not send what {function.name} sends")
    return bare


def record_calls(bench: Bench, function: Function) -> list[Call]:
    """Run the function once, and return what it sends to AWS."""
    bench.aws.calls.clear()
    bench.run(function)
    return list(bench.aws.calls)
