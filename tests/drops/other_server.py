"""A second kind of SSH server, in this process: it asks for passwords, and may lie in what it lists. paramiko's own server side."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_PARTIALLY_SUCCESSFUL, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_OK


class _Answers(paramiko.ServerInterface):
    def __init__(self, password: str, after_key: bool) -> None:
        self._password, self._after_key = password, after_key

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(OPEN_SUCCEEDED)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password" if self._after_key else "password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return int(AUTH_PARTIALLY_SUCCESSFUL if self._after_key else AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        return int(AUTH_SUCCESSFUL if password == self._password else AUTH_FAILED)


class OtherServer:
    """Lets in by `password` (with `after_key` only behind a key) and lists files of these names, each of one byte."""

    def __init__(self, password: str, names: list[str], *, after_key: bool = False) -> None:
        self.key = paramiko.ECDSAKey.generate()
        self.public = f"{self.key.get_name()} {self.key.get_base64()}"
        self._password, self._after_key = password, after_key
        self._listing = self._listing_of(names)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[paramiko.Transport] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for transport in self._open:
            transport.close()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def __enter__(self) -> OtherServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, self._listing)
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=_Answers(self._password, self._after_key), event=threading.Event())
            self._open.append(transport)

    @staticmethod
    def _listing_of(names: list[str]) -> type[paramiko.SFTPServerInterface]:
        class Lists(paramiko.SFTPServerInterface):
            def list_folder(self, path: str) -> list[paramiko.SFTPAttributes]:
                found = []
                for name in names:
                    state = paramiko.SFTPAttributes()
                    state.filename, state.st_size, state.st_mtime, state.st_atime, state.st_mode = name, 1, 1, 1, 0o100644
                    found.append(state)
                return found

            def canonicalize(self, path: str) -> str:
                return path

            def session_started(self) -> None:
                return None

            def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
                return SFTP_OK

        return Lists
