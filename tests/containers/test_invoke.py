"""`sam local invoke`, as docs/start/containers.md shows it, for every function and each of its samples."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.entry import is_entry
from ledger_cli import ROOT, artefact
from ledger_cli.engine import Engine, template
from ledger_cli.samples import register_sample_processors
from tests.containers import container_engine
from tests.containers.conftest import SHELL

FUNCTIONS = {
    name: resource["Properties"]["Handler"].partition(".")[0]
    for name, resource in template.load(ROOT / "template.yaml")["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
SAMPLES = [
    ("ValidateEntry" if is_entry(json.loads(file.read_text())) else "ValidatePayment", file)
    for file in sorted((ROOT / "events/start").glob("*.json"))
] + [
    (name, file)
    for name, module in FUNCTIONS.items()
    for file in sorted((ROOT / "events/functions").glob("*.json"))
    if file.stem.partition("-")[0] == module
]
PAGE = ROOT / "docs/start/containers.md"
PAGE_LINES = re.findall(r"^sam local invoke .+", PAGE.read_text(), re.MULTILINE)
OF_CIPHERTEXTS = {"LeafHashes", "CiphertextHashes", "Root", "Peaks", "Note", "Checkpoint"}
"""What a seal and its event have that depends on the ciphertexts, which are new each time."""

MARKERS = {"requestId", "stackTrace"}
"""The fields that differ between two invocations that raise the same error."""


def sam(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run SAM CLI in the project's folder."""
    return subprocess.run(  # noqa: S603
        ["sam", *arguments],  # noqa: S607
        cwd=ROOT,
        env=SHELL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def reply_of(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the function's reply, which is the command's standard output."""
    assert done.returncode == 0, done.stderr
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_every_function_has_a_sample() -> None:
    """A sample without a function, or a function without a sample, would never run."""
    assert {name for name, _ in SAMPLES} == set(FUNCTIONS)
    files = {file for folder in ("start", "functions") for file in (ROOT / "events" / folder).glob("*.json")}
    assert {file for _, file in SAMPLES} == files


MAKE = ["make", "--no-print-directory", "--silent", "-C", "functions"]


def test_the_byte_code_is_that_of_the_sources(tmp_path: Path) -> None:
    """Lambda runs the byte code and does not read the sources, so the two must agree for a review to mean anything.

    The artefact's sources are this folder's (`artefact.require_fresh`). They are compiled again and compared.
    """
    asked = subprocess.run([*MAKE, "runtime-python"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    if not asked.stdout.strip():
        pytest.skip("NOT TESTED: without python3.13, the artefact has no byte code")
    for function in FUNCTIONS:
        built = artefact.BUILT / function
        again = tmp_path / function
        shutil.copytree(built, again, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([*MAKE, "byte-code", f"ARTIFACTS_DIR={again}"], cwd=ROOT, check=True)  # noqa: S603
        byte_code = {file.relative_to(again) for file in again.rglob("*.pyc")}
        assert byte_code
        assert byte_code == {file.relative_to(built) for file in built.rglob("*.pyc")}
        differs = [file for file in byte_code if (built / file).read_bytes() != (again / file).read_bytes()]
        assert differs == []


def comparable(reply: Any) -> Any:
    """Return a reply without what is new each time: the ciphertext and what depends on it, an ID, the stack, a time."""
    compared = {key: value for key, value in reply.items() if key not in MARKERS | {"EncryptedToken"}}
    if isinstance(compared.get("Entry"), dict):  # `accept_entry` records its own time
        compared["Entry"] = {key: value for key, value in compared["Entry"].items() if key != "RecordedAt"}
    if isinstance(compared.get("Checkpoint"), str):  # the log's root depends on the ciphertext
        compared["Checkpoint"] = compared["Checkpoint"].splitlines()[:2]
    return compared


def prepare(engine: Engine, function: str) -> None:
    """Store what the function needs: items that it reads or marks, or the secrets of the samples' processors."""
    if function == "ReceivePayment":
        register_sample_processors(engine)
    readers = {"PublishOutcome", "RepublishOutcomes", "QueryPaymentLedger", "SealLedger"}
    if function in {*readers, "AppendEntry", "AcceptEntry", "RevealSecureToken"}:
        names = ("encrypt_token", "persist_payment_ledger", "reveal_secure_token")
        to_encrypt, to_persist, to_reveal = (
            json.loads((ROOT / f"events/functions/{name}.json").read_text()) for name in names
        )
        if function == "RevealSecureToken":
            for event in (to_encrypt, to_persist):
                event["Payment"]["TransactionID"] = to_reveal["TransactionID"]
        encrypted = engine.functions["EncryptToken"].invoke(json.dumps(to_encrypt).encode())[0]
        payment = to_persist | json.loads(encrypted)
        engine.functions["PersistPaymentLedger"].invoke(json.dumps(payment).encode())
    if function in {*readers, "AcceptEntry"}:
        engine.functions["AppendEntry"].invoke((ROOT / "events/functions/append_entry.json").read_bytes())


def left_behind_in(engine: Engine) -> list[dict[str, Any]]:
    """Wait until every execution has ended, and return items and events without what is new each time."""
    for execution in engine.executions():
        assert engine.wait_for(execution).outcome
    new_each_time = {"SecureToken", "RecordedAt", "PublishedAt"} | OF_CIPHERTEXTS
    tables = (*engine.items(), *engine.entries(), *engine.seals())
    left = [*tables, *(event["detail"] for event in engine.published())]
    return [{name: value for name, value in one.items() if name not in new_each_time} for one in left]


@pytest.mark.parametrize(("function", "file"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
def test_a_sample_has_the_same_result_in_a_container(engine: Engine, env_file: Path, function: str, file: Path) -> None:
    """Other tests run the functions in their own process, and must see what the artefact does in a real runtime."""
    prepare(engine, function)
    done = sam("local", "invoke", function, "-e", str(file.relative_to(ROOT)), "--env-vars", str(env_file))
    in_container, left_behind = reply_of(done), left_behind_in(engine)
    engine.functions[function].restart()
    engine.clear()
    prepare(engine, function)
    in_process = json.loads(engine.functions[function].invoke(file.read_bytes())[0])
    assert comparable(in_container) == comparable(in_process)
    assert left_behind == left_behind_in(engine)


@pytest.fixture(scope="module")
def as_the_page_says() -> Iterator[None]:
    """`ledger serve --sam env.json` in a process of its own, until the module's end."""
    lines = PAGE.read_text().splitlines()
    command = next(line for line in lines if line.startswith("ledger serve --sam"))
    words = shlex.split(command, comments=True)
    assert words[0] == "ledger"
    with (
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "ledger_cli", *words[1:]], cwd=ROOT, env=SHELL, stdout=subprocess.PIPE, text=True
        ) as server
    ):
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("Ready"):
                break
        yield
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    (ROOT / words[words.index("--sam") + 1]).unlink()


def test_the_page_shows_every_function() -> None:
    """A newcomer tries what is shown."""
    assert {shlex.split(line)[3] for line in PAGE_LINES} == set(FUNCTIONS)


@pytest.mark.parametrize("line", PAGE_LINES)
@pytest.mark.usefixtures("as_the_page_says")
def test_a_line_of_the_page_works_as_it_is_written(line: str) -> None:
    """Copied from the page, letter by letter, in the order in which they stand there."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "sam"
    reply = reply_of(sam(*arguments))
    assert "errorType" not in reply, reply
    assert reply.get("statusCode", 202) in {200, 202}, reply


# ── The artefact ────────────────────────────────────────────────────────────────────────────────────

MAX_BYTES = 2_000_000
"""The largest size of a function's files in the artefact."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_artefact_has_only_what_the_functions_need(function: str) -> None:
    """Every cold start loads each file from an archive, and each file more is one more that could be wrong."""
    folder = artefact.BUILT / function
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "functions/requirements.txt").read_text(), re.MULTILINE)
    packages = {name.replace("-", "_") for name, _ in pinned}
    distributions = {f"{name.replace('-', '_')}-{version}.dist-info" for name, version in pinned}
    modules = {file.name for file in (ROOT / "functions").glob("*.py")}
    found = {entry.name for entry in folder.iterdir()}
    expected = modules | distributions | {"ledger", "__pycache__"}
    assert {name.removesuffix(".py") for name in found - expected} == packages
    assert {file.name for file in (folder / "ledger").iterdir()} - {"__pycache__"} == {
        *(file.name for file in (ROOT / "functions/ledger").glob("*.py")),
        "formats",
        "sdk_data",
    }
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < MAX_BYTES


