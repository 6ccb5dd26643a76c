"""The grants: none has a wildcard, and exactly the named roles may write, publish, encrypt and decrypt."""

from collections.abc import Iterator

from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import arn


def actions_are_explicit(resources: Resources) -> Iterator[str]:
    """Check that no role or endpoint allows an action by a wildcard, even if a condition makes it harmless today."""
    for name, resource in resources.items():
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::EC2::VPCEndpoint"}:
            properties = resource["Properties"]
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                for statement in document["Statement"]:
                    if any("*" in action for action in as_list(statement["Action"])):
                        yield f"{name}: allows an action by a wildcard"


def readers_of_logs_name_both_forms(resources: Resources) -> Iterator[str]:
    """Check that a reader of a log group names its ARN with and without `:*`: AWS documents both for these calls."""
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if "logs:FilterLogEvents" in as_list(statement["Action"]):
                named = as_list(statement["Resource"])
                if {f"{one.removesuffix(':*')}:*" for one in named} | {one.removesuffix(":*") for one in named} != {
                    *named
                }:
                    yield f"{name}: names a log group in one form only"


def privileged_roles_are_named(resources: Resources) -> Iterator[str]:
    """Check that exactly the named roles may write the tables, publish, and use the keys of tokens and of the log."""

    def roles(*names: str) -> list[str]:
        return [arn("iam", f"role/paymentledger-{name}", region="") for name in names]

    keys = dict(of_type(resources, "AWS::KMS::Key"))
    documents = {
        "payments": resources["PaymentLedgerTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]["Statement"],
        "entries": resources["PaymentEntriesTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]["Statement"],
        "seals": resources["PaymentSealsTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]["Statement"],
        "checkpoints": resources["CheckpointsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"],
        "bus": as_list(resources["LedgerBusPolicy"]["Properties"]["Statement"]),
        "TokenKey": keys["TokenKey"]["KeyPolicy"]["Statement"],
        "IntakeKey": keys["IntakeKey"]["KeyPolicy"]["Statement"],
        "SealKey": keys["SealKey"]["KeyPolicy"]["Statement"],
    }
    found = [
        (where, as_list(statement["Action"])[0], as_list(named))
        for where, statements in documents.items()
        for statement in statements
        for operator in ("ArnEquals", "ArnNotEquals")
        if (named := statement.get("Condition", {}).get(operator, {}).get("aws:PrincipalArn"))
    ]
    marking, sealing = roles("publish-role", "republish-role", "seal-role"), roles("seal-role")
    break_glass = ("dynamodb:DeleteResourcePolicy", ["arn:aws:iam::123456789012:role/break-glass"])
    of_records = [
        ("dynamodb:UpdateItem", marking),
        ("dynamodb:UpdateItem", sealing),  # whom the rule for the publication's marker leaves out
        ("dynamodb:UpdateItem", sealing),  # whom the rule for the seal's marker binds
        break_glass,
    ]
    expected = [
        ("payments", "dynamodb:PutItem", roles("role")),
        *(("payments", *one) for one in of_records),
        ("entries", "dynamodb:PutItem", roles("append-role", "accept-role")),
        *(("entries", *one) for one in of_records),
        ("seals", "dynamodb:PutItem", sealing),
        ("seals", *break_glass),
        ("checkpoints", "s3:PutObject", sealing),
        ("checkpoints", "s3:DeleteBucketPolicy", ["arn:aws:iam::123456789012:role/break-glass"]),
        ("bus", "events:PutEvents", marking),
        ("TokenKey", "kms:Encrypt", roles("encrypt-role")),
        ("TokenKey", "kms:Decrypt", roles("reveal-role")),
        ("IntakeKey", "kms:ReEncryptFrom", roles("encrypt-role")),
        ("SealKey", "kms:Sign", sealing),
    ]
    if found != expected:
        unexpected = [grant for grant in found if grant not in expected]
        missing = [grant for grant in expected if grant not in found]
        yield f"named roles: unexpected {unexpected}, missing {missing}"
