"""The questions that only a deployed stack can answer, in the order in which they are asked."""

import base64
from datetime import UTC, datetime

import pytest

from ledger.intake import seal
from ledger.payment import seal_context
from ledger_cli.stack.client import Stack
from tests.e2e import checks

PROCESSOR_ID = "smoke-test"

StartInput = dict[str, str]

each_table = pytest.mark.parametrize(
    "table", [checks.PAYMENTS, checks.ENTRIES, checks.SEALS], ids=["payments", "entries", "seals"]
)
each_workflow = pytest.mark.parametrize(
    "workflow", [checks.PAYMENTS_WORKFLOW, checks.ENTRIES_WORKFLOW], ids=["payments", "entries"]
)


@pytest.fixture(scope="module")
def transaction_id() -> str:
    """Return the TransactionID of this run's payment."""
    return f"smoke-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


@pytest.fixture(scope="module")
def token(transaction_id: str) -> str:
    """Return the token of this run's payment."""
    return f"smoke-token-of-{transaction_id.removeprefix('smoke-')}"


@pytest.fixture(scope="module")
def payment(stack: Stack, transaction_id: str, token: str) -> StartInput:
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


@pytest.fixture(scope="module")
def refund(payment: StartInput) -> StartInput:
    """Return a refund of a part of this run's payment."""
    kept = {name: payment[name] for name in ("TransactionID", "Currency", "ProcessorID", "Timestamp")}
    return {**kept, "EntryID": f"{kept['TransactionID']}-refund", "Kind": "Refunded", "Amount": "0.40"}


# ── The release ─────────────────────────────────────────────────────────────────────────────────────


def test_an_alarm_watches_each_release(stack: Stack) -> None:
    """The parameter Release keeps its value: if somebody forgets it, every later release has no canary."""
    if stack.parameters.get("Release") == "at-once":
        pytest.skip("Release is at-once, so no alarm watches a release: see docs/operate/deploying.md")


def test_live_is_what_was_deployed_in_every_function(stack: Stack) -> None:
    """A release that was rolled back, or that still shifts, is not what was deployed."""
    checks.check_live_functions(stack)


@each_workflow
def test_live_is_what_was_deployed_in_the_workflow(stack: Stack, workflow: str) -> None:
    """The same is true of each workflow."""
    checks.check_live_workflow(stack, workflow)


# ── One payment ─────────────────────────────────────────────────────────────────────────────────────


def test_a_sealed_payment_is_recorded_through_every_endpoint(stack: Stack, payment: StartInput) -> None:
    """Its execution reaches KMS, DynamoDB and EventBridge through the endpoints of the VPC."""
    checks.expect_outcome(stack, payment, "RECORDED", "1")


def test_the_same_payment_again_is_a_duplicate(stack: Stack, payment: StartInput) -> None:
    """The ledger has a payment once, however often it is sent."""
    checks.expect_outcome(stack, payment, "DUPLICATE", "2")


def test_another_payment_under_its_id_is_a_conflict(stack: Stack, payment: StartInput) -> None:
    """Nobody overwrites what is recorded."""
    checks.expect_outcome(stack, {**payment, "Amount": "2.00"}, "CONFLICT", "3")


def test_an_invalid_payment_is_rejected(stack: Stack, payment: StartInput) -> None:
    """A euro has two decimals."""
    checks.expect_outcome(stack, {**payment, "Amount": "1.001"}, "REJECTED", "4")


def test_the_item_is_encrypted_and_published(stack: Stack, transaction_id: str, token: str) -> None:
    """The table holds the token's ciphertext only."""
    item = checks.published_item(stack, checks.PAYMENTS, transaction_id)
    if token.encode() in item["SecureToken"]["B"]:
        checks.fail(f"the item in the table {checks.PAYMENTS.name(stack)} holds the token in plaintext")


# ── One entry of that payment ───────────────────────────────────────────────────────────────────────


def test_a_refund_of_a_part_is_recorded_through_every_endpoint(stack: Stack, refund: StartInput) -> None:
    """Its execution reads the payment, and reaches the other table through the endpoint of the VPC."""
    checks.expect_outcome(stack, refund, "RECORDED", "refund-1")


def test_the_same_refund_again_is_a_duplicate(stack: Stack, refund: StartInput) -> None:
    """Money goes back once, however often its refund is sent."""
    checks.expect_outcome(stack, refund, "DUPLICATE", "refund-2")


def test_a_refund_of_more_than_is_left_is_refused(stack: Stack, refund: StartInput) -> None:
    """It is less than the payment, so only the refund before it can be the reason."""
    more = {**refund, "EntryID": f"{refund['EntryID']}-of-more", "Amount": "0.61"}
    checks.expect_outcome(stack, more, "REFUSED", "refund-3")


