"""A container engine and Lambda's base image: the machine's own, or ones that this module sets up.

If an engine answers, the tests use it. Afterwards it is as it was before, except that it has the base image. If no
engine answers, Debian's is installed and started with its own folders, and without rules for the network, so that a
container reaches only this machine. After the tests it is stopped, and everything that ran in it is removed. If the
public base image cannot be fetched, a stand-in is made: Debian's Python 3.13 with Lambda's runtime client and boto3.
"""

import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger_cli import ROOT

FOLDER = ROOT / ".venv/containers"
RUNTIME_REQUIREMENTS = ROOT / "requirements/runtime.txt"
SAM_PYTHON = ROOT / ".venv/sam/bin/python"
RUNTIME = "python3.13"
DEBIAN = "trixie"  # its Python is 3.13
MACHINE = platform.machine()
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(MACHINE, MACHINE)
PULL_TIMEOUT_S = 300
BUILD_TIMEOUT_S = 600
START_TIMEOUT_S = 30
LABEL = "payment-ledger.stand-in"

BOOTSTRAP = """#!/bin/sh
export PYTHONPATH=/var/runtime
cd /var/task
exec /usr/bin/python3.13 -m awslambdaric "$_HANDLER"
"""
CHANGES = [
    "ENV PATH=/usr/bin:/bin LANG=C.UTF-8 LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
    "WORKDIR /var/task",
]


class NoContainersError(Exception):
    """Containers cannot run here. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """An engine that answers, and the environment through which SAM CLI finds it."""

    description: str
    environment: dict[str, str]

    def docker(self, *arguments: str, timeout_s: float = 60, check: bool = True) -> str:
        """Run the docker command, and return what it prints."""
        return _run(["docker", *arguments], environment=self.environment, timeout_s=timeout_s, check=check)

    def containers(self) -> set[str]:
        """Return the IDs of all containers, also of those that have ended."""
        return set(self.docker("ps", "--all", "--quiet", "--no-trunc").split())


def say(line: str) -> None:
    """Print what happens: the first set-up takes minutes."""
    print(f"containers: {line}", flush=True)  # noqa: T201


@contextmanager
def running() -> Iterator[ContainerEngine]:
    """Yield an engine that has the base image.

    Raises:
        NoContainersError: no engine runs, it is too old, or the base image can be neither fetched nor made.
    """
    if version := _server_version({}):
        engine = ContainerEngine(f"using the engine that runs here, version {version}", {})
        with _nothing_left_behind(engine):
            yield engine
    else:
        _install()
        with _started() as engine, _nothing_left_behind(engine):
            yield engine


@contextmanager
def _nothing_left_behind(engine: ContainerEngine) -> Iterator[None]:
    _require_recent(engine)
    say(engine.description)
    say(f"the base image is {_base_image(engine)}")
    before = engine.containers()
    try:
        yield
    finally:
        for left in engine.containers() - before:
            engine.docker("rm", "--force", left, check=False)


# ── The engine ──────────────────────────────────────────────────────────────────────────────────────


def _server_version(environment: dict[str, str]) -> str:
    if shutil.which("docker") is None:
        return ""
    return _run(["docker", "version", "--format", "{{.Server.Version}}"], environment=environment, check=False)


def _require_recent(engine: ContainerEngine) -> None:
    needed = _ask_sam("from samcli.lib.constants import DOCKER_MIN_API_VERSION as v; print(v)")
    spoken = engine.docker("version", "--format", "{{.Server.APIVersion}}")
    if [int(part) for part in spoken.split(".")] < [int(part) for part in needed.split(".")]:
        raise NoContainersError(f"the engine speaks API {spoken}, and SAM CLI needs {needed}: update the engine")


def _install() -> None:
    """Install Debian's engine if it is missing."""
    missing = [
        package
        for package, command in (("docker.io", "dockerd"), ("debootstrap", "debootstrap"), ("iproute2", "ip"))
        if shutil.which(command) is None
    ]
    if not (os.geteuid() == 0 and shutil.which("apt-get")):
        raise NoContainersError(
            "no container engine answers the docker command: start one, or run this as root on Debian to install one"
        )
    if missing:
        say(f"installing Debian's {', '.join(missing)}")
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "-qq", "update"], environment=environment, timeout_s=BUILD_TIMEOUT_S)
        install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing]
        _run(install, environment=environment, timeout_s=BUILD_TIMEOUT_S)


