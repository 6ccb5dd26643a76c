"""The expressions in the functions' source, and those that DynamoDB Local has evaluated."""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FUNCTIONS_FOLDER = "functions"
PARAMETER = re.compile(r"[A-Z]\w*Expression")
"""`ConditionExpression`, `UpdateExpression`, `KeyConditionExpression`, `FilterExpression`, `ProjectionExpression`."""

EVALUATED_ERRORS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})
"""The errors that DynamoDB returns only after it has parsed and evaluated the expression."""


class Expression(NamedTuple):
    """An expression: its module, relative to `functions/`, the parameter of the request, and the text."""

    module: str
    parameter: str
    text: str


class UnreadableExpressionError(Exception):
    """The text of an expression is neither a literal nor a module's constant. The message says where."""


def in_source(folder: Path) -> set[Expression]:
    """Return every expression that a module below *folder* has.

    Raises:
        UnreadableExpressionError: the text of an expression is computed, so that no reader can say what runs.
    """
    return {
        expression
        for path in sorted(folder.rglob("*.py"))
        for expression in in_module(path.read_text(), path.relative_to(folder).as_posix())
    }


def in_module(source: str, module: str) -> Iterator[Expression]:
    """Yield every expression of one module: keyword arguments, keys of dictionaries, and assignments to a key.

    Raises:
        UnreadableExpressionError: the text of an expression is computed, or its parameter is named elsewhere.
    """
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    places = list(_places(tree))
    read = {id(key) for key, _, _ in places}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and _parameter(node) and id(node) not in read:
            raise UnreadableExpressionError(f"{module}:{node.lineno}: write the parameter's name beside its value")
    for _, parameter, value in places:
        text = constants.get(value.id, value) if isinstance(value, ast.Name) else value
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
            raise UnreadableExpressionError(f"{module}:{value.lineno}: {parameter} is neither a literal nor a constant")
        yield Expression(module, parameter, text.value)


def _parameter(node: ast.AST | None) -> str | None:
    """Return the parameter that a literal names, or None if it names none."""
    text = node.value if isinstance(node, ast.Constant) else None
    return text if isinstance(text, str) and PARAMETER.fullmatch(text) else None


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, ast.expr]]:
    """Yield each node that names a parameter, with the parameter and its value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg and PARAMETER.fullmatch(node.arg):
            yield node, node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key and (parameter := _parameter(key)):
                    yield key, parameter, value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            key = node.targets[0].slice
            if parameter := _parameter(key):
                yield key, parameter, node.value


class Evaluated:
    """The expressions in the requests that a module of `functions/` sent and DynamoDB Local evaluated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expressions: set[Expression] = set()

    def observe(self, body: bytes, status: int, reply: bytes) -> None:
        """Record the expressions of a request, in the thread that sends it, whose stack shows the module."""
        if status != 200 and json.loads(reply).get("__type", "").rpartition("#")[2] not in EVALUATED_ERRORS:
            return
        if found := list(_in_request(json.loads(body))):
            self.expressions |= {Expression(module, *one) for module in self._modules() for one in found}

    def _modules(self) -> set[str]:
        """Return the modules of `functions/` on this thread's stack."""
        modules, frame = set(), sys._getframe()
        while frame := frame.f_back:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(self.folder):
                modules.add(path.relative_to(self.folder).as_posix())
        return modules


def _in_request(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, Mapping):
        for name, value in part.items():
            if PARAMETER.fullmatch(name) and isinstance(value, str):
                yield name, value
            else:
                yield from _in_request(value)
    elif isinstance(part, list):
        for one in part:
            yield from _in_request(one)
