"""The tests of one module, run with a mutant in its place in a process of their own."""

import gc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import Phase, settings

from ledger_cli import ROOT

# The narrowest tests of each module; the command line can name some of these modules.
TESTS = {
    "ledger/payment.py": ["tests/unit/test_payment.py"],
    "ledger/fields.py": ["tests/unit/test_payment.py"],
    "ledger/entry.py": ["tests/unit/test_entry.py"],
    "ledger/totals.py": ["tests/unit/test_totals.py"],
    "ledger/chain.py": ["tests/functions/test_chain.py"],
    "ledger/violations.py": ["tests/unit/test_payment.py", "tests/unit/test_entry.py"],
    "ledger/amounts.py": ["tests/unit/test_payment.py", "tests/unit/test_item.py"],
    "ledger/timestamps.py": ["tests/unit/test_payment.py"],
    "ledger/cards.py": ["tests/unit/test_cards.py"],
    "ledger/item.py": ["tests/unit/test_item.py"],
    "ledger/outcome.py": ["tests/unit/test_outcome.py"],
    "ledger/signature.py": [
        "tests/unit/test_signature.py",
        "tests/unit/test_adyen.py::test_adyens_own_vectors_are_valid_and_no_others",
        "tests/unit/test_adyen.py::test_a_null_and_an_absent_value_are_signed_alike",
        "tests/unit/test_checkout.py::test_a_known_vector_is_checkout_coms",
        "tests/unit/test_polar.py::test_both_forms_of_the_key_count",
        "tests/unit/test_polar.py::test_a_secret_without_padding_is_read",
        "tests/unit/test_polar.py::test_a_standard_key_is_not_polars_usual_one",
    ],
    "ledger/strict_json.py": ["tests/unit/test_strict_json.py"],
    "ledger/formats/mapping.py": ["tests/unit/test_mapping.py", "tests/unit/test_stripe.py"],
    "ledger/formats/adyen.py": ["tests/unit/test_adyen.py"],
    "ledger/formats/razorpay.py": ["tests/unit/test_razorpay.py"],
    "ledger/formats/square.py": ["tests/unit/test_square.py"],
    "ledger/formats/standard_webhooks.py": ["tests/unit/test_standard_webhooks.py"],
    "ledger/formats/lemon_squeezy.py": ["tests/unit/test_lemon_squeezy.py"],
    "ledger/formats/paddle.py": ["tests/unit/test_paddle.py"],
    "ledger/formats/polar.py": ["tests/unit/test_polar.py"],
    "ledger/formats/checkout.py": ["tests/unit/test_checkout.py"],
    "ledger/formats/mollie.py": ["tests/unit/test_mollie.py"],
    "ledger/formats/stripe.py": ["tests/unit/test_stripe.py"],
    "ledger/identifiers.py": ["tests/unit/test_identifiers.py"],
    "ledger/fast_lane.py": ["tests/unit/test_fast_lane.py"],
    "ledger/merkle.py": ["tests/unit/test_proofs.py"],
    "ledger/leaf.py": ["tests/unit/test_leaf.py"],
    "ledger/checkpoint.py": ["tests/unit/test_notes.py", "tests/unit/test_leaf.py"],
    "ledger/seal.py": ["tests/functions/test_seal.py"],
    "seal_ledger.py": ["tests/functions/test_seal.py"],
    "ledger_cli/sealed_log/verification.py": ["tests/sealed_log/test_verification.py"],
    "ledger_cli/sealed_log/proofs.py": ["tests/unit/test_proofs.py"],
    "ledger_cli/sealed_log/notes.py": ["tests/unit/test_notes.py"],
    "ledger_cli/sealed_log/proof_file.py": ["tests/unit/test_proof_file.py"],
    "ledger/aws.py": [
        "tests/contract/test_sdk_data.py",
        "tests/contract/test_cold_start.py::test_a_certificate_of_amazons_needs_no_other_authority",
        "tests/contract/test_cold_start.py::test_another_authority_that_the_sdk_trusts_is_trusted_from_the_next_attempt_on",
        "tests/contract/test_cold_start.py::test_a_proxy_of_the_environment_is_not_used",
        "tests/contract/test_cold_start.py::test_an_authority_that_the_sdk_does_not_trust_is_refused",
        "tests/contract/test_cold_start.py::test_the_variable_for_authorities_decides",
        "tests/contract/test_cold_start.py::test_a_call_names_the_ledger_and_the_version_of_the_sdk",
        "tests/contract/test_cold_start.py::test_a_wrong_parameter_is_in_no_message_of_the_sdk",
        "tests/functions/test_handlers.py",
        "tests/contract/test_asl.py::test_timeouts_nest",
        "tests/contract/test_asl.py::test_a_call_lasts_its_attempts_and_the_waits_between_them",
        "tests/engine/test_bridges.py::test_a_function_does_not_start_without_its_private_endpoint",
        "tests/engine/test_bridges.py::test_calls_go_to_the_private_endpoint",
    ],
    "persist_payment_ledger.py": ["tests/functions/test_handlers.py"],
    "ledger_cli/books/matcher.py": ["tests/books/test_matcher.py"],
    "ledger_cli/books/reconciliation.py": ["tests/books/test_reconciliation.py"],
    "ledger_cli/books/record.py": ["tests/books/test_sums.py"],
    "ledger_cli/books/totals.py": ["tests/books/test_sums.py"],
    "ledger_cli/books/amounts.py": ["tests/books/test_sums.py"],
}
LIMIT_S = 120
KILLED = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
WORKERS = min(2, os.cpu_count() or 1)

