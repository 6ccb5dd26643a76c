"""The shell's environment: no variable that reaches the engine can lead it out of this process."""

import ast
import builtins
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import boto3
import botocore
import click
import moto
import pytest
import responses
import s3transfer
from aws_lambda_powertools.shared import constants
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from ledger_cli import ROOT
from ledger_cli.engine.lambda_runtime import LocalFunction, outside_the_handler
from ledger_cli.environment import is_withheld, without_the_shells_variables
from ledger_cli.views.terminal import say
from tests.engine.listening import listening
from tests.support.cli import Runner

PACKAGES = (boto3, botocore, moto, responses, s3transfer)

A_REQUESTS_OWN = {"moto/core/request.py", "moto/moto_server/werkzeug_app.py"}
"""Files in which `environ` belongs to a request to a server."""

ANOTHER_NAME = {
    "botocore/credentials.py: env_key",
    "botocore/credentials.py: mapping['access_key']",
    "botocore/credentials.py: mapping['account_id']",
    "botocore/credentials.py: mapping['expiry_time']",
    "botocore/credentials.py: mapping['secret_key']",
    "botocore/credentials.py: self._mapping['access_key']",
    "botocore/credentials.py: token_env_var",
    "botocore/utils.py: env_var",
    "moto/core/models.py: k",
}
"""Reads whose expression does not contain the name. Somebody has read each: the names begin with `AWS_`."""

OURS = {"VALIDATE_LAMBDA_S3"}
"""Variables that the engine sets itself."""


def variables_read(package: Path) -> set[str]:
    """Return the names of the variables that a package reads; `FILE: EXPRESSION` if the name is not a literal."""
    found = set()
    for file in sorted(package.rglob("*.py")):
        where, text = str(file.relative_to(package.parent)), file.read_text(encoding="utf-8")
        if ("environ" in text or "getenv" in text) and where not in A_REQUESTS_OWN:
            tree = ast.parse(text)
            constants = {
                target.attr if isinstance(target, ast.Attribute) else target.id: node.value.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if isinstance(target, ast.Attribute | ast.Name)
            }
            for key in _keys_read(tree):
                name = key.attr if isinstance(key, ast.Attribute) else getattr(key, "id", "")
                value = key.value if isinstance(key, ast.Constant) else constants.get(name)
                found.add(value if isinstance(value, str) else f"{where}: {ast.unparse(key)}")
    return found


def _keys_read(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called.endswith("getenv") or (called.endswith("environ.get") and "request." not in called):
                yield node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environment(node.value):
            yield node.slice
        elif isinstance(node, ast.Compare) and any(map(_is_environment, node.comparators)):
            yield node.left


def _is_environment(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text.endswith("environ") and "request." not in text


@pytest.fixture(scope="module")
def read() -> set[str]:
    """Return the names of all variables that the installed packages read."""
    found = {name for package in PACKAGES for name in variables_read(Path(str(package.__file__)).parent)}
    for _, variables, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        found |= {variables} if isinstance(variables, str) else set(variables or ())
    return found | {value for name, value in vars(constants).items() if name.endswith("_ENV")}


def test_every_variable_that_a_package_reads_is_withheld(read: set[str]) -> None:
    """A newer moto may read another variable, by which a shell would empty the developer's own moto server."""
    assert {
        "TEST_SERVER_MODE",
        "MOTO_ACCOUNT_ID",
        "AWS_PROFILE",
        "LOG_LEVEL",
    } <= read  # otherwise the search found nothing
    assert {name for name in read if not is_withheld(name)} == ANOTHER_NAME | OURS
    assert all(map(is_withheld, ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "no_proxy")))


def test_the_shells_variables_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process belongs to the caller: only the engine is without these variables, and other variables stay."""
    monkeypatch.setenv("TEST_SERVER_MODE", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "mine")
    monkeypatch.setenv("EDITOR", "vi")
    before = dict(os.environ)
    with without_the_shells_variables():
        assert "TEST_SERVER_MODE" not in os.environ
        assert os.environ["AWS_CONFIG_FILE"] == os.devnull
        assert os.environ["EDITOR"] == "vi"
    assert dict(os.environ) == before


def test_a_function_keeps_its_variables_until_it_is_loaded(tmp_path: Path) -> None:
    """A command that ends in another thread puts the shell's variables back. It waits until the function is loaded."""
    entered, leaving = threading.Event(), threading.Event()

    def command() -> None:
        with without_the_shells_variables():
            entered.set()
            leaving.wait(60)

    (tmp_path / "reads_late.py").write_text(
        "import builtins, os\n"
        "builtins.leave()\n"
        "TABLE_NAME = os.environ['TABLE_NAME']\n"
        "def handler(event, context):\n"
        "    return TABLE_NAME\n"
    )
    other = threading.Thread(target=command)

    def leave() -> None:
        leaving.set()
        other.join(0.2)

    other.start()
    assert entered.wait(60)
    variables = {"TABLE_NAME": "of-the-function", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/reads_late"}
    function = LocalFunction("reads_late", "arn", "reads_late.handler", {}, variables, 3, 256, tmp_path)
    with patch.object(builtins, "leave", leave, create=True):
        assert function.invoke(b"{}") == (b'"of-the-function"', False)
    other.join(60)
    assert "TABLE_NAME" not in os.environ


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server, and the list of its requests."""
    with listening("127.0.0.1") as listener:
        yield listener


@pytest.mark.parametrize("command", ["run", "serve"])
def test_no_variable_leads_out_of_the_process(
    command: str, listener: tuple[str, list[str]], read: set[str], tmp_path: Path
) -> None:
    """`TEST_SERVER_MODE=true ledger run` once emptied a developer's own moto server, and deployed the stack into it."""
    address, came = listener
    names = {name for name in read if name.isidentifier()} | {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    leads = ("ENDPOINT", "URL", "PROXY", "HOST", "URI")
    variables = {name: address if any(part in name for part in leads) else "true" for name in names}
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[broken")
    environment = {**os.environ, **variables, "TEST_PROXY_MODE": "true", "HOME": str(tmp_path)}
    arguments = ["run", "--json", "events/start/01-success.json"] if command == "run" else ["serve", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "ledger_cli", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        if command == "run":
            line = process.stdout.readline()
            assert line.startswith("{"), process.communicate()
            assert json.loads(line)["outcome"] == "RECORDED"
        else:
            assert any(line.startswith("Ready") for line in process.stdout), process.communicate()
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors, came) == (0, "", [])


def test_a_handler_prints_nothing_into_a_commands_output(tmp_path: Path) -> None:
    """Otherwise a test could not read the command's JSON, and the function's log would lack a line."""
    entered, leaving, ended = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        with outside_the_handler():
            leaving.wait(60)

    (tmp_path / "prints_late.py").write_text(
        "import builtins\ndef handler(event, context):\n    builtins.wait()\n    print('of the handler')\n"
    )
    variables = {"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/prints_late"}
    function = LocalFunction("prints_late", "arn", "prints_late.handler", {}, variables, 3, 256, tmp_path)

    def invoke() -> None:
        function.invoke(b"{}")
        ended.set()

    @click.command()
    def command() -> None:
        leaving.set()
        assert ended.wait(60)
        say("of the command")

    with patch.object(builtins, "wait", wait, create=True):
        threading.Thread(target=invoke).start()
        assert entered.wait(60)
        done = Runner().invoke(command, catch_exceptions=False)
    assert (done.stdout, function.logs) == ("of the command\n", ["of the handler\n"])
