"""These tests need a stack with the fast lane: `pytest --lane fast`."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _on_a_stack_with_the_fast_lane(fast_lane: None) -> None:
    """Stop if the stack is another one."""
