"""Programs that the tests need and Debian has: found where they are, installed where nobody has to be asked, missed aloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable


def named(variable: str, find: Callable[[], str | None]) -> str | None:
    """The path of a program that can be run: what the environment's `variable` names, or without one what `find` finds; or None."""
    told = os.environ.get(variable)
    if told:
        return told if os.access(told, os.X_OK) else None
    return find()


def ensure(find: Callable[[], str | None], what: str, package: str, missing: str, **environment: str) -> int:
    """0 when `find` finds the program, after an installation of Debian's `package` if need be, or when its absence is excused; 1 in CI
    without it. `missing`: the words for its absence. `environment`: variables for the installation, whose output goes to stderr.
    """
    if find() is None and _may_install():
        print(f"No {what} here: installing Debian's.", file=sys.stderr)
        _install(package, environment)
    if find() is not None:
        return 0
    print(f"\n{'!' * 100}\n{missing}\n{'!' * 100}\n", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


def _may_install() -> bool:
    """Whether Debian's package can be installed here without asking anybody: as root, with apt."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(package: str, environment: dict[str, str]) -> None:
    told = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **environment}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]):
        subprocess.run(command, check=False, env=told, stdout=sys.stderr, timeout=900)
