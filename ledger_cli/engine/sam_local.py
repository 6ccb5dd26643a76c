"""The functions in containers: what `sam local` is told of the engine, and how the engine calls `start-lambda`."""

import http.client
import ipaddress
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

from ledger_cli.engine.lambda_runtime import TIMED_OUT, LocalFunction, timed_out

ANSWER_S = 30
"""Until a container engine says what its bridge is."""

CONTAINER_START_S = 60
"""On top of a function's own timeout; a first invocation may build the container's image."""


class NoContainerEngineError(Exception):
    """There is none that answers the docker command; the message says what to do."""


def host_of_containers() -> str:
    """This machine as a container sees it: the bridge's gateway, or the name that Docker Desktop gives it.

    Raises:
        NoContainerEngineError: nothing answers the docker command.
    """
    if not sys.platform.startswith("linux"):
        return "host.docker.internal"
    docker = shutil.which("docker")
    if docker:
        shape = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
        asked = subprocess.run(  # noqa: S603
            [docker, "network", "inspect", "bridge", "--format", shape],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        if asked.returncode == 0:
            gateway, _, subnet = asked.stdout.strip().rpartition(" ")
            # A bridge that was made just now may not name its gateway, which is then the first address.
            return gateway or str(next(ipaddress.ip_network(subnet).hosts()))
    raise NoContainerEngineError("no container engine answers the docker command: start one")


def variables(functions: Iterable[tuple[str, LocalFunction]], endpoint: str) -> dict[str, dict[str, str]]:
    """What `--env-vars` takes: each function's own variables by its logical id, with *endpoint* for AWS.

    `sam local` itself knows neither what the engine calls its resources nor where it listens.
    """
    return {
        name: {
            variable: endpoint if variable.startswith("AWS_ENDPOINT_URL_") else value
            for variable, value in function.declared.items()
        }
        for name, function in functions
    }


def invoke(endpoint: str, name: str, function: LocalFunction, payload: bytes) -> tuple[bytes, bool]:
    """Invoke the function by its logical id; returns its JSON reply, and whether it failed, as Lambda says it.

    `start-lambda` marks a process that ended, but not an error that a handler raised, and answers with plain
    text where the time was up. An error raised has the runtime's form, which no reply of these functions has.

    Raises:
        OSError: nothing answers there as `sam local start-lambda` does.
    """
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=function.timeout_s + CONTAINER_START_S
    )
    try:
        connection.request("POST", f"/2015-03-31/functions/{name}/invocations", body=payload)
        answer = connection.getresponse()
        reply = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{endpoint} does not answer as sam local start-lambda does") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ConnectionError(f"{endpoint} answers {answer.status} for the function {name}")
    if reply.startswith(b"Task timed out after "):
        message = f"RequestId: of-a-container {timed_out(function.timeout_s)}"
        return json.dumps({"errorType": TIMED_OUT, "errorMessage": message}).encode(), True
    parsed = json.loads(reply)
    return reply, isinstance(parsed, dict) and {"errorType", "errorMessage"} <= parsed.keys()
