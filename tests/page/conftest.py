"""The Chromium of this machine."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
REBOUND = "rebind.example"
"""A name that leads to this machine, as an attacker's does once its page is open."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser for the tests of one module."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("NOT TESTED: there is no Chromium here; `make browser` installs Debian's")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
        launched = playwright.chromium.launch(executable_path=found, args=arguments)
        yield launched
        launched.close()
