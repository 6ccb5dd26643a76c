"""Every expression in the functions' source was evaluated in this run by DynamoDB Local."""

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


def test_each_kind_of_place_is_found() -> None:
    """A call's keyword, a dictionary's key, an assignment to a key; a literal, or a constant of the module."""
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
    """No reader could say which one runs."""
    with pytest.raises(UnreadableExpressionError, match=r"m\.py:1"):
        list(in_module(source, "m.py"))


def test_an_expression_is_evaluated_if_dynamodb_says_so() -> None:
    """A condition that did not hold was evaluated; an expression that is not valid was not."""
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
    """One that was not may be wrong in a way that only AWS shows: write a test that runs it on DynamoDB Local.

    The last test of a run: conftest.py sees to that.
    """
    found = in_source(ROOT / FUNCTIONS_FOLDER)
    assert {one.parameter for one in found} >= {"ConditionExpression", "UpdateExpression", "KeyConditionExpression"}
    evaluated = pytestconfig.stash[EVALUATED].expressions
    not_evaluated = sorted(found - evaluated)
    assert not_evaluated == []
    # What was evaluated counts for each module that was on its way, so modules are not compared the other way round.
    assert {one[1:] for one in evaluated} == {one[1:] for one in found}
