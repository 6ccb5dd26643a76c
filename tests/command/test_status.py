"""An exit status and its line are true, even if a command stops halfway, or if a reply is lost."""

import http.client
import json
import re
import shlex
import signal
import socket
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ledger_cli import engine as engine_package
from ledger_cli.commands import executions, serve, start
from ledger_cli.engine import Engine
from ledger_cli.engine.state import State, StateError
from ledger_cli.errors import CommandError
from ledger_cli.reading import StartInput
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack import processors, webhook
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.deliveries import DeliveryResult
from ledger_cli.stack.inspection import Inspection
from ledger_cli.stack.processor_secrets import WebhookError
from tests.support.cli import ledger
from tests.support.faults import Faults

DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StartExecution")
RECORDED = DeliveryResult(file="-", execution_arn="e", started=True, status="SUCCEEDED", outcome="RECORDED")


@pytest.fixture
def endpoint(engine: Engine, endpoint: str) -> str:
    """Return the address of the engine, at which the sample processors are registered."""
    register_sample_processors(engine)
    return endpoint


# ── Stopped halfway ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raised", "status", "why"),
    [
        (StackError("the stack: no"), 2, "the stack: no; stopped"),
        (KeyboardInterrupt(), 130, "interrupted; stopped"),
        (CommandError("standard output: no space left on device", 74), 74, "standard output: no space"),
        (CommandError("", 141), 141, "stopped"),
    ],
)
def test_start_says_at_which_payment_it_stopped(raised: BaseException, status: int, why: str) -> None:
    """It said that nothing was started, after fifteen payments were: a person who believes it sends them again."""
    inputs = [StartInput("a.jsonl", "{}")] * 3
    with (
        patch.object(start, "read", return_value=inputs),
        patch.object(start, "deliver", side_effect=[RECORDED, raised]),
        pytest.raises(CommandError) as stopped,
    ):
        start.start.callback.__wrapped__(Mock(), files=("a.jsonl",), wait=True, rate=100, again=False, as_json=True)
    line = str(stopped.value)
    assert (stopped.value.status, line.startswith(why)) == (status, True), line
    assert (
        "stopped at input 2 of 3 (a.jsonl): 1 were handled before it, inputs 2 to 3 may be started, and none after"
        in line
    )
    assert line.endswith("Give the same command again: what is started does not start twice")


def test_start_goes_on_as_its_line_says(
    endpoint: str, engine: Engine, payment: dict[str, Any], tmp_path: Path, faults: Faults
) -> None:
    """The same command again starts what is left, and nothing twice."""
    file = tmp_path / "payments.jsonl"
    file.write_text("\n".join(json.dumps({**payment, "TransactionID": f"t-{number}"}) for number in range(3)))
    faults.refuse("GetItem", "AccessDeniedException")
    first = json.dumps({**payment, "TransactionID": "t-1"})
    assert ledger("start", "-", "--endpoint-url", endpoint, stdin=first).returncode == 0
    stopped = ledger("start", str(file), "--endpoint-url", endpoint)  # t-1 is there, and cannot be looked up
    assert stopped.returncode == 2
    assert f"stopped at input 2 of 3 ({file})" in stopped.stderr
    assert {"t-0", "t-1"} <= {item["TransactionID"]["S"] for item in engine.items()}
    again = ledger("start", str(file), "--endpoint-url", endpoint)
    assert (again.returncode, len(engine.items()), len(engine.executions())) == (0, 3, 3)


@pytest.mark.parametrize(("raised", "status"), [(DENIED, 2), (KeyboardInterrupt(), 130)])
def test_redrive_says_after_how_many_it_stopped(raised: BaseException, status: int) -> None:
    """Of a hundred failed executions, some run again already."""
    failed = Mock(had_technical_failure=True, not_redrivable=None, states=[], reason=None, error=None, status="FAILED")
    redrive = executions.redrive.callback.__wrapped__
    with (
        patch.object(executions, "redrive_candidates", return_value=["a", "b"]),
        patch.object(executions, "outcome_of", return_value=None),
        patch.object(executions, "read_execution", side_effect=[failed, raised]),
        pytest.raises(CommandError) as stopped,
    ):
        redrive(Mock(), requested_id=None, everything=True, dry_run=False, as_json=False)
    assert stopped.value.status == status
    assert "before it stopped, 1 were redriven. Give the same command again" in str(stopped.value)


