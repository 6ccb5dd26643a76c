"""What a cold start leaves out changes no call, and is there when something needs it."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest
from botocore.exceptions import ConnectTimeoutError, SSLError
from botocore.httpsession import get_cert_path

from bench.runtime_api import Aws
from ledger import aws, cold_start
from ledger_cli import ROOT
from tests.engine.listening import listening
from tools import sdk_data

LEFT_OUT = sorted({*cold_start.LOADED_AT_THE_FIRST_CALL, *cold_start.WITHOUT_EFFECT})


def printed(*arguments: str, **environment: str) -> str:
    """Return what a new process of Python prints, with the functions' modules and no variable of a function."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POWERTOOLS_"))}
    done = subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


IN_LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"}


def started(*services: str, in_lambda: bool = True) -> list[str]:
    """Return the lines that a new process prints which starts as a function does, and makes the services' calls."""
    names = ("DYNAMODB", "EVENTBRIDGE", "KMS", "S3", "SECRETS_MANAGER", "SFN")
    environment = {
        **{f"AWS_ENDPOINT_URL_{name}": "https://vpce.example" for name in names},
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONHASHSEED": "0",
        **(IN_LAMBDA if in_lambda else {}),
    }
    lines = printed("-m", "tests.support.started_in_lambda", *services, **environment)
    return re.sub(r'0x[0-9a-f]+|"(timestamp|Timestamp)": ?("[^"]+"|\d+)', "", lines).splitlines()


def test_every_call_is_the_same_without_these_modules() -> None:
    """A date in an answer, for one, is read by modules that are left out until then."""
    services = sorted(sdk_data.operations())
    calls, plain = started(*services), started(*services, in_lambda=False)
    unlike = [line for line, other in zip(calls, plain, strict=True) if line != other]
    loaded = {"dateutil.tz", "gzip", "jmespath"}
    left_out = [str([name for name in LEFT_OUT if name not in loaded])]
    assert [line for line in unlike if "logged" not in line] == left_out
    assert sum("datetime.datetime" in line for line in calls) > 1


def test_a_start_that_calls_once_loads_none_of_them() -> None:
    """A newer SDK may use one of them at import: then it is loaded, nothing breaks, and its saving is gone."""
    assert str(LEFT_OUT) in started("kms")


def test_nothing_else_than_lambda_leaves_modules_out() -> None:
    """The engine and the commands share their process with libraries that need these modules."""
    assert str(LEFT_OUT) not in started("kms", in_lambda=False)


def test_a_module_that_is_imported_after_the_first_call_gets_the_real_ones() -> None:
    """One of Python's own modules has a class that inherits from one of `tempfile`."""
    script = "import ledger.cold_start, dateutil.tz; print(dateutil.tz.tzutc()); import urllib.response, tempfile"
    assert printed("-c", f"{script}; print(tempfile.mkdtemp.__module__)", **IN_LAMBDA) == "tzutc()\ntempfile\n"


RESTORED = """
import random, sys, types
hooks = []
runtime = types.SimpleNamespace(register_after_restore=lambda hook, *arguments: hooks.append((hook, arguments)))
sys.modules["snapshot_restore_py"] = runtime
import ledger.cold_start
snapshot = random.getstate()
for environment in range(2):
    random.setstate(snapshot)
    for hook, arguments in hooks:
        hook(*arguments)
    print(random.random())
"""


def test_environments_of_one_snapshot_do_not_wait_the_same_random_times() -> None:
    """After a throttle, all of them would call AWS again at the same moment."""
    first, second = printed("-c", RESTORED, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start").split()
    assert first != second


def test_a_start_without_a_snapshot_needs_no_hooks() -> None:
    """The engine and older runtimes do not have the module."""
    first, second = printed("-c", RESTORED, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand").split()
    assert first == second


OF_ONE_ENVIRONMENT = {"random", "secrets", "time", "urandom", "uuid", "uuid1", "uuid4", "now", "today", "utcnow"}
"""Names by which Python gives out what is random, or of a clock."""


def kept_from_the_start(source: str) -> set[str]:
    """Return what of these a module uses when it is imported, outside of the bodies of its functions."""
    found, open_nodes = set(), list(ast.iter_child_nodes(ast.parse(source)))
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Call):
            found |= {part for name in ast.unparse(node.func).split("(") for part in name.split(".")}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            # Its decorators and defaults run at import.
            open_nodes += getattr(node, "decorator_list", [])
            open_nodes += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        else:
            open_nodes += ast.iter_child_nodes(node)
    return found & OF_ONE_ENVIRONMENT


@pytest.mark.parametrize(
    "module", [path.relative_to(ROOT / "functions").as_posix() for path in (ROOT / "functions").rglob("*.py")]
)
def test_a_start_keeps_nothing_random_and_nothing_of_a_clock(module: str) -> None:
    """All environments that start from one snapshot would share it: a name, a key, an age."""
    assert kept_from_the_start((ROOT / "functions" / module).read_text()) == set()


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("from secrets import token_hex\nNAME = secrets.token_hex(8)", {"secrets"}),
        ("import time\nclass Cache:\n    since = time.time()", {"time"}),
        ("def at(now=datetime.now(UTC)): return now", {"now"}),
        ("ID = str(uuid.uuid4())", {"uuid", "uuid4"}),
        ("def handler(): return time.time()\nlater = lambda: uuid.uuid4()", set()),
    ],
)
def test_what_a_start_keeps_is_found(source: str, kept: set[str]) -> None:
    """It is in a constant, a class or a default; what a function does later is not kept."""
    assert kept_from_the_start(source) == kept


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """KMS behind a certificate of an authority that nobody else knows."""
    monkeypatch.setattr(aws, "AUTHORITIES", aws.Authorities())
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    aws.sdk_session.cache_clear()
    with Aws(tmp_path) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", served.url)
        yield served
    aws.sdk_session.cache_clear()


