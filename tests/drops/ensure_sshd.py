"""Sees to it that an OpenSSH server is there before the SFTP tests: uses the one there is, or installs Debian's where it may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd")


def sshd() -> str | None:
    """The path of OpenSSH's server on this machine, or None; `TIDEGATE_SSHD` names one elsewhere."""
    named = os.environ.get("TIDEGATE_SSHD")
    if named:
        return named if os.access(named, os.X_OK) else None
    return shutil.which("sshd") or next((place for place in PLACES if os.access(place, os.X_OK)), None)


def may_install() -> bool:
    """Whether Debian's package can be installed here without asking anybody: as root, with apt."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install() -> None:
    """Installs Debian's openssh-server, kept from starting by itself; what apt prints goes to stderr."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "openssh-server"]):
        subprocess.run(command, check=False, env=environment, stdout=sys.stderr, timeout=900)


def main() -> int:
    """0 when a server is there or its absence is excused; 1 in CI without one."""
    if sshd() is None and may_install():
        print("No OpenSSH server here: installing Debian's.", file=sys.stderr)
        install()
    if sshd() is not None:
        return 0
    words = "NO SSHD: the SFTP tests will NOT run. Install openssh-server, or name one in TIDEGATE_SSHD."
    print(f"\n{'!' * 100}\n{words}\n{'!' * 100}\n", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
