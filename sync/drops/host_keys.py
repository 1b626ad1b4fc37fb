"""Whether an SSH server is the one that the connection knows: by pinned fingerprints and keys, or by a known_hosts file. Nothing is learnt."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

import paramiko

from sync.connections import ConfigError
from sync.drops.options import Sftp

FAMILIES = (("ssh-ed25519",), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"), ("rsa-sha2-512", "rsa-sha2-256"))
"""The kinds of host key as servers offer them; one server mostly has one of each."""


class KnownHost:
    """What is known of one server's keys."""

    def __init__(self, options: Sftp, connection: str) -> None:
        """Raises ConfigError when a pinned key can't be read, or the known_hosts file does not name the server."""
        self._connection = connection
        self._fingerprints = {one.rstrip("=") for one in options.host_key if one.startswith("SHA256:")}
        self._keys = {self._public(one) for one in options.host_key if not one.startswith("SHA256:")}
        self._revoked: set[bytes] = set()
        self.name = options.host if options.port == 22 else f"[{options.host}]:{options.port}"
        if options.known_hosts is not None:
            self._read(Path(options.known_hosts).expanduser())

    def knows(self, key: paramiko.PKey) -> bool:
        """Whether the key that the server proved to hold is one of those."""
        shown = key.asbytes()
        return shown not in self._revoked and (shown in self._keys or fingerprint(key) in self._fingerprints)

    def families(self) -> tuple[tuple[str, ...], ...]:
        """The kinds of key to ask the server for, one after the other, until one fits. A fingerprint does not say its kind."""
        if self._fingerprints:
            return FAMILIES
        kinds = {_kind(key) for key in self._keys}
        return tuple(family for family in FAMILIES if any(kind in family or (kind == "ssh-rsa" and "rsa" in family[0]) for kind in kinds))

    def expected(self) -> str:
        """The fingerprints that would do, in words."""
        prints = sorted(self._fingerprints | {_fingerprint(key) for key in self._keys - self._revoked})
        return ", ".join(prints) or "none"

    def _public(self, text: str) -> bytes:
        try:
            kind, encoded = text.split()[:2]
            key = base64.b64decode(encoded, validate=True)
            if _kind(key) != kind:
                raise ValueError("its two parts name different kinds")
        except (ValueError, binascii.Error) as error:
            raise ConfigError(f"connection {self._connection}: host_key {text[:20]!r}... can't be read: {error}") from error
        return key

    def _read(self, path: Path) -> None:
        """Takes the server's lines of a known_hosts file. Certificate authorities are not used: a key is known itself, or not."""
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise ConfigError(f"connection {self._connection}: known_hosts {path} can't be read: {error.strerror}") from error
        for line in lines:
            parts = line.split()
            mark = parts.pop(0) if parts and parts[0].startswith("@") else ""
            if len(parts) >= 3 and not line.lstrip().startswith("#") and _names(parts[0], self.name):
                with suppress(binascii.Error):  # a line that is none says nothing
                    key = base64.b64decode(parts[2], validate=True)
                    (self._revoked if mark == "@revoked" else set() if mark else self._keys).add(key)
        if not (self._keys or self._fingerprints):
            raise ConfigError(f"connection {self._connection}: {path} knows no key of {self.name}: add its line once it is confirmed")


def _names(patterns: str, name: str) -> bool:
    """Whether the first field of a known_hosts line means the host `name`: plain, with * and ?, negated by !, or hashed."""
    meant = False
    for pattern in patterns.split(","):
        if pattern.startswith("|1|"):
            with suppress(ValueError, binascii.Error):
                salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
                meant = meant or hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
        elif pattern.startswith("!") and fnmatchcase(name.lower(), _literal(pattern[1:])):
            return False
        else:
            meant = meant or fnmatchcase(name.lower(), _literal(pattern))
    return meant


def _literal(pattern: str) -> str:
    """The brackets around a host with a port are no character class."""
    return pattern.lower().replace("[", "[[]")


def fingerprint(key: paramiko.PKey) -> str:
    """The fingerprint as `ssh-keygen -l` shows it."""
    return _fingerprint(key.asbytes())


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _kind(key: bytes) -> str:
    """The kind that a public key names itself: a length of four bytes, then its name."""
    length = int.from_bytes(key[:4], "big")
    return key[4 : 4 + length].decode("ascii", errors="replace")