@contextmanager
def _started() -> Iterator[ContainerEngine]:
    """Run dockerd with its own folders, and yield it. Its images stay for the next run."""
    had_bridge = Path("/sys/class/net/docker0").exists()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="payment-ledger-") as folder, (FOLDER / "dockerd.log").open("wb") as log:
        address = f"unix://{folder}/docker.sock"
        environment = {"DOCKER_HOST": address}
        daemon = subprocess.Popen(  # noqa: S603
            [
                *("dockerd", "--host", address, "--pidfile", f"{folder}/pid", "--exec-root", f"{folder}/exec"),
                *("--data-root", str(FOLDER / "docker"), "--iptables=false", "--ip6tables=false", "--ip-masq=false"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C stops the tests, which then stop dockerd
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not (version := _server_version(environment)):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise NoContainersError(f"Debian's engine does not start: read {FOLDER / 'dockerd.log'}")
                time.sleep(0.2)
            yield ContainerEngine(f"using Debian's engine, version {version}, started for this run", environment)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=START_TIMEOUT_S)
            if not had_bridge:
                _run(["ip", "link", "delete", "docker0"], check=False)


# ── The base image ──────────────────────────────────────────────────────────────────────────────────


def base_image_tag() -> str:
    """Return the name under which SAM CLI looks for the image."""
    return _ask_sam(
        "from samcli.local.docker.lambda_image import LambdaImage as I, Runtime as R;"
        f"print(I._INVOKE_REPO_PREFIX + '/' + R.get_image_name_tag('{RUNTIME}', '{ARCHITECTURE}'))"
    )


def _base_image(engine: ContainerEngine) -> str:
    """Fetch or make the image that SAM CLI needs, and return a description of it."""
    tag = base_image_tag()
    recipe = _recipe()
    found = engine.docker("image", "inspect", tag, "--format", "{{json .Config.Labels}}", check=False)
    made_by = (json.loads(found) or {}).get(LABEL) if found else None
    if found and made_by is None:
        return "the public one"
    if made_by == recipe:
        return "the stand-in, which an earlier run has made"
    if not found:
        say("fetching the public base image")
        try:
            engine.docker("pull", "--quiet", tag, timeout_s=PULL_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            say("it cannot be fetched, so a stand-in is made from Debian, which takes a minute")
        else:
            return "the public one, fetched now"
    _import_stand_in(engine, tag, recipe)
    return "a stand-in: Debian's Python 3.13, Lambda's runtime client and boto3"


def _recipe() -> str:
    """Return a digest of everything of which the stand-in is made: another recipe makes another image."""
    made_of = [RUNTIME_REQUIREMENTS.read_text(), DEBIAN, BOOTSTRAP, *CHANGES]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()


def _import_stand_in(engine: ContainerEngine, tag: str, recipe: str) -> None:
    if not (os.geteuid() == 0 and shutil.which("debootstrap")):
        raise NoContainersError(
            "the base image is missing and cannot be fetched: `docker pull` it on a network that has it, or run this "
            "on Debian as root with debootstrap installed"
        )
    mirrors = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).split()
    if not mirrors:
        raise NoContainersError("apt has no mirror from which to make the stand-in image: run `apt-get update`")
    with tempfile.TemporaryDirectory(prefix="payment-ledger-image-") as folder:
        root = Path(folder) / "root"
        packages = "python3.13-minimal,libpython3.13-stdlib,ca-certificates"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", DEBIAN, str(root), mirrors[0]]
        _run(bootstrap, timeout_s=BUILD_TIMEOUT_S)
        runtime = root / "var/runtime"
        platforms = [f"--platform={name}_{MACHINE}" for name in ("manylinux2014", "manylinux_2_28")]
        _run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"),
                *("--requirement", str(RUNTIME_REQUIREMENTS), "--target", str(runtime), "--no-compile"),
                *("--only-binary", ":all:", "--python-version", "3.13", *platforms),
            ],
            timeout_s=BUILD_TIMEOUT_S,
        )
        (runtime / "bootstrap").write_text(BOOTSTRAP)
        (runtime / "bootstrap").chmod(0o755)
        (root / "var/task").mkdir()
        archive = Path(folder) / "image.tar"
        without = [f"--exclude=./{path}" for path in ("var/cache", "var/lib/apt", "usr/share/doc", "usr/share/man")]
        _run(["tar", "--directory", str(root), "--create", "--file", str(archive), *without, "."])
        changes = [f"--change={change}" for change in [*CHANGES, f"LABEL {LABEL}={recipe}"]]
        engine.docker("import", *changes, str(archive), tag, timeout_s=BUILD_TIMEOUT_S)


def _ask_sam(script: str) -> str:
    return _run([str(SAM_PYTHON), "-c", script])


def _run(
    command: list[str], *, environment: dict[str, str] | None = None, timeout_s: float = 60, check: bool = True
) -> str:
    """Return what the command prints on standard output, stripped, or nothing if it fails without *check*."""
    done = subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode == 0:
        return done.stdout.strip()
    if check:
        raise subprocess.CalledProcessError(done.returncode, shlex.join(command), stderr=done.stderr.encode())
    return ""
