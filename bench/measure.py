"""Functions in fresh processes under the Lambda runtime client, and the CPU time of each."""

import ctypes
import itertools
import os
import re
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.runtime_api import Aws, Invocations, RuntimeApi

ANSWER_S = 60
WARM_UP = 20
"""Calls that are not counted: meanwhile caches fill, and the interpreter specialises what runs often."""

SERVICES = ("KMS", "DYNAMODB", "EVENTBRIDGE", "SFN", "SECRETS_MANAGER")
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
    "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "0" * 900,  # about as long as a role's; it is sent with each request
    "AWS_XRAY_SDK_ENABLED": "true",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
    "PYTHONDONTWRITEBYTECODE": "1",  # the folder of a function is read-only
    "POWERTOOLS_SERVICE_NAME": "payment-ledger",
    "POWERTOOLS_METRICS_NAMESPACE": "PaymentLedger",
    "DEFAULT_CURRENCY": "USD",
    "PLAINTEXT_TOKENS": "accepted",
    "TABLE_NAME": "PaymentLedger",
    "ENTRIES_TABLE_NAME": "PaymentEntries",
    "EVENT_BUS_NAME": "payment-ledger",
    "TOKEN_KEY": "arn:aws:kms:us-east-1:123456789012:key/token",
    "INTAKE_KEY": "arn:aws:kms:us-east-1:123456789012:key/intake",
}


class BenchError(Exception):
    """A function did not answer as it should; the message has its output."""


@dataclass(frozen=True, slots=True)
class Function:
    """A handler, its folder, the event that it gets, and the variables that its environment has in addition.

    `AWS_CA_BUNDLE` names every authority that the SDK trusts and the stub's own, except for an artefact of ours, whose
    file of Amazon's authorities has the stub's.
    """

    name: str
    folder: Path
    handler: str
    event: bytes
    environment: Mapping[str, str] = field(default_factory=dict)
    has_authorities: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """CPU seconds of a process until it asked for its first, second, … invocation, and its peak memory in MiB."""

    cpu_s: list[float]
    memory_mib: float

    @property
    def cold_s(self) -> float:
        """CPU seconds of the start and of the first invocation, response included."""
        return self.cpu_s[1]

    @property
    def warm_ms(self) -> float:
        """Median CPU milliseconds of an invocation after the warm-up."""
        return statistics.median(after - before for before, after in itertools.pairwise(self.cpu_s[WARM_UP:])) * 1000


@dataclass(frozen=True, slots=True)
class Bench:
    """The Python that has the runtime client and boto3, as Lambda's runtime does, and the stub of AWS."""

    python: str
    aws: Aws

    def run(self, function: Function, invocations: int = 1) -> Run:
        """Start the function in a new process, and let it answer *invocations* times.

        Raises:
            BenchError: the function failed, or did not answer.
        """
        cpu_s: list[float] = []
        work = Invocations(function.event, invocations, watch=lambda: cpu_s.append(_cpu_s(process.pid)))
        with RuntimeApi(work) as runtime:
            process = subprocess.Popen(
                [self.python, "-m", "awslambdaric", function.handler],
                cwd=function.folder,
                env={**self._environment(function), "AWS_LAMBDA_RUNTIME_API": runtime.address},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            answered = work.done.wait(ANSWER_S)
            peak_mib = memory_mib(process.pid, "VmHWM")
            process.kill()
            _, output = process.communicate()
        if not answered or len(work.replies) != invocations or b'"errorType"' in work.replies[-1]:
            raise BenchError(f"{function.name}: {work.replies[-1:]}\n{output.decode()}")
        return Run(cpu_s, peak_mib)

    def _environment(self, function: Function) -> dict[str, str]:
        return {
            **ENVIRONMENT,
            **{f"AWS_ENDPOINT_URL_{service}": self.aws.url for service in SERVICES},
            **({} if function.has_authorities else {"AWS_CA_BUNDLE": str(self.aws.authorities)}),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "LAMBDA_TASK_ROOT": str(function.folder),
            "PYTHONPATH": str(function.folder),
            "PATH": os.environ["PATH"],
            **function.environment,
        }


def memory_mib(pid: int | str, what: str) -> float:
    """Return a process's `VmHWM` (peak until now) or `VmRSS` (now), in MiB; 0 if it has ended. Source: proc(5)."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds that all threads of the process have used until now."""
    clock = ctypes.c_int()
    if error := ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock.value)