FIND_MODULES = """
import importlib.util, json, pathlib
modules = pathlib.Path("/var/task").rglob("*.py")
cached = {str(file): pathlib.Path(importlib.util.cache_from_source(file)) for file in modules}
compiled = {module: file.read_bytes()[:8].hex() if file.is_file() else "" for module, file in cached.items()}
print(json.dumps([(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")).hex(), compiled]))
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_module_has_byte_code_for_the_runtime(function: str) -> None:
    """A function's folder is read-only, so a module without byte code is compiled at each start, which takes longer.

    Source: PEP 552, what a .pyc begins with: the interpreter's magic number, and 1 for a hash that is not checked.
    """
    folder = f"{artefact.BUILT / function}:/var/task:ro"
    python = [
        "docker",
        "run",
        "--rm",
        "--network=none",
        f"--volume={folder}",
        f"--entrypoint={container_engine.RUNTIME}",
    ]
    command = [*python, container_engine.base_image_tag(), "-c", FIND_MODULES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    beginning, compiled = json.loads(done.stdout)
    assert len(compiled) > 50
    assert {module: first for module, first in compiled.items() if first != beginning} == {}


def test_sam_accepts_the_template() -> None:
    """`sam validate --lint` checks offline what `sam deploy` would check."""
    done = sam("validate", "--lint")
    assert done.returncode == 0, done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_the_artefact_is_fresh() -> None:
    """`ledger serve --sam` makes the same check before it starts."""
    artefact.require_fresh()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return the template of a copy of the artefact that lacks a dependency."""
    folder = tmp_path / "build"
    shutil.copytree(artefact.BUILT, folder)
    (folder / "template.yaml").write_text(
        (folder / "template.yaml").read_text().replace("../../statemachine", str(ROOT / "statemachine"))
    )
    shutil.rmtree(folder / "ValidatePayment/aws_lambda_powertools")
    return folder / "template.yaml"


