"""Every command in a hostile shell: it works, or it says in one line why it does not, and its exit status is true."""

import ast
import itertools
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ledger_cli import ROOT
from ledger_cli.cli import cli
from ledger_cli.engine import Engine
from ledger_cli.engine.server.handler import RequestHandler
from ledger_cli.stack.client import FunctionError, StackError
from ledger_cli.stack.queries import query_ledger
from tests.support.cli import Runner
from tests.support.commands import ARGUMENTS, ON_A_STACK, OPTIONS, SUCCESS, prepare

SAYS = {"redrive": "ledger: no execution had a technical failure: nothing to redrive\n"}
"""What a command says on standard error though it works; it prints nothing then."""

DONE = {
    "accept": "the entry of refused-1 is recorded",
    "register-processor": "new-pay has a new secret ",
    "retry": "the entry of refused-2 may be started",
    "rotate-secret": "acme-pay has a new secret ",
    "set-prefix": "acme-pay was changed ",
    "start": "stopped at input 1 of 1 ",
}
"""What a command says if nobody reads its output, since it has done something all the same."""

AT_A_TIME = 4


def job(
    name: str, *more: str, stdout: str = "", stdin: str = os.devnull, encoding: str = "", **variables: str
) -> dict[str, Any]:
    """Describe one run of a command to `tests.command.forked`, which interrupts `serve` once it is ready."""
    return {
        "arguments": [name, *(more or ARGUMENTS[name])],
        "stdout": stdout,
        "stdin": stdin,
        "encoding": encoding,
        "variables": variables,
        "interrupt": "Ready" if name == "serve" and not stdout else None,
    }


