"""Runs functions in fresh processes under the Lambda runtime client, and counts what each costs in CPU."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.runtime_api import Aws, Invocations, RuntimeApi

ANSWER_S = 60


class BenchError(Exception):
    """A function did not answer as it should; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Function:
    """A handler, where it lies, and what it is given."""

    name: str
    folder: Path
    handler: str
    event: bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a process until its last response, and its memory at most, in MiB."""

    cpu_s: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Bench:
    """The Python that has the runtime client and boto3, as Lambda's runtime has, and the stub of AWS."""

    python: str
    aws: Aws

    def run(self, function: Function, invocations: int = 1) -> Cost:
        """Start the function anew and have it answer so many times.

        Raises:
            BenchError: it failed, or did not answer.
        """
        work = Invocations(function.event, invocations)
        with RuntimeApi(work) as runtime:
            process = subprocess.Popen(  # noqa: S603
                [self.python, "-m", "awslambdaric", function.handler],
                cwd=function.folder,
                env={**self._environment(function), "AWS_LAMBDA_RUNTIME_API": runtime.address},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            assert process.stderr is not None
            answered = work.done.wait(ANSWER_S)
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            process.kill()
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = 0
            said = process.stderr.read().decode()
            process.stderr.close()
        if not answered or len(work.replies) != invocations or b'"errorType"' in work.replies[-1]:
            raise BenchError(f"{function.name}: {work.replies[-1:]}\n{said}")
        return Cost(used.ru_utime + used.ru_stime, int(peak[1]) / 1024 if peak else 0.0)

    def _environment(self, function: Function) -> dict[str, str]:
        url = self.aws.url
        services = ("KMS", "DYNAMODB", "EVENTBRIDGE", "SFN", "SECRETS_MANAGER")
        return {
            **{f"AWS_ENDPOINT_URL_{service}": url for service in services},
            "AWS_CA_BUNDLE": str(self.aws.certificate),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_XRAY_SDK_ENABLED": "true",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "LAMBDA_TASK_ROOT": str(function.folder),
            "PYTHONPATH": str(function.folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # the folder of a function is read-only
            "PATH": os.environ["PATH"],
            "POWERTOOLS_SERVICE_NAME": "payment-ledger",
            "POWERTOOLS_METRICS_NAMESPACE": "PaymentLedger",
            "DEFAULT_CURRENCY": "USD",
            "PLAINTEXT_TOKENS": "accepted",
            "TABLE_NAME": "PaymentLedger",
            "EVENT_BUS_NAME": "payment-ledger",
            "TOKEN_KEY": "arn:aws:kms:us-east-1:123456789012:key/token",
            "INTAKE_KEY": "arn:aws:kms:us-east-1:123456789012:key/intake",
        }
