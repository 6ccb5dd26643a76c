"""`make test-containers`: the tests of this folder, with a container engine, the base image and a new artefact."""

import os
import signal
import subprocess
import sys
import tempfile

from ledger_cli import ROOT
from tests.containers import container_engine
from tests.containers.container_engine import ContainerEngine, NoContainersError, say

SAM = str(ROOT / ".venv/sam/bin/sam")
PYTEST = [sys.executable, "-m", "pytest", "--show-capture=no"]


def main(arguments: list[str]) -> int:
    """Set up, run the tests, leave nothing behind, and return the exit status."""
    if os.environ.get("WITHOUT_CONTAINERS"):
        say("NOT TESTED: WITHOUT_CONTAINERS is set, so nothing ran in a real Lambda runtime")
        return 0
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # as Ctrl-C does, so that everything that was started is stopped
    try:
        with (
            container_engine.running() as engine,
            tempfile.TemporaryDirectory(prefix="payment-ledger-tests-") as folder,
        ):
            environment = _environment(engine, folder)
            say("sam build")
            subprocess.run([SAM, "build", "--no-cached"], cwd=ROOT, env=environment, capture_output=True, check=True)  # noqa: S603
            tests = [*PYTEST, *(arguments or ["tests/containers"])]
            return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603
    except NoContainersError as error:
        print(f"containers: {error}. Or set WITHOUT_CONTAINERS=1 to leave these tests out.", file=sys.stderr)  # noqa: T201
    except subprocess.CalledProcessError as error:
        sys.stderr.write((error.stderr or b"").decode())
        print(f"containers: this command failed: {error.cmd}", file=sys.stderr)  # noqa: T201
    return 1


def _environment(engine: ContainerEngine, folder: str) -> dict[str, str]:
    """Return the shell's environment with the engine, this project's commands, and *folder* for SAM CLI's files."""
    commands = [str(ROOT / ".venv/sam/bin"), str(ROOT / ".venv/bin"), os.environ["PATH"]]
    return {
        **os.environ,
        **engine.environment,
        # The base image's own Python compiles the byte code, so this machine does not need one.
        "RUNTIME_PYTHON": "docker run --rm --network none --env PYTHONHASHSEED "
        "--volume $(ARTIFACTS_DIR):$(ARTIFACTS_DIR) "
        f"--entrypoint {container_engine.RUNTIME} {container_engine.base_image_tag()}",
        "PATH": os.pathsep.join(commands),
        "TMPDIR": folder,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_SKIP_PULL_IMAGE": "1",  # the image has been fetched or made before
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
