"""Mutants: copies of a module with one small mistake each, made from its syntax tree.

We make our own, because mutmut mutates only function bodies, and cosmic-ray mutates neither texts nor lists. Most rules
here are limits, patterns and field lists at module level.
"""

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import Any

COMPARED: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitXor: ast.BitOr,
}
NO_BEHAVIOUR = {"annotation", "returns", "ctx", "type_comment"}

Place = tuple[Any, str, int | None]
"""A node's parent, the parent's field that holds the node, and the node's index in that field."""


def mutants(source: str) -> Iterator[tuple[str, CodeType]]:
    """Yield every mutant of the module: a name that changes only if its line does, and the code to run."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for where, statement, place, node in list(_nodes(tree, "module", None)):
        for mutant in _variants(node):
            before = _text(statement)
            _put(place, mutant)
            after = _text(mutant if statement is node else statement)
            code = compile(ast.fix_missing_locations(copy.deepcopy(tree)), "mutant", "exec")
            _put(place, node)
            name = f"{where}: {_difference(before, after)}"
            seen[name] += 1
            yield name if seen[name] == 1 else f"{name} ({seen[name]})", code


def _nodes(node: Any, where: str, statement: Any) -> Iterator[tuple[str, Any, Place, Any]]:
    """Yield every node that may be mutated, with its function, its statement and its place."""
    for field, value in ast.iter_fields(node):
        if field in NO_BEHAVIOUR:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_no_behaviour(child):
                continue
            within = f"{where}.{child.name}" if isinstance(child, ast.ClassDef | ast.FunctionDef) else where
            inner = child if isinstance(child, ast.stmt | ast.ExceptHandler | ast.comprehension) else statement
            yield within.removeprefix("module."), inner, (node, field, index), child
            yield from _nodes(child, within, inner)


def _is_no_behaviour(node: ast.AST) -> bool:
    """Return whether the node is an import, a docstring, or code that only a type checker reads."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _put(place: Place, node: Any) -> None:
    parent, field, index = place
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _variants(node: Any) -> Iterator[Any]:
    """Yield the nodes that replace a node, one in each mutant."""
    match node:
        case ast.Compare(ops=[operator]):
            for other in COMPARED[type(operator)]:
                yield _with(node, ops=[other()])
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                for other in COMPARED[type(operator)]:
                    yield _with(node, ops=[*ops[:index], other(), *ops[index + 1 :]])
        case ast.BoolOp(op=operator, values=values):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for kept in _without_one(values):
                yield _with(node, values=kept) if len(kept) > 1 else kept[0]
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd(), right=right):
            yield from (left, right)
        case ast.BinOp(op=operator):
            yield _with(node, op=CALCULATED[type(operator)]())
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _other_values(value))
        case ast.Call(func=function, args=arguments, keywords=keywords):
            yield from (_with(node, args=kept) for kept in _without_one(arguments))
            for index, argument in enumerate(arguments):
                if not isinstance(argument, ast.Starred) and ast.unparse(argument) != "None":
                    yield _with(node, args=[*arguments[:index], ast.Constant(None), *arguments[index + 1 :]])
            yield from (_with(node, keywords=kept) for kept in _without_one(keywords))
            if isinstance(function, ast.Attribute):
                yield function.value
            if ast.unparse(function) == "re.compile" and isinstance(arguments[0], ast.Constant):
                pattern = ast.literal_eval(arguments[0])
                yield from (_with(node, args=[ast.Constant(other)]) for other in _other_patterns(pattern))
        case ast.Subscript(value=whole, slice=ast.Slice()):
            yield whole
        case ast.If() | ast.IfExp():
            yield from (_with(node, test=ast.Constant(value)) for value in (True, False))
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.Dict(keys=keys, values=values):
            for index in range(len(keys)):
                yield _with(node, keys=_without(keys, index), values=_without(values, index))
        case ast.Tuple(elts=elements, ctx=ast.Load()) | ast.List(elts=elements) | ast.Set(elts=elements):
            yield from (_with(node, elts=kept) for kept in _without_one(elements))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return()
        case ast.Raise(cause=cause):
            yield ast.Pass()
            if cause:
                yield _with(node, cause=None)
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.ExceptHandler():
            yield _with(node, type=ast.Tuple([], ast.Load()))
        case ast.FunctionDef(decorator_list=decorators) | ast.ClassDef(decorator_list=decorators):
            yield from (_with(node, decorator_list=kept) for kept in _without_one(decorators))


def _other_values(value: object) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        step = 1 if isinstance(value, int) else 0.1
        return [round(value + step, 3), round(value - step, 3)]
    return [f"XX{value}"] if isinstance(value, str) else []


def _other_patterns(pattern: str) -> Iterator[str]:
    """Yield the patterns without one of the characters, and those with a repetition of one more or one less."""
    shorter = {pattern[:index] + pattern[index + 1 :] for index in range(len(pattern))}
    for number in re.finditer(r"(?<=[{,])[0-9]+(?=[,}])", pattern):
        for value in (int(number[0]) - 1, int(number[0]) + 1):
            shorter.add(f"{pattern[: number.start()]}{value}{pattern[number.end() :]}")
    for other in sorted(shorter):
        try:
            if re.compile(other).groups == re.compile(pattern).groups:
                yield other
        except re.error:
            pass


def _without(items: list[Any], index: int) -> list[Any]:
    return items[:index] + items[index + 1 :]


def _without_one(items: list[Any]) -> Iterator[list[Any]]:
    return (_without(items, index) for index in range(len(items)))


def _with(node: Any, **changes: Any) -> Any:
    changed = copy.copy(node)
    for field, value in changes.items():
        setattr(changed, field, value)
    return changed


def _text(statement: Any) -> str:
    """Return the source of a statement; of a compound statement, the source of its head."""
    if isinstance(getattr(statement, "body", None), list):
        statement = _with(statement, body=[ast.Pass()], orelse=[], handlers=[])
    return re.sub(r"\s+", " ", ast.unparse(statement))


def _difference(before: str, after: str) -> str:
    """Return the words that differ between *before* and *after*, with some characters around them."""
    words, others = re.findall(r"\w+|\W", before), re.findall(r"\w+|\W", after)
    start = _equal_at_start(words, others)
    end = _equal_at_start(words[start:][::-1], others[start:][::-1])
    lost, new = words[start : len(words) - end], others[start : len(others) - end]
    until, since = "".join(words[:start]), "".join(words[len(words) - end :])
    return f"{until[-30:]}[{''.join(lost)} -> {''.join(new)}]{since[:30]}"


def _equal_at_start(words: list[str], others: list[str]) -> int:
    pairs = enumerate(zip(words, others, strict=False))
    return next((index for index, (word, other) in pairs if word != other), min(len(words), len(others)))
