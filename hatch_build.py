"""Puts what the command reads in a clone into the wheel, at `ledger_cli.ROOT`."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

READ = ("template.yaml", "functions", "statemachine", "events")


class ProjectFiles(BuildHookInterface[Any]):
    """Adds the files to a wheel, but not to an editable install, which reads the clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, unless the *version* of the wheel is `editable`."""
        if version == "standard":
            build_data["force_include"] |= {name: f"ledger_cli/project/{name}" for name in READ}
