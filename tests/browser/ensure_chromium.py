"""Sees to it that a Chromium is there before the browser tests: uses the one there is, or installs Debian's where it may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The path of a Chromium on this machine, or None; `TIDEGATE_CHROMIUM` names one elsewhere."""
    named = os.environ.get("TIDEGATE_CHROMIUM")
    if named:
        return named if os.access(named, os.X_OK) else None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def may_install() -> bool:
    """Whether Debian's package can be installed here without asking anybody: as root, with apt."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install() -> None:
    """Installs Debian's Chromium; what apt prints goes to stderr."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run(command, check=False, env=environment, stdout=sys.stderr, timeout=900)


def main() -> int:
    """0 when a browser is there or its absence is excused; 1 in CI without one."""
    if chromium() is None and may_install():
        print("No Chromium here: installing Debian's.", file=sys.stderr)
        install()
    if chromium() is not None:
        return 0
    words = "NO BROWSER: the browser tests will NOT run. Install Chromium, or name one in TIDEGATE_CHROMIUM."
    print(f"\n{'!' * 100}\n{words}\n{'!' * 100}\n", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