Ended = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Start a process that forks commands. It has no settings of AWS, and its proxy to AWS does not exist."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LEDGER_"))}
    alone = {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-m", "tests.command.forked"]
    with subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, env={**shell, **alone}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.communicate()


@pytest.fixture
def ended(forking: subprocess.Popen[str], tmp_path: Path) -> Ended:
    """Return a function that runs commands, a few at a time, and returns how each has ended."""

    def of(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert forking.stdin is not None
        assert forking.stdout is not None
        results: list[dict[str, Any]] = []
        for first in range(0, len(jobs), AT_A_TIME):
            folder = tmp_path / f"jobs-{first}"
            folder.mkdir()
            asked = {"folder": str(folder), "jobs": jobs[first : first + AT_A_TIME]}
            forking.stdin.write(f"{json.dumps(asked)}\n")
            forking.stdin.flush()
            results += json.loads(forking.stdout.readline())
        return results

    return of


@pytest.fixture
def endpoint(engine: Engine, endpoint: str) -> str:
    """Return the address of the engine, with which every command works."""
    prepare(engine)
    return endpoint


def test_every_command_is_tried() -> None:
    """A new command needs arguments in `tests.support.commands`, and then meets every condition."""
    assert cli.commands.keys() == ARGUMENTS.keys()


# ── Output ──────────────────────────────────────────────────────────────────────────────────────────


def test_output_that_cannot_be_written(endpoint: str, ended: Ended) -> None:
    """A script must not take half a list for all of it. Python reports the error in ten lines, or not at all."""
    jobs = [job(name, stdout="/dev/full", LEDGER_ENDPOINT_URL=endpoint) for name in ARGUMENTS]
    for name, one in zip(ARGUMENTS, ended(jobs), strict=True):
        if name in SAYS:
            assert (one["status"], one["stderr"]) == (0, SAYS[name]), name
            continue
        assert one["status"] == 74, (name, one)
        assert one["stderr"].startswith("ledger: standard output: no space left on device"), (name, one)
        assert one["stderr"].count("\n") == 1, (name, one)


def test_a_reader_that_goes_away(endpoint: str, ended: Ended) -> None:
    """`ledger list … | head` ends without a message, and without the status of a failure."""
    jobs = [job(name, stdout="unread", LEDGER_ENDPOINT_URL=endpoint) for name in ARGUMENTS]
    for name, one in zip(ARGUMENTS, ended(jobs), strict=True):
        if name in DONE:  # what was done all the same is said
            assert one["stderr"].startswith(f"ledger: {DONE[name]}"), one
            one["stderr"] = ""
        assert (one["status"], one["stderr"]) == ((0, SAYS[name]) if name in SAYS else (141, "")), name


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_shell_that_is_set_up_for_other_work(endpoint: str, ended: Ended, tmp_path: Path, encoding: str) -> None:
    """A terminal that is not UTF-8, a proxy and settings of AWS do not matter to an engine on this machine."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[broken")
    variables = {
        "LEDGER_ENDPOINT_URL": endpoint,
        "HOME": str(tmp_path),
        "AWS_MAX_ATTEMPTS": "abc",
        "AWS_PROFILE": "none",
        "AWS_ENDPOINT_URL": "nonsense",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "nonsense",
    }
    # The two that deploy the stack take seconds: one encoding is enough.
    names = [name for name in ARGUMENTS if encoding == "latin-1" or name not in {"run", "serve"}]
    jobs = [job(name, encoding=encoding, **variables) for name in names]
    for name, one in zip(names, ended(jobs), strict=True):
        assert (one["status"], one["stderr"]) == (0, SAYS.get(name, "")), (name, one)
        assert one["stdout"] or name in SAYS, name


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["option", "variable"])
@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:4510", "localhost:4510", "nonsense", "ftp://127.0.0.1:4510", "http://", "http://:4510",
        "http://127.0.0.1:port", "http://127.0.0.1:99999", "http://127.0.0.1:-1", "http://127.0.0.1:0", "http://[::1",
        "http://127.0.0.1:4510/path", "http://127.0.0.1:4510?a=b", "http://127.0.0.1:4510#a", "http://a@127.0.0.1:4510",
        "http://a_b:4510", "http://a b:4510", " http://127.0.0.1:4510", "http://127.0.0.1:4510\n", "http://[v1.x]:1",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_not_valid(url: str, way: str) -> None:
    """The status is 2. It was 1 for `ledger get`, which means that the payment is not there."""
    variables = {"LEDGER_ENDPOINT_URL": url} if way == "variable" else {}
    for name in ON_A_STACK:
        given = ["--endpoint-url", url] if way == "option" else []
        done = Runner(env=variables).invoke(cli, [name, *ARGUMENTS[name], *given])
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), (name, done.output)
        assert "give http://HOST:PORT, as `ledger serve` prints it" in done.stderr


@pytest.mark.parametrize("way", ["option", "variable"])
@pytest.mark.parametrize(
    "url",
    ["http://ledger.example:4510", "http://10.0.0.1", "http://127.0.0.1.nip.io:1", "http://0.0.0.0:4510", "http://[::]:1",
     "http://localhost.example:1", "http://[fe80::1]:1", "HTTP://ledger.example", "http://2130706433:1"],
)  # fmt: skip
def test_plain_http_leads_nowhere_but_to_this_machine(url: str, way: str) -> None:
    """A token that is not sealed yet would cross the network in plaintext."""
    variables = {"LEDGER_ENDPOINT_URL": url} if way == "variable" else {}
    given = ["--endpoint-url", url] if way == "option" else []
    done = Runner(env=variables).invoke(cli, ["start", SUCCESS, *given])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert ("http is for this machine only" in done.stderr) is (not url.startswith("HTTP:")), done.stderr


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://localhost:1", "http://LOCALHOST:1", "http://127.1.2.3:1", "http://[::1]:1"]
)
def test_this_machine_may_be_asked_by_plain_http(url: str) -> None:
    """The command tries to connect, although nothing listens there."""
    done = Runner().invoke(cli, ["get", "t", "--endpoint-url", url])
    assert (done.exit_code, "is `ledger serve` running there?" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], None),
        (["--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1"], None),
        (["--stack", "prod"], "--stack"),
        (["--region", "eu-west-1"], "--region"),
        (["--stack", "prod", "--profile", "admin", "--region", "us-east-1"], "--stack or --profile or --region"),
    ],
)
def test_a_variable_that_overrules_a_typed_option_is_reported(arguments: list[str], named: str | None) -> None:
    """A person who types `--profile prod` believes that the output is production's."""
    done = Runner(env={"LEDGER_ENDPOINT_URL": "http://127.0.0.1:1"}).invoke(cli, ["get", "t", *arguments])
    said = f"ledger: LEDGER_ENDPOINT_URL is set, so {named} does not reach AWS: unset it to reach AWS\n"
    assert done.stderr.startswith(said) is (named is not None), done.stderr
    assert done.stderr.count("\n") == 1 + (named is not None)


def test_an_empty_endpoint_is_not_aws() -> None:
    """`--endpoint-url "$UNSET"` would start a trial's payments on AWS."""
    done = Runner().invoke(cli, ["start", SUCCESS, "--endpoint-url", ""])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "give http://HOST:PORT" in done.stderr


MALFORMED = {
    "AWS_MAX_ATTEMPTS": "abc",
    "AWS_METADATA_SERVICE_TIMEOUT": "abc",
    "AWS_RETRY_MODE": "abc",
    "AWS_DEFAULT_REGION": "a b",
    "AWS_ENDPOINT_URL": "nonsense",
    "AWS_PROFILE": "none",
    "AWS_CONFIG_FILE": "utf-16.txt",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "none.txt",
    "AWS_CA_BUNDLE": "none.txt",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://nonsense",
}


def test_settings_of_aws_that_are_not_valid(ended: Ended, tmp_path: Path) -> None:
    """Every command meets one of them, and one command meets each. Its line names no value."""
    (tmp_path / "utf-16.txt").write_text("[default]\nregion = eu-west-1\n", encoding="utf-16")
    files = {name: str(tmp_path / value) if value.endswith(".txt") else value for name, value in MALFORMED.items()}
    region = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/a"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    jobs = [job(name, AWS_MAX_ATTEMPTS="abc", **region, **keys) for name in ON_A_STACK]
    jobs += [job("get", **{**region, name: value}) for name, value in files.items()]
    for given, one in zip(jobs, ended(jobs), strict=True):
        assert (one["status"], one["stdout"], one["stderr"].count("\n")) == (2, "", 1), (given, one)
        assert one["stderr"].startswith("ledger: "), one
        if "AWS_MAX_ATTEMPTS" in given["variables"]:
            assert one["stderr"] == "ledger: AWS_MAX_ATTEMPTS cannot be used (ValueError): correct it\n"


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<x/>",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n<html></html>",
    b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"",
]


def test_an_endpoint_that_is_something_else(ended: Ended) -> None:
    """A person mistypes a port, and another program answers there."""
    servers = []
    for text in ANSWERS:

        class Handler(socketserver.StreamRequestHandler):
            answer = text

            def handle(self) -> None:
                self.request.recv(65536)
                self.wfile.write(self.answer)

        servers.append(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=[0.01], daemon=True).start()
    jobs = [job("get", LEDGER_ENDPOINT_URL=f"http://127.0.0.1:{one.server_address[1]}") for one in servers]
    for text, one in zip(ANSWERS, ended(jobs), strict=True):
        assert (one["status"], one["stdout"], one["stderr"].count("\n")) == (2, "", 1), (text, one)
        assert re.match("ledger: (stack payment-ledger|DescribeStacks: what answers is not AWS)", one["stderr"]), one
    for server in servers:
        server.shutdown()
        server.server_close()


# ── Input, Ctrl-C, and faults of ours ───────────────────────────────────────────────────────────────


WRONG = [b"{}", b"[]", b"null", b"<html></html>", b"\x1f\x8b"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [*zip(ON_A_STACK, itertools.cycle(WRONG), strict=False), *(("get", wrong) for wrong in WRONG)],
)
def test_an_endpoint_that_becomes_something_else(
    engine: Engine,
    engine_address: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    wrong: bytes,
) -> None:
    """A gateway may answer instead at any moment. The command is not at fault, and nothing succeeded.

    Every command meets one wrong answer, and one command meets each.
    """
    answered = 0
    answer = RequestHandler._aws_answer

    def answer_wrongly(handler: Any, *request: Any) -> Any:
        nonlocal answered
        answered += 1
        return answer(handler, *request) if answered == 1 else (200, {"content-type": "application/json"}, wrong)

    monkeypatch.setattr(RequestHandler, "_aws_answer", answer_wrongly)
    prepare(engine)
    done = Runner().invoke(cli, [name, *ARGUMENTS[name], "--endpoint-url", engine_address])
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert re.fullmatch("ledger: .*what answers is not AWS.*\n", done.stderr), done.stderr
    assert answered > 1


@pytest.mark.parametrize("arguments", [["get", ""], ["redrive", ""], ["list", "--processor", " "], ["get", "\udcff"]])
def test_an_empty_name_is_wrong_usage(arguments: list[str]) -> None:
    """A variable that is not set must not mean everything, or nothing."""
    done = Runner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "it is empty, or is not text" in done.stderr


def test_a_shell_without_utf_8_can_run_everything(tmp_path: Path) -> None:
    """The project's own files are UTF-8 in every shell."""
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-X", "warn_default_encoding", "-m", "ledger_cli", "run", str(ROOT / SUCCESS)]
    done = subprocess.run(  # noqa: S603
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for file in sorted((ROOT / "ledger_cli").rglob("*.py")):
        assert not re.search(r"\.(read|write)_text\((?!.*encoding=)", file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize("columns", ["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT EIGHT}0"])
def test_a_width_in_other_digits_is_ignored(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """Rich takes such digits for a number, and then fails."""
    monkeypatch.setenv("COLUMNS", columns)
    assert Runner().invoke(cli, ["graph"]).exit_code == 0


def test_an_interrupt_while_the_command_is_imported_is_one_line() -> None:
    """A person who mistyped something presses Ctrl-C at once."""
    script = (
        "import sys, ledger_cli.__main__ as command\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'ledger_cli.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "command.main()\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (130, "ledger: interrupted\n")


def test_a_secret_that_cannot_be_shown_is_active_all_the_same(endpoint: str, ended: Ended) -> None:
    """The command shows a secret once. Without a message, each new try would revoke the secret before it."""
    (done,) = ended([job("register-processor", stdout="/dev/full", LEDGER_ENDPOINT_URL=endpoint)])
    assert (done["status"], done["stdout"]) == (74, "")
    assert "new-pay has a new secret all the same, and nobody has seen it" in done["stderr"]


def test_input_in_another_encoding(endpoint: str, ended: Ended, tmp_path: Path) -> None:
    """Other systems write UTF-16 by default. The command must not store it as a secret, nor print it."""
    secret, sample = tmp_path / "secret.txt", tmp_path / "payment.json"
    secret.write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", encoding="utf-16")
    sample.write_text((ROOT / SUCCESS).read_text(), encoding="utf-16")
    here = {"LEDGER_ENDPOINT_URL": endpoint}
    jobs = [
        job("register-processor", "new-pay", "--secret", str(secret), **here),
        job("register-processor", "new-pay", "--secret", "-", stdin=str(secret), **here),
        job("start", str(sample), **here),
        job("run", "-", stdin=str(sample)),
    ]
    for given, one in zip(jobs, ended(jobs), strict=True):
        named = given["arguments"][-1]
        assert (one["status"], one["stdout"], one["stderr"]) == (2, "", f"ledger: {named}:1: not UTF-8\n"), one


def test_a_command_that_waits_is_interrupted(ended: Ended, tmp_path: Path) -> None:
    """A person has seen enough. The status is 130: a status of 1 would mean that a payment is not there."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)
    (one,) = ended([{**job("run", "-", stdin=str(pipe)), "interrupt": ""}])
    os.close(holder)
    assert (one["status"], one["stdout"], one["stderr"].strip()) == (130, "", "ledger: interrupted")


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "ledger: interrupted"),
        (KeyError("tok_4711"), 70, "ledger: a fault of this command, please report it: KeyError in test_conditions"),
    ],
)
def test_whatever_is_raised_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, raised: BaseException, status: int, line: str
) -> None:
    """A report of a fault needs the place. The message may hold a payment's value, so nobody sees it."""

    def fail(**_: object) -> None:
        raise raised

    monkeypatch.setattr(cli.commands[name], "callback", fail)
    done = Runner().invoke(cli, [name, *ARGUMENTS[name]])
    assert (done.exit_code, done.stdout) == (status, "")
    assert re.fullmatch(rf"\n?{line}.*\n", done.stderr)  # the terminal shows ^C before
    assert "4711" not in done.stderr


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_wrong_usage_is_one_line(name: str) -> None:
    """The line names the help, and does not print it."""
    done = Runner().invoke(cli, [name, *ARGUMENTS[name], "--none"])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert done.stderr.startswith("ledger: No such option '--none'.")
    assert done.stderr.endswith(f" See: cli {name} --help\n")


def options_said(folder: Path) -> set[str]:
    """Return every option that a message or a help text of the command names."""
    drawings = {folder / "graph.py", folder / "page.py"}  # CSS has names like options
    texts = [node.value for file in {*folder.glob("*.py")} - drawings for node in ast.walk(ast.parse(file.read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]  # fmt: skip
    return {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", text)}


FOREIGN = {"--env-vars", "--table-name"}
"""Options of other programs that are named: `sam local` and the AWS CLI."""


def test_every_option_that_is_named_exists() -> None:
    """A person types what a message says. `--processorid` did not exist."""
    assert options_said(ROOT / "ledger_cli") - FOREIGN <= set().union(*OPTIONS.values(), {"--help"})


def test_every_field_of_a_query_is_named_as_it_is_typed(engine: Engine) -> None:
    """The query function names its fields, which nobody has typed."""
    for field in ("TransactionID", *engine.functions["QueryPaymentLedger"].module.QUERIED):
        stack = Mock()
        stack.invoke.side_effect = FunctionError(
            "InvalidQueryError", json.dumps({"Violations": [{"Field": field, "Rule": "identifier"}]})
        )
        with pytest.raises(StackError) as raised:
            query_ledger(stack, {})
        said = str(raised.value).partition(" ")[0]
        assert said in OPTIONS["list"] | {"a"}, field