def test_the_item_of_the_refund_is_published(stack: Stack, refund: StartInput) -> None:
    """The first entry of the payment is the refund that was recorded."""
    item = checks.published_item(stack, checks.ENTRIES, refund["TransactionID"])
    if item.get("EntryID") != {"S": refund["EntryID"]}:
        checks.fail(f"the item in the table {checks.ENTRIES.name(stack)} is another entry's")


# ── The sealed log ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", [checks.PAYMENTS, checks.ENTRIES], ids=["payments", "entries"])
def test_a_run_of_the_sealer_seals_what_was_recorded(stack: Stack, transaction_id: str, table: checks.Table) -> None:
    """The sealer reaches KMS, DynamoDB and EventBridge through the endpoints, and its key signs."""
    checks.check_sealed(stack, table, transaction_id)


def test_the_stacks_own_key_has_signed_the_checkpoint(stack: Stack) -> None:
    """A checkpoint that another key has signed would be worth nothing to those who keep the first ones."""
    checks.check_checkpoint(stack)


def test_ledger_verify_finds_nothing_wrong(stack: Stack, commands: checks.Commands) -> None:
    """Each record is as it was sealed, and none is missing."""
    checks.check_verification(stack, commands)


@pytest.mark.parametrize("entry", [0, 1], ids=["payments", "entries"])
def test_ledger_prove_proves_a_record(stack: Stack, commands: checks.Commands, transaction_id: str, entry: int) -> None:
    """The program that a merchant or an auditor runs takes the file for proven."""
    checks.check_proof(stack, commands, transaction_id, entry)


# ── The histories and the tables ────────────────────────────────────────────────────────────────────


@each_workflow
def test_the_stacks_key_encrypts_the_history_of_executions(stack: Stack, workflow: str) -> None:
    """Another key of the account would let others read the history."""
    checks.check_history_key(stack, workflow)


@each_table
def test_the_tables_policy_is_the_one_in_the_template(stack: Stack, table: checks.Table) -> None:
    """CloudFormation's drift detection does not compare it."""
    checks.check_table_policy(stack, table)


@each_table
def test_the_tables_deletion_protection_is_on(stack: Stack, table: checks.Table) -> None:
    """A restored table has none."""
    checks.check_deletion_protection(stack, table)


@each_table
def test_the_tables_point_in_time_recovery_is_on(stack: Stack, table: checks.Table) -> None:
    """A restored table has none."""
    checks.check_recovery(stack, table)


@each_table
def test_the_watch_sees_the_tables_stream(stack: Stack, table: checks.Table) -> None:
    """A person who wants to change items would switch the watch off first."""
    checks.check_stream(stack, table)


def test_the_watch_sees_the_reports_of_cloudtrail(stack: Stack) -> None:
    """The same is true of a person who wants to change a key, a policy or the bus."""
    checks.check_reports(stack)


# ── What the stack's own policies forbid ────────────────────────────────────────────────────────────


@each_table
@pytest.mark.parametrize(
    "call",
    ["deleting an item", "replacing an item", "changing an amount", "moving a marker", "changing the recovery"],
)
def test_the_tables_own_policy_forbids(stack: Stack, transaction_id: str, call: str, table: checks.Table) -> None:
    """IAM may allow an administrator everything: the policy of the table still denies it."""
    if call == "changing the recovery" and not stack.parameters["BreakGlassRoleArn"]:
        pytest.skip("the stack names no break-glass role, so IAM alone decides who changes the recovery")
    attempt = checks.forbidden_calls(stack, table, transaction_id)[call]
    checks.expect_denied(attempt, f"{call} of the table {table.name(stack)}")


def test_the_buss_own_policy_forbids_to_publish_an_outcome(stack: Stack) -> None:
    """The same is true of the bus: a consumer takes what it brings for the ledger's word."""
    checks.expect_denied(lambda: checks.publish_an_outcome(stack), "publishing an outcome")


def test_an_administrator_cannot_decrypt_a_sealed_token(stack: Stack, payment: StartInput) -> None:
    """The policy of the intake key lets nobody decrypt with it."""
    ciphertext = base64.b64decode(payment["SealedToken"])
    context, kms = seal_context(payment["TransactionID"], PROCESSOR_ID), stack.client("kms")
    checks.expect_denied(
        lambda: kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=context),
        "decrypting a sealed token",
        by="no resource-based policy allows",
    )


def test_an_administrator_cannot_sign_a_checkpoint(stack: Stack) -> None:
    """The policy of the seal key lets the sealer sign and nobody else."""
    checks.expect_denied(
        lambda: checks.sign_a_checkpoint(stack), "signing with the seal key", by="no resource-based policy allows"
    )


# ── The webhook ─────────────────────────────────────────────────────────────────────────────────────


def test_the_webhook_accepts_a_signed_payment_and_no_other(
    stack: Stack, payment: StartInput, transaction_id: str, token: str
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
