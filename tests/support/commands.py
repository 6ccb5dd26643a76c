"""Every command of `ledger`, with arguments that work."""

from ledger_cli.cli import cli

ID = "txn-2026-0001"
SUCCESS = "events/start/01-success.json"
ARGUMENTS: dict[str, list[str]] = {
    "completion": ["bash"],
    "executions": [],
    "get": [ID],
    "graph": [],
    "inspect": [ID],
    "list": ["--processor", "acme-pay"],
    "redrive": ["--all"],
    "register-processor": ["new-pay"],
    "republish": [],
    "reveal": [ID, "--reason", "refund, ticket 4711"],
    "rotate-secret": ["acme-pay"],
    "run": [SUCCESS],
    "send": ["events/webhooks/acme-pay.json", "--processor", "acme-pay"],
    "serve": ["--port", "0"],
    "set-prefix": ["acme-pay", "txn-"],
    "start": [SUCCESS],
    "unpublished": [],
}
"""Arguments with which each command works if the ledger has a payment."""

OPTIONS = {
    name: {option for one in command.params for option in [*one.opts, *one.secondary_opts]}
    for name, command in cli.commands.items()
}
ON_A_STACK = sorted(name for name, options in OPTIONS.items() if "--endpoint-url" in options)
