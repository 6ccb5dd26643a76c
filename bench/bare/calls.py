"""A function that repeats the SDK calls of one of our functions with plain boto3, and does nothing else."""

import base64
import json
import os
from pathlib import Path

import boto3

BLOBS = {"B", "CiphertextBlob", "Plaintext"}


def as_parameters(sent):
    """Return a request's body as the SDK's parameters, with bytes in place of base64."""
    if isinstance(sent, dict):
        return {name: base64.b64decode(part) if name in BLOBS else as_parameters(part) for name, part in sent.items()}
    return [as_parameters(part) for part in sent] if isinstance(sent, list) else sent


def calls():
    for service, operation, body in json.loads(Path(os.environ["BENCH_CALLS"]).read_text()):
        client = boto3.client(service)
        (method,) = [method for method, name in client.meta.method_to_api_mapping.items() if name == operation]
        yield getattr(client, method), as_parameters(body)


CALLS = list(calls())


def handler(event, _context):
    for call, parameters in CALLS:
        call(**parameters)
    return event
