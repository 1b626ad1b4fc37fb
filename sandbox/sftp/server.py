"""The SFTP server: one listening thread, and paramiko's threads for as long as somebody is connected."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_SUCCEEDED

from sandbox.faults import Dial
from sandbox.sftp.home import Home
from sandbox.sftp.keys import Keys, strange_key

USER = "tidegate"
SESSIONS_MAX = 16
LOGIN_SECONDS = 20.0
"""A visitor who has not said by then who he is, is shown out."""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class _Door(paramiko.ServerInterface):
    """Lets the partner in by his key, for SFTP and for nothing else."""

    def __init__(self, system: str, keys: Keys, dial: Dial) -> None:
        self._system, self._keys, self._dial = system, keys, dial

    def get_allowed_auths(self, username: str) -> str:
        """Keys only."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Whether this user may come in by this key."""
        refused = self._dial.take(self._system, "login_refused") is not None
        return int(AUTH_SUCCESSFUL if username == USER and self._keys.partner_is(key) and not refused else AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Sessions, no forwarding."""
        return int(OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)


class SftpServer:
    """Serves `root` as the partner's home on `listening`, a bound and listening socket, for the system called `system`."""

    def __init__(self, system: str, root: Path, keys: Keys, listening: socket.socket, dial: Dial) -> None:
        self._system, self._root, self._keys, self._listening, self._dial = system, root, keys, listening, dial
        self._sessions: list[tuple[paramiko.Transport, float]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"sftp {system}", daemon=True)

    def start(self) -> None:
        """Begins to serve, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends every session and the listening."""
        self._ending.set()
        self._thread.join(5)
        for transport, _ in self._sessions:
            transport.close()
        self._listening.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            ready, _, _ = select.select([self._listening], [], [], 0.5)
            self._tidy()
            if not ready:
                continue
            with suppress(OSError):
                client, _ = self._listening.accept()
                client.setblocking(True)
                self._welcome(client)

    def _tidy(self) -> None:
        now = time.monotonic()
        for transport, since in self._sessions:
            if not transport.is_authenticated() and now - since > LOGIN_SECONDS:
                transport.close()
        self._sessions = [each for each in self._sessions if each[0].is_active()]

    def _welcome(self, client: socket.socket) -> None:
        if len(self._sessions) >= SESSIONS_MAX or self._dial.take(self._system, "outage") is not None:
            client.close()
            return
        transport = paramiko.Transport(client)
        transport.daemon = True
        stranger = self._dial.take(self._system, "other_host_key") is not None
        transport.add_server_key(strange_key() if stranger else self._keys.host)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Home, self._system, self._root, self._dial, lambda: _hang_up(client))
        with suppress(paramiko.SSHException, EOFError, OSError):
            # With an event it returns at once: the handshake is the session's own thread's business.
            transport.start_server(event=threading.Event(), server=_Door(self._system, self._keys, self._dial))
            self._sessions.append((transport, time.monotonic()))


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