@pytest.fixture
def amazon(stub: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Return the stub, whose authority is then one of Amazon's."""
    monkeypatch.setattr(aws.AUTHORITIES, "path", str(stub.authorities))
    return stub


def encrypt(attempts: int = 2) -> bytes:
    """Make one call, and return the ciphertext of the stub."""
    reply = aws.private_client("kms", attempts=attempts).encrypt(KeyId="k", Plaintext=b"p")
    return bytes(reply["CiphertextBlob"])


def test_a_certificate_of_amazons_needs_no_other_authority(amazon: Aws) -> None:
    """This is each connection to AWS. The stub's authority stands for Amazon's."""
    encrypt(attempts=1)
    assert (aws.AUTHORITIES.path, amazon.connections) == (str(amazon.authorities), 1)


def test_another_authority_that_the_sdk_trusts_is_trusted_from_the_next_attempt_on(
    stub: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may change its authorities, and a runtime's SDK knows the new one."""
    monkeypatch.setattr(aws, "get_cert_path", lambda verify: str(stub.authorities) if verify else None)
    first, second = encrypt(), encrypt(attempts=1)
    assert first == second == b"c" * 200


def test_a_start_from_a_snapshot_finds_the_functions_credentials(amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in no variable then, because a snapshot lives longer than they do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = {
        "AccessKeyId": "of-the-snapshot",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    with listening("127.0.0.1", json.dumps(keys).encode()) as (address, _):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        encrypt(attempts=1)
    assert aws.sdk_session().get_credentials().access_key == "of-the-snapshot"
    assert len(amazon.calls) == 1


def test_a_proxy_of_the_environment_is_not_used(amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client calls the stack's endpoint and nothing else."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    encrypt(attempts=1)
    assert len(amazon.calls) == 1


def test_another_failure_than_that_of_a_certificate_keeps_the_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout says nothing about authorities."""
    authorities = aws.Authorities()
    monkeypatch.setattr(aws, "get_cert_path", lambda verify: f"all of them: {verify}")
    authorities.trust_all(caught_exception=ConnectTimeoutError(endpoint_url="https://vpce.example"))
    authorities.trust_all(caught_exception=None)
    assert authorities.path == str(aws.Authorities.FILE)
    authorities.trust_all(caught_exception=SSLError(endpoint_url="https://vpce.example", error="unknown authority"))
    assert authorities.path == "all of them: True"


def test_an_authority_that_the_sdk_does_not_trust_is_refused(stub: Aws) -> None:
    """Nobody between a function and AWS reads a token."""
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        encrypt()
    assert stub.calls == []


def test_the_variable_for_authorities_decides(stub: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every client of AWS."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(stub.authorities))
    encrypt(attempts=1)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(aws.Authorities.FILE))
    monkeypatch.setattr(aws, "get_cert_path", lambda verify: str(stub.authorities) if verify else None)
    aws.sdk_session.cache_clear()
    with pytest.raises(SSLError):
        encrypt()


def test_a_call_names_the_ledger_and_the_version_of_the_sdk(amazon: Aws) -> None:
    """CloudTrail shows the name beside each use of a key, and AWS' support asks for the version."""
    kms, names = aws.private_client("kms"), []
    kms.meta.events.register("before-send", lambda request, **_: names.append(request.headers["User-Agent"]))
    kms.encrypt(KeyId="k", Plaintext=b"p")
    (name,) = names
    assert name.decode().partition(" PT/")[0] == f"payment-ledger Botocore/{botocore.__version__}"


def test_a_wrong_parameter_is_in_no_message_of_the_sdk(amazon: Aws) -> None:
    """Its own check would put the value into an error, and an error is logged."""
    aws.private_client("kms").encrypt(KeyId=["tok-in-the-wrong-place"], Plaintext=b"p")
    (call,) = amazon.calls
    assert call.body["KeyId"] == ["tok-in-the-wrong-place"]  # AWS refuses it, by the name of the type


def test_amazons_authorities_are_among_those_that_the_sdk_trusts() -> None:
    """Reading fewer of them at first trusts nobody else."""
    trusted = set(certificates(Path(get_cert_path(verify=True)).read_text()))
    own = certificates(aws.Authorities.FILE.read_text())
    assert set(own) < trusted
    assert len(own) == len(set(own)) > 4


def certificates(text: str) -> list[str]:
    """Return the certificates in a file."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
