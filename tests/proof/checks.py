"""Everything that must hold of the stack besides its policies. The rules are in `rules/`, one module for each subject.

A rule yields one line for each thing that breaks it.
"""

from collections.abc import Callable, Iterator

from tests.proof.policies import Resources
from tests.proof.rules.alarms import events_and_alarms, what_alarms_count
from tests.proof.rules.data import checkpoints_are_locked, data_is_retained, keys_and_logs
from tests.proof.rules.functions import (
    functions_are_inside,
    lanes_differ_in_their_errors,
    roles_work_for_their_functions_only,
    variables_name_the_right_things,
    workflows_run_this_code,
)
from tests.proof.rules.grants import (
    actions_are_explicit,
    privileged_roles_are_named,
    readers_of_logs_name_both_forms,
)
from tests.proof.rules.network import endpoints_are_exact, no_way_out, security_groups_are_a_closed_pair
from tests.proof.rules.watch import changes_are_watched
from tests.proof.rules.ways_in import (
    concurrency_is_reserved,
    only_the_webhook_is_reachable,
    payments_and_entries_from_buses,
)

Rule = Callable[[Resources], Iterator[str]]

RULES: tuple[Rule, ...] = (
    no_way_out,
    only_the_webhook_is_reachable,
    payments_and_entries_from_buses,
    security_groups_are_a_closed_pair,
    endpoints_are_exact,
    functions_are_inside,
    data_is_retained,
    checkpoints_are_locked,
    keys_and_logs,
    events_and_alarms,
    what_alarms_count,
    workflows_run_this_code,
    lanes_differ_in_their_errors,
    variables_name_the_right_things,
    actions_are_explicit,
    readers_of_logs_name_both_forms,
    changes_are_watched,
    roles_work_for_their_functions_only,
    privileged_roles_are_named,
    concurrency_is_reserved,
)


def problems(resources: Resources) -> list[str]:
    """Return every line that a rule yields. A rule that cannot read the stack has found a problem too."""
    found = []
    for rule in RULES:
        try:
            found += list(rule(resources))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            found.append(f"{rule.__name__}: cannot be judged ({type(error).__name__}: {error})")
    return found
