"""These tests need a stack that has the fast lane: `pytest --lane fast tests/fast_lane`."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _needs_the_fast_lane(pytestconfig: pytest.Config) -> None:
    """Stop if the stack is another one: then these tests would show nothing."""
    if pytestconfig.getoption("lane") != "fast":
        pytest.exit("tests/fast_lane needs --lane fast", returncode=2)
