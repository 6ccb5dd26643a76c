"""The embedded engine: the real template, workflow and handlers, run in this process on moto.

- `engine`: the public face; `account` reads moto's backends for it.
- `deployment`, `template`, `parameters`: deploy the template.
- `moto_patches`: correct moto, one file for each service.
- `lambda_runtime`, `sam_local`: run the handlers, in this process or in containers; `calls` names their requests.
- `http_api`: answers as the stack's HTTP API.
- `server`: answers over HTTP, for `ledger serve`.
- `snapshots`, `state`, `state_format`: keep what a server holds over a restart.
"""

from unittest.mock import patch

import boto3

from ledger_cli.environment import without_the_shells_variables

# moto looks for the shell's AWS profile when it is imported, and fails if no profile has that name. It also makes a
# session for each list of regions, and each session parses megabytes: one session saves a fifth of the import's time.
with (
    without_the_shells_variables(),
    patch.object(boto3.Session, "get_available_regions", boto3.Session().get_available_regions),
):
    from ledger_cli.engine.engine import Engine

__all__ = ["Engine"]