Mutant = tuple[str, str, CodeType | None]
"""A module, the change in it, and its code; None for the unchanged module."""


def path_of(module: str) -> Path:
    """Return the file of a module: one of the functions, or one of the command."""
    return ROOT / module if module.startswith("ledger_cli/") else ROOT / "functions" / module


class WithoutTheCorpora:
    """A plugin that makes the result independent of the corpora, which are not part of this repository."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out the tests that read the corpora."""
        items[:] = [item for item in items if "corpora" not in item.fixturenames]


def run(module: str, code: CodeType | None) -> int:
    """Run the module's tests in this process, with *code* in its place; return 0 if all pass."""
    get_code = importlib.machinery.SourceFileLoader.get_code
    path = str(path_of(module))

    def mutated(loader: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        return code if code and loader.path == path else get_code(loader, name)

    importlib.machinery.SourceFileLoader.get_code = mutated
    for name in [name for name in sys.modules if name.partition(".")[0] in {"ledger", "ledger_cli"}]:
        del sys.modules[name]
    # Every run has the same examples. Nobody reads a counterexample, so Hypothesis need not make it smaller.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", deadline=None, derandomize=True, database=None, phases=phases)
    left_out = [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "unraisableexception")]
    options = ["-x", "-q", "-W", "ignore:Module already imported", "--hypothesis-profile=mutation", *left_out]
    return int(pytest.main([*options, *TESTS[module]], plugins=[WithoutTheCorpora()]))


def passed(every: Iterator[Mutant]) -> Iterator[tuple[Mutant, bool]]:
    """Run each mutant in a process of its own, some at a time; yield whether its tests passed.

    Raises:
        RuntimeError: the tests neither passed nor failed, so they say nothing about the mutant.
    """
    running: dict[int, Mutant] = {}
    gc.freeze()  # the processes need not search what they share for garbage
    for mutant in every:
        if len(running) == WORKERS:
            yield _ended(running)
        pid = os.fork()
        if not pid:
            signal.alarm(LIMIT_S)  # ends a mutant that would run without end
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            os._exit(run(mutant[0], mutant[2]))
        running[pid] = mutant
    while running:
        yield _ended(running)


def _ended(running: dict[int, Mutant]) -> tuple[Mutant, bool]:
    pid, status = os.wait()
    mutant, code = running.pop(pid), os.waitstatus_to_exitcode(status)
    # A mutant that cannot be imported interrupts the collection, or makes a conftest.py fail.
    verdicts = {code.value for code in (pytest.ExitCode.OK, *KILLED)} | {-signal.SIGALRM}
    if code not in verdicts:
        raise RuntimeError(f"pytest ended with {code}: {mutant[0]}: {mutant[1]}")
    return mutant, code == pytest.ExitCode.OK
