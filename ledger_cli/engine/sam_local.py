"""The functions in containers: the variables that `sam local` gives them, and the engine's calls of `start-lambda`."""

import http.client
import ipaddress
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

from ledger_cli.engine.lambda_runtime import TIMED_OUT, LocalFunction, timeout_message

ANSWER_S = 30
"""How long a container engine may take to describe its bridge."""

CONTAINER_START_S = 60
"""Added to a function's own timeout, since a first invocation may build the container's image."""


class NoContainerEngineError(Exception):
    """No container engine answers the docker command. The message says what to do."""


def host_of_containers() -> str:
    """Return this machine's address for a container: the bridge's gateway, or the name that Docker Desktop gives it.

    Raises:
        NoContainerEngineError: no container engine answers the docker command.
    """
    if not sys.platform.startswith("linux"):
        return "host.docker.internal"
    docker = shutil.which("docker")
    if docker:
        shape = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
        asked = subprocess.run(  # noqa: S603  # a fixed command
            [docker, "network", "inspect", "bridge", "--format", shape],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        if asked.returncode == 0:
            gateway, _, subnet = asked.stdout.strip().rpartition(" ")
            # A new bridge may not name its gateway, which is then the first address of its subnet.
            return gateway or str(next(ipaddress.ip_network(subnet).hosts()))
    raise NoContainerEngineError("no container engine answers the docker command: start one")


def variables(functions: Iterable[tuple[str, LocalFunction]], endpoint: str) -> dict[str, dict[str, str]]:
    """Return the content of `--env-vars`: each function's own variables by its logical id, with *endpoint* for AWS.

    `sam local` knows neither the names of the engine's resources nor the engine's address.
    """
    return {
        name: {
            variable: endpoint if variable.startswith("AWS_ENDPOINT_URL_") else value
            for variable, value in function.declared.items()
        }
        for name, function in functions
    }


def invoke(endpoint: str, name: str, function: LocalFunction, payload: bytes) -> tuple[bytes, bool]:
    """Invoke the function by its logical id, and return its JSON reply and whether it failed, as Lambda does.

    `start-lambda` marks a process that ended, but not an error that a handler raised. It answers with plain text if
    the time is up. A raised error has the runtime's form, which no reply of these functions has.

    Raises:
        OSError: nothing at *endpoint* answers as `sam local start-lambda` does.
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
        message = f"RequestId: of-a-container {timeout_message(function.timeout_s)}"
        return json.dumps({"errorType": TIMED_OUT, "errorMessage": message}).encode(), True
    parsed = json.loads(reply)
    return reply, isinstance(parsed, dict) and {"errorType", "errorMessage"} <= parsed.keys()