def test_a_missing_dependency_is_noticed(engine: Engine, env_file: Path, broken: Path) -> None:
    """A run in the tests' own process cannot notice it, because it imports the tools' copy of the package."""
    sample = ROOT / "events/start/01-success.json"
    where = ["--template", str(broken), "--config-file", str(ROOT / "samconfig.toml")]
    done = sam("local", "invoke", "ValidatePayment", "-e", str(sample), "--env-vars", str(env_file), *where)
    reply = reply_of(done)
    assert reply["errorType"] == "Runtime.ImportModuleError"
    in_process = json.loads(engine.functions["ValidatePayment"].invoke(sample.read_bytes())[0])
    assert comparable(reply) != comparable(in_process)


def test_an_old_container_engine_is_not_accepted(tmp_path: Path) -> None:
    """Otherwise SAM CLI fails later, with a stack trace."""
    fake = tmp_path / "docker"
    fake.write_text('#!/bin/sh\ncase "$*" in *APIVersion*) echo 1.24;; *) echo 1.12.6;; esac\n')
    fake.chmod(0o755)
    asked = subprocess.run(
        [sys.executable, "-m", "tests.containers"],
        cwd=ROOT,
        env={**SHELL, "PATH": f"{tmp_path}{os.pathsep}{SHELL['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 1
    assert re.fullmatch(r"containers: the engine speaks API 1\.24, and SAM CLI needs [\d.]+: .+\n", asked.stderr)


def test_a_variable_leaves_these_tests_out() -> None:
    """Somebody must set the variable on purpose, and the output says that nothing was tested."""
    asked = subprocess.run(
        [sys.executable, "-m", "tests.containers"],
        cwd=ROOT,
        env={**SHELL, "WITHOUT_CONTAINERS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0
    assert "NOT TESTED" in asked.stdout
