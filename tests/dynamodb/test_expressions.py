"""DynamoDB Local has evaluated every expression in the functions' source during this run."""

import pytest

from ledger_cli import ROOT
from tests.dynamodb.conftest import EVALUATED
from tests.dynamodb.expressions import (
    FUNCTIONS_FOLDER,
    Evaluated,
    Expression,
    UnreadableExpressionError,
    in_module,
    in_source,
)


def test_an_expression_is_found_in_each_kind_of_place() -> None:
    """The source passes expressions as keywords, dictionary entries and assignments, as literals and as constants."""
    source = """
FACTS = ("a, " "b")
client.query(KeyConditionExpression="k = :k", ProjectionExpression=FACTS)
client.transact_write_items(TransactItems=[{"Put": {"ConditionExpression": "attribute_not_exists(k)"}}])
arguments["FilterExpression"] = "s = :s"
"""
    assert set(in_module(source, "m.py")) == {
        Expression("m.py", "KeyConditionExpression", "k = :k"),
        Expression("m.py", "ProjectionExpression", "a, b"),
        Expression("m.py", "ConditionExpression", "attribute_not_exists(k)"),
        Expression("m.py", "FilterExpression", "s = :s"),
    }


@pytest.mark.parametrize(
    "source",
    ['f(FilterExpression=f"s = {s}")', "f(FilterExpression=a + b)", "f(FilterExpression=unknown)",
     'NAME = "FilterExpression"', '{"UpdateExpression": text()}'],
)  # fmt: skip
def test_a_computed_expression_is_an_error(source: str) -> None:
    """No reader could say which expression runs."""
    with pytest.raises(UnreadableExpressionError, match=r"m\.py:1"):
        list(in_module(source, "m.py"))


def test_a_reply_shows_whether_an_expression_was_evaluated() -> None:
    """DynamoDB has evaluated a condition that did not hold, but not an expression that is invalid."""
    evaluated = Evaluated(ROOT / "tests")
    failed = b'{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}'
    evaluated.observe(b'{"ConditionExpression": "a"}', 400, failed)
    evaluated.observe(b'{"Put": [{"ConditionExpression": "b"}]}', 200, b"{}")
    evaluated.observe(b'{"ConditionExpression": "c"}', 400, b'{"__type": "x#ValidationException"}')
    module = "dynamodb/test_expressions.py"
    assert {one for one in evaluated.expressions if one.module == module} == {
        Expression(module, "ConditionExpression", "a"), Expression(module, "ConditionExpression", "b")
    }  # fmt: skip


def test_every_expression_was_evaluated(pytestconfig: pytest.Config) -> None:
    """An expression that never ran may have a fault that only AWS shows: write a test that runs it here.

    conftest.py makes this the last test of a run.
    """
    found = in_source(ROOT / FUNCTIONS_FOLDER)
    assert {one.parameter for one in found} >= {"ConditionExpression", "UpdateExpression", "KeyConditionExpression"}
    evaluated = pytestconfig.stash[EVALUATED].expressions
    not_evaluated = sorted(found - evaluated)
    assert not_evaluated == []
    # An evaluated expression counts for every module on the stack, so only the texts are compared in this direction.
    assert {one[1:] for one in evaluated} == {one[1:] for one in found}
