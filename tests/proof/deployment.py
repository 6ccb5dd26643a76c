"""What AWS does with the stack when it is created, changed, fails to be created, and is removed.

Each function yields one line for each thing that must not be. The judgement rests on CloudFormation's resource
schemas: they list the permissions that the handlers of a resource type need from the principal that deploys, and the
properties whose change makes CloudFormation replace a resource. `docs/concepts/security.md` says what that proves.

`handlers.py` judges calls, `changes.py` simulates updates, and `removals.py` looks at what stays behind.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.proof.evaluator import Evaluator
from tests.proof.handlers import denied_handlers
from tests.proof.policies import Resources, of_type
from tests.proof.removals import faults_of_a_removal, faults_of_failures
from tests.proof.resolved import Resolver

MAX_DESCRIPTION_CHARACTERS = 256
"""The longest description of a function. Source: Lambda API, CreateFunction and PublishVersion."""

ID_CHARACTERS = {"AWS::EC2::VPCEndpoint": 22, "AWS::EC2::SecurityGroup": 20, "AWS::EC2::Subnet": 24}
"""The length of the IDs that AWS chooses."""


def long_descriptions(expanded: Mapping[str, Any], resources: Resources) -> Iterator[str]:
    """Yield each function whose description would be too long with the IDs that AWS chooses."""
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        words = function["Description"].split(" ")
        kinds = [expanded["Resources"].get(word.partition(".")[0], {}).get("Type") for word in words]
        lengths = [ID_CHARACTERS.get(kind, len(word)) for word, kind in zip(words, kinds, strict=True)]
        characters = sum(lengths) + len(lengths) - 1  # with a space between two words
        if characters > MAX_DESCRIPTION_CHARACTERS:
            yield f"{name}: its description may have {characters} characters, more than {MAX_DESCRIPTION_CHARACTERS}"


def faults_of_a_stack(
    expanded: Mapping[str, Any], parameters: Mapping[str, str], evaluator: Evaluator, counts: dict[str, int]
) -> Iterator[str]:
    """Yield what AWS would not accept, or would leave behind, when this stack is created, updated and removed."""
    resources = Resolver(expanded, parameters).resources()
    yield from denied_handlers(resources, evaluator, counts)
    yield from faults_of_failures(expanded, parameters, counts)
    yield from faults_of_a_removal(resources)
    yield from long_descriptions(expanded, resources)
