"""A real OpenSSH server on a loopback port for as long as a test needs it, with its own configuration, host keys and authorized key."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sync.connections import Connection
from tests.drops.ensure_sshd import sshd

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
{keys}
PidFile none
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
Subsystem sftp internal-sftp {sftp}
"""


def needed() -> str:
    """The path of sshd; without one the test is skipped here, loudly, and fails in CI."""
    found = sshd()
    if found is None:
        words = "NO SSHD: install openssh-server, or name one in TIDEGATE_SSHD"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def key_pair(kind: str = "ed25519", passphrase: str | None = None) -> tuple[str, str]:
    """(private key in OpenSSH's form, public key line)."""
    if kind == "ed25519":
        made: Any = ed25519.Ed25519PrivateKey.generate()
    else:
        made = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, 2048)
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    private = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock)
    public = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


class Sshd:
    """The server, its folder `drop`, and the keys: `host_keys` by kind as public key lines, `private_key` of whom it lets in.

    `sftp`: further arguments of internal-sftp, such as `-P rename` to refuse a request.
    """

    def __init__(self, home: Path, *, kinds: tuple[str, ...] = ("ed25519",), sftp: str = "", port: int | None = None) -> None:
        self._program = needed()
        self.home = home
        self.port = port or free_port()
        self.user = getpass.getuser()
        self.drop = home / "drop"
        self.drop.mkdir(exist_ok=True)
        self.private_key, public = key_pair()
        (home / "authorized_keys").write_text(public + "\n")
        self.host_keys: dict[str, str] = {}
        for kind in kinds:
            private, self.host_keys[kind] = key_pair(kind)
            path = home / f"host_{kind}"
            path.write_text(private)
            path.chmod(0o600)
        keys = "\n".join(f"HostKey {home}/host_{kind}" for kind in kinds)
        (home / "sshd_config").write_text(CONFIGURATION.format(port=self.port, keys=keys, home=home, sftp=sftp))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        """Starts the server and waits until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a server of root separates its privileges
        log = (self.home / "sshd.log").open("ab")
        self._process = subprocess.Popen([self._program, "-D", "-e", "-f", str(self.home / "sshd_config")], stderr=log, stdout=log)
        log.close()
        ends = time.monotonic() + 20
        while time.monotonic() < ends and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError("sshd did not come up: " + (self.home / "sshd.log").read_text()[-2000:])

    def stop(self) -> None:
        """Ends the server and the sessions it has open, which are processes of their own."""
        if self._process is not None:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Sshd:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def sftp(self, **changes: Any) -> dict[str, Any]:
        """The option `sftp` of a connection to this server."""
        return {"host": "127.0.0.1", "port": self.port, "user": self.user, "host_key": list(self.host_keys.values()), **changes}

    def secrets(self) -> dict[str, str]:
        """The secrets of such a connection."""
        path = self.home / "client_key"
        path.write_text(self.private_key)
        return {"private_key": f"file:{path}"}

    def connection(self, options: dict[str, Any], **changes: Any) -> Connection:
        """A flat_files connection whose folder is this server's `drop`."""
        sftp = self.sftp(**options.pop("sftp", {}))
        given = {"folders": [str(self.drop)], "sftp": sftp, **options}
        values: dict[str, Any] = {
            "name": "drop", "system": "flat_files", "region": "EMEA", "options": given, "secrets": self.secrets(), "allow_private_addresses": True,
        }  # fmt: skip
        return Connection(**{**values, **changes})
