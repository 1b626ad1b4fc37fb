"""How a connection says where its files are dropped: the options that every adapter of files shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from sync.declared.declaration import Part


def _listed(given: object) -> object:
    return (given,) if isinstance(given, str) else given


OneOrMany = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Sftp(Part):
    """An SFTP server. Its key is known beforehand, by fingerprint or public key in `host_key` or by a `known_hosts` file: never by accepting
    what it shows. The secrets of the connection are `private_key` (with `passphrase` where it has one), `password`, or both.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(min_length=1)
    host_key: OneOrMany = ()
    known_hosts: str | None = None
    connect_seconds: float = Field(default=20, gt=0)
    """How long it may take until we are let in."""
    deadline_seconds: float = Field(default=120, gt=0)
    """How long one operation may take in all: a listing, a file read whole, a file moved."""

    @model_validator(mode="after")
    def _known_beforehand(self) -> Self:
        if not self.host_key and self.known_hosts is None:
            raise ValueError(
                'the server\'s key has to be known: host_key = "SHA256:..." (ask its administrator for the fingerprint),'
                " or known_hosts = the path of a known_hosts file"
            )
        for key in self.host_key:
            if not key.startswith(("SHA256:", "ssh-", "ecdsa-")):
                raise ValueError(f"host_key {key[:20]!r} is neither a fingerprint SHA256:... nor a public key such as ssh-ed25519 AAAA...")
        if self.known_hosts is not None and not Path(self.known_hosts).expanduser().is_file():
            raise ValueError(f"known_hosts: there is no file {self.known_hosts}")
        return self


class DropOptions(Part):
    """Where files are dropped, and where they go once they are settled."""

    folders: OneOrMany = ()
    """Folders of this machine, or with `sftp` of that server."""
    sftp: Sftp | None = None
    archive: str = "archive"
    """Where accepted files go, relative to their folder; empty leaves them where they are."""
    quarantine: str = "quarantine"
    temporary_suffixes: tuple[str, ...] = (".tmp", ".part", ".filepart", ".writing", ".crdownload", "~")
    """A file whose name ends so is still being written."""

    @model_validator(mode="after")
    def _server_has_folders(self) -> Self:
        if self.sftp is not None and not self.folders:
            raise ValueError("sftp needs folders: the folders of the server in which files are dropped, such as /outgoing")
        return self

    def targets(self) -> tuple[str, ...]:
        """The folders into which files are moved."""
        return tuple(folder for folder in (self.archive, self.quarantine) if folder)
