"""The places of a connection: its folders, here or on a server."""

from __future__ import annotations

from collections.abc import Sequence

from sync.connections import Connection
from sync.drops.credentials import credentials_of
from sync.drops.folder import Folder
from sync.drops.host_keys import KnownHost
from sync.drops.options import DropOptions
from sync.drops.place import Place
from sync.drops.session import Session
from sync.drops.sftp import SftpFolder


def places_of(connection: Connection, options: DropOptions) -> Sequence[Place]:
    """One place per folder of `options`; those of a server share one session, which is made when it is needed.

    Raises ConfigError when the server's known keys or our credentials can't be read.
    """
    server = options.sftp
    if server is None:
        return [Folder(folder, connection.name) for folder in options.folders]
    credentials_of(connection, server.user)
    session = Session(
        server,
        KnownHost(server, connection.name),
        lambda: credentials_of(connection, server.user),
        connection=connection.name,
        private_allowed=connection.allow_private_addresses,
    )
    return [SftpFolder(session, folder, user=server.user, connection=connection.name) for folder in options.folders]
