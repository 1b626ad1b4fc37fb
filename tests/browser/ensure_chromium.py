"""Sees to it that a Chromium is there before the browser tests: uses the one there is, or installs Debian's where it may."""

from __future__ import annotations

import shutil
import sys

from tests.debian import ensure, named

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "NO BROWSER: the browser tests will NOT run. Install Chromium, or name one in TIDEGATE_CHROMIUM."


def chromium() -> str | None:
    """The path of a Chromium on this machine, or None; `TIDEGATE_CHROMIUM` names one elsewhere."""
    return named("TIDEGATE_CHROMIUM", lambda: next((path for name in NAMES if (path := shutil.which(name))), None))


if __name__ == "__main__":
    sys.exit(ensure(chromium, "Chromium", "chromium", MISSING))
