"""The questions that only a deployed stack can answer, in the order in which they are asked."""

import base64
from datetime import UTC, datetime

import pytest

from ledger.intake import seal
from ledger.payment import seal_context
from ledger_cli.stack.client import Stack
from tests.e2e import checks

PROCESSOR_ID = "smoke-test"

Payment = dict[str, str]


@pytest.fixture(scope="module")
def transaction_id() -> str:
    """Return the TransactionID of this run's payment."""
    return f"smoke-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


@pytest.fixture(scope="module")
def token(transaction_id: str) -> str:
    """Return the token of this run's payment."""
    return f"smoke-token-of-{transaction_id.removeprefix('smoke-')}"


@pytest.fixture(scope="module")
def payment(stack: Stack, transaction_id: str, token: str) -> Payment:
    """Return a payment whose token is sealed."""
    kms, key = stack.client("kms"), stack.outputs["IntakeKeyArn"]
    return {
        "TransactionID": transaction_id,
        "SealedToken": seal(kms, key, transaction_id, PROCESSOR_ID, token),
        "Amount": "1.00",
        "Currency": "EUR",
        "ProcessorID": PROCESSOR_ID,
        "Status": "Success",
        "Timestamp": datetime.now(UTC).isoformat(),
    }


def expect_outcome(stack: Stack, payment: Payment, expected: str, suffix: str, **changes: str) -> None:
    """Run a payment with some changes, and compare its outcome."""
    seen = checks.outcome_of_run(stack, {**payment, **changes}, f"{payment['TransactionID']}-{suffix}")
    if seen != expected:
        checks.fail(f"expected {expected}, saw {seen}")


# ── The release ─────────────────────────────────────────────────────────────────────────────────────


def test_an_alarm_watches_each_release(stack: Stack) -> None:
    """The parameter Release keeps its value: if somebody forgets it, every later release has no canary."""
    if stack.parameters.get("Release") == "at-once":
        pytest.skip("Release is at-once, so no alarm watches a release: see docs/operate/deploying.md")


def test_live_is_what_was_deployed_in_every_function(stack: Stack) -> None:
    """A release that was rolled back, or that still shifts, is not what was deployed."""
    checks.check_live_functions(stack)


def test_live_is_what_was_deployed_in_the_workflow(stack: Stack) -> None:
    """The same is true of the workflow."""
    checks.check_live_workflow(stack)


# ── One payment ─────────────────────────────────────────────────────────────────────────────────────


def test_a_sealed_payment_is_recorded_through_every_endpoint(stack: Stack, payment: Payment) -> None:
    """Its execution reaches KMS, DynamoDB and EventBridge through the endpoints of the VPC."""
    expect_outcome(stack, payment, "RECORDED", "1")


def test_the_same_payment_again_is_a_duplicate(stack: Stack, payment: Payment) -> None:
    """The ledger has a payment once, however often it is sent."""
    expect_outcome(stack, payment, "DUPLICATE", "2")


def test_another_payment_under_its_id_is_a_conflict(stack: Stack, payment: Payment) -> None:
    """Nobody overwrites what is recorded."""
    expect_outcome(stack, payment, "CONFLICT", "3", Amount="2.00")


def test_an_invalid_payment_is_rejected(stack: Stack, payment: Payment) -> None:
    """A euro has two decimals."""
    expect_outcome(stack, payment, "REJECTED", "4", Amount="1.001")


def test_the_item_is_encrypted_and_published(stack: Stack, transaction_id: str, token: str) -> None:
    """The table holds the token's ciphertext only."""
    key = {"TransactionID": {"S": transaction_id}}
    reply = stack.client("dynamodb").get_item(TableName=stack.outputs["TableName"], Key=key, ConsistentRead=True)
    item = reply.get("Item")
    if item is None or "PublishedAt" not in item or token.encode() in item["SecureToken"]["B"]:
        checks.fail("the item is not there, not marked as published, or holds the token in plaintext")


def test_the_stacks_key_encrypts_the_history_of_executions(stack: Stack) -> None:
    """Another key of the account would let others read the history."""
    checks.check_history_key(stack)


# ── The table ───────────────────────────────────────────────────────────────────────────────────────


def test_the_tables_policy_is_the_one_in_the_template(stack: Stack) -> None:
    """CloudFormation's drift detection does not compare it."""
    checks.check_table_policy(stack)


def test_the_tables_deletion_protection_is_on(stack: Stack) -> None:
    """A restored table has none."""
    checks.check_deletion_protection(stack)


def test_the_tables_point_in_time_recovery_is_on(stack: Stack) -> None:
    """A restored table has none."""
    checks.check_recovery(stack)


def test_the_watch_sees_the_tables_stream_and_the_reports_of_cloudtrail(stack: Stack) -> None:
    """A person who wants to change items would switch the watch off first."""
    checks.check_watch(stack)


# ── What the stack's own policies forbid ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "call",
    ["deleting an item", "replacing an item", "changing an amount", "moving a marker", "publishing an outcome",
     "changing the recovery"],
)  # fmt: skip
def test_the_stacks_own_policies_forbid(stack: Stack, transaction_id: str, call: str) -> None:
    """IAM may allow an administrator everything: the policies of the table and of the bus still deny it."""
    if call == "changing the recovery" and not stack.parameters["BreakGlassRoleArn"]:
        pytest.skip("the stack names no break-glass role, so IAM alone decides who changes the recovery")
    checks.expect_denied(checks.forbidden_calls(stack, transaction_id)[call], call)


def test_an_administrator_cannot_decrypt_a_sealed_token(stack: Stack, payment: Payment) -> None:
    """The policy of the intake key lets nobody decrypt with it."""
    ciphertext = base64.b64decode(payment["SealedToken"])
    context, kms = seal_context(payment["TransactionID"], PROCESSOR_ID), stack.client("kms")
    checks.expect_denied(
        lambda: kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=context),
        "decrypting a sealed token",
        by="no resource-based policy allows",
    )


# ── The webhook ─────────────────────────────────────────────────────────────────────────────────────


def test_the_webhook_accepts_a_signed_payment_and_no_other(
    stack: Stack, payment: Payment, transaction_id: str, token: str
) -> None:
    """Each run registers another processor: a warm webhook still remembers the secret that the last run deleted."""
    if "WebhookUrl" not in stack.outputs:
        pytest.skip("the stack has no webhook")
    posted = {
        **payment,
        "TransactionID": f"{transaction_id}-posted",
        "ProcessorID": transaction_id,
        "SecureToken": token,
    }
    del posted["SealedToken"]
    checks.check_webhook(stack, posted)