# ── Replies that are lost ───────────────────────────────────────────────────────────────────────────


def _hang_up(listener: socket.socket) -> None:
    """Accept one connection, and end it without an answer."""
    listener.accept()[0].close()


def test_a_post_without_an_answer_was_sent() -> None:
    """The webhook may have started the payment: "nothing was sent" would be a guess."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        with pytest.raises(WebhookError, match="sent, and no answer of a webhook"):
            webhook.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {})


def test_a_post_without_a_connection_was_not_sent() -> None:
    """A person can repeat it without a thought."""
    with (
        patch.object(http.client.HTTPConnection, "connect", side_effect=ConnectionRefusedError),
        pytest.raises(WebhookError, match="no connection, nothing was sent"),
    ):
        webhook.post("http://127.0.0.1:9/", b"{}", {})


OUTPUTS = {"ProcessorSecrets": "p/", "ProcessorSecretsKeyArn": "k", "WebhookUrl": "https://a/{ProcessorID}"}


def test_a_secret_may_be_active_although_aws_gave_no_answer() -> None:
    """If a person calls the command again at once, it revokes the secret that the processor signs with."""
    stack = Mock(outputs=OUTPUTS)
    client = stack.client.return_value
    client.exceptions.ResourceNotFoundException = client.exceptions.InvalidRequestException = KeyError
    client.get_secret_value.return_value = {"SecretString": json.dumps(PROCESSORS["acme-pay"])}
    client.put_secret_value.side_effect = ReadTimeoutError(endpoint_url="https://a")
    with pytest.raises(StackError, match="whether acme-pay has the new secret is not known: look before"):
        processors.rotate_secret(stack, "acme-pay")


def test_a_registration_that_aws_did_not_answer_is_repeated() -> None:
    """A repeat never changes a registered processor: it says that the processor is registered already."""
    stack = Mock(outputs=OUTPUTS)
    client = stack.client.return_value
    client.exceptions.ResourceNotFoundException = client.exceptions.InvalidRequestException = KeyError
    client.exceptions.ResourceExistsException = KeyError
    client.get_secret_value.side_effect = KeyError
    client.create_secret.side_effect = ReadTimeoutError(endpoint_url="https://a")
    with pytest.raises(StackError, match="whether acme-pay is registered is not known: run this command again"):
        processors.register_processor(stack, "acme-pay")


def test_a_revocation_that_aws_did_not_answer_is_repeated() -> None:
    """The old secrets may still be active. A person must know that, and can repeat the command without harm."""
    stack = Mock(outputs=OUTPUTS)
    client = stack.client.return_value
    client.exceptions.ResourceNotFoundException = client.exceptions.InvalidRequestException = KeyError
    client.get_secret_value.return_value = {"SecretString": json.dumps(PROCESSORS["acme-pay"])}
    client.put_secret_value.side_effect = ReadTimeoutError(endpoint_url="https://a")
    with pytest.raises(
        StackError, match="the old secrets of acme-pay are still active is not known: run this command again"
    ):
        processors.rotate_secret(stack, "acme-pay", only=True)


def test_a_lost_reply_is_looked_up() -> None:
    """If the secret is there, the command has done its work and shows it: nobody would see it otherwise."""
    stack = Mock(outputs=OUTPUTS, endpoint_url=None)
    client = stack.client.return_value
    client.exceptions.ResourceNotFoundException = client.exceptions.InvalidRequestException = KeyError
    texts = [json.dumps(PROCESSORS["acme-pay"])]
    client.get_secret_value.side_effect = lambda **_: {"SecretString": texts[-1]}

    def lose_reply(SecretId: str, SecretString: str) -> None:  # noqa: N803
        texts.append(SecretString)
        raise ReadTimeoutError(endpoint_url=SecretId)

    client.put_secret_value.side_effect = lose_reply
    changed = processors.rotate_secret(stack, "acme-pay", only=True)
    assert json.loads(texts[-1])["Secrets"] == [changed.secret]


def test_a_name_is_free_a_little_after_its_secret_was_deleted() -> None:
    """Secrets Manager deletes in the background. It says so to a caller that creates the secret too early."""
    stack = Mock(outputs=OUTPUTS, endpoint_url=None)
    client = stack.client.return_value
    client.exceptions.InvalidRequestException = client.exceptions.ResourceExistsException = KeyError
    client.exceptions.ResourceNotFoundException = LookupError
    client.get_secret_value.side_effect = LookupError
    client.describe_secret.return_value = {"DeletedDate": "x"}
    client.create_secret.side_effect = [KeyError, KeyError, KeyError, {"ARN": "a"}]
    with patch("ledger_cli.stack.processor_secrets.time.sleep") as sleep:
        registered = processors.register_processor(stack, "acme-pay")
    assert (registered.active, sleep.call_count, client.delete_secret.call_count) == (1, 2, 1)


def test_an_older_stack_is_named_as_such() -> None:
    """It lacks an output or a parameter that this version of the command needs."""
    client = Mock()
    outputs = [{"OutputKey": name, "OutputValue": "arn:aws:states:r:1:stateMachine:a"} for name in
               ("WorkflowArn", "TableName")]  # fmt: skip
    client.describe_stacks.return_value = {"Stacks": [{"Outputs": outputs}]}
    with patch.object(Stack, "client", return_value=client):
        stack = Stack("old", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(StackError, match="the stack has no EntriesWorkflowArn: deploy this version of it"):
        _ = stack.intake


# ── Serving ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_state_that_is_not_kept_is_a_failure(engine: Engine, tmp_path: Path) -> None:
    """The command has printed before that it keeps its state."""
    served = Mock(wraps=engine, functions=engine.functions, outputs=engine.outputs)
    served.__enter__, served.__exit__ = Mock(), Mock(return_value=None)
    handlers: list[Any] = []
    with (
        patch.object(engine_package, "Engine", return_value=served),
        patch("ledger_cli.commands.serve.signal.signal", side_effect=lambda _number, handler: handlers.append(handler)),
        patch.object(serve, "_print_addresses", side_effect=lambda *_: handlers[0](signal.SIGINT, None)),
        patch.object(State, "write", side_effect=StateError("no space")),
    ):
        assert serve.serve.callback(port=0, sam_file=None, state_folder=tmp_path, lane="standard") == 1


def test_a_state_that_lacks_a_part_is_reported(tmp_path: Path) -> None:
    """After a cut by hand, it is still JSON of this version."""
    (tmp_path / "ledger.json").write_text('{"Version": 1}')
    with pytest.raises(serve.CannotServeError, match="holds no state of this version"):
        serve.serve.callback(port=0, sam_file=None, state_folder=tmp_path, lane="standard")


# ── Hints ───────────────────────────────────────────────────────────────────────────────────────────


def hint_in(printed: str) -> list[str]:
    """Return the arguments of the command line that a message ends in, or has between backticks."""
    (hint,) = re.findall(r"[ `]ledger ([^`\n]+)", printed)
    return shlex.split(hint)


def test_a_printed_hint_works_for_an_id_that_looks_like_an_option(endpoint: str) -> None:
    """An ID may begin with `-`. A person types what the line says."""
    done = ledger("get", "--endpoint-url", endpoint, "--", "-4711")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    typed = ledger(*hint_in(done.stderr))
    assert (typed.returncode, typed.stderr) == (1, "")
    assert typed.stdout.startswith("-4711  UNKNOWN")
    done = ledger("send", "events/webhooks/acme-pay.json", "--processor", "-pay", "--endpoint-url", endpoint)
    assert ledger(*hint_in(done.stderr)).returncode == 0


def test_the_next_step_works_for_any_execution() -> None:
    """Step Functions allows names with characters that have a meaning for a shell."""
    for asked, typed in (("-4711", "-- -4711"), ("it's", "'it'\"'\"'s'"), ("txn-1", "txn-1")):
        failed = Mock(had_technical_failure=True, not_redrivable=None, states=(), arn="arn")
        redrive = f"ledger redrive --stack a {typed}"
        assert Stack.command(Mock(options=" --stack a"), "redrive", asked) == redrive
        assert Inspection(requested_id=asked, execution=failed, redrive_command=redrive).next_step.endswith(
            f"run: {redrive}"
        )
