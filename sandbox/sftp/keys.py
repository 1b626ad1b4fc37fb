"""The keys of the file server, made once per state folder: its own, and the one of the partner whom it lets in."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class Keys:
    """`host`: what the server shows. `partner`: where the private key lies that it lets in, a file for its owner only."""

    host: paramiko.PKey
    partner: Path

    @classmethod
    def of(cls, folder: Path) -> Keys:
        """The keys that lie in `folder`, made when they are not there."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(paramiko.Ed25519Key.from_private_key_file(str(_kept(folder / "host_key"))), _kept(folder / "partner_key"))

    @property
    def fingerprint(self) -> str:
        """The host key's fingerprint, as `ssh-keygen -l` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.host.asbytes()).digest()).decode().rstrip("=")

    def partner_is(self, key: paramiko.PKey) -> bool:
        """Whether `key` is the partner's."""
        return paramiko.Ed25519Key.from_private_key_file(str(self.partner)).asbytes() == key.asbytes()


def strange_key() -> paramiko.PKey:
    """A host key that nobody knows."""
    return paramiko.Ed25519Key.from_private_key(io.StringIO(_private()))


def _private() -> str:
    made = Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    return made.private_bytes(*form).decode()


def _kept(path: Path) -> Path:
    if not path.exists():
        scratch = path.with_suffix(".new")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(_private())
        scratch.replace(path)
    return path
