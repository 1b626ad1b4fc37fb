"""Sees to it that an OpenSSH server is there before the SFTP tests: uses the one there is, or installs Debian's where it may."""

from __future__ import annotations

import os
import shutil
import sys

from tests.debian import ensure, named

PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd")
MISSING = "NO SSHD: the SFTP tests will NOT run. Install openssh-server, or name one in TIDEGATE_SSHD."
QUIET = {"RUNLEVEL": "1"}
"""Keeps Debian from starting the server that it installs."""


def sshd() -> str | None:
    """The path of OpenSSH's server on this machine, or None; `TIDEGATE_SSHD` names one elsewhere."""
    return named("TIDEGATE_SSHD", lambda: shutil.which("sshd") or next((place for place in PLACES if os.access(place, os.X_OK)), None))


if __name__ == "__main__":
    sys.exit(ensure(sshd, "OpenSSH server", "openssh-server", MISSING, **QUIET))
