"""Patch files, which git applies to a copy of the sources: planted bugs, and variants that are measured."""

import os
import subprocess
from pathlib import Path

from ledger_cli import ROOT


class PatchError(Exception):
    """A patch does not apply to the sources of today; the message names the patch and the command that refreshes it."""


def apply_patch(patch: Path, folder: Path, *, strip: int = 1, check_only: bool = False) -> None:
    """Change the files in *folder* as *patch* says.

    Args:
        patch: what `git diff` printed, below a comment.
        folder: a folder with the files; it need not be a repository.
        strip: how many leading parts of each path in the patch are left out.
        check_only: change nothing, and check only whether the patch applies.

    Raises:
        PatchError: the patch does not apply.
    """
    # Inside of a repository, git would pass over files that are not below its root without an error.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(folder.resolve().parent)
    command = ["git", "apply", f"-p{strip}", *(["--check"] if check_only else []), str(patch.resolve())]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        name = patch.resolve().relative_to(ROOT) if patch.resolve().is_relative_to(ROOT) else patch
        reason = next(iter(done.stderr.splitlines()), "git says nothing")
        how = f"git apply --3way {name}, then as tests/simulation/bugs/README.md says"
        raise PatchError(f"{name} does not apply ({reason}). Refresh it: {how}")


def comment_of(patch: Path) -> str:
    """Return the comment on the first line of a patch, which says what the patch changes."""
    return patch.read_text().partition("\n")[0]
