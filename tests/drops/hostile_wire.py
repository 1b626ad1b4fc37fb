"""A TCP relay in front of a server that does what networks do: cut a stream after so many bytes, drip it, or stall."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Relay:
    """Relays connections to `port`. `cut_after`: bytes from the server after which each of the next `cuts` connections is cut;
    `drip_seconds`: how long it waits after every 64 bytes from the server once `drip_after` bytes of a connection have passed.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.cut_after, self.cuts = 0, 0
        self.drip_after, self.drip_seconds = 0, 0.0
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _shut(client, server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := server.recv(16384):
                if self.cuts and passed + len(data) > self.cut_after:
                    self.cuts -= 1
                    client.sendall(data[: max(self.cut_after - passed, 0)])
                    break
                self._send(client, data, passed)
                passed += len(data)
        _shut(client, server)

    def _send(self, client: socket.socket, data: bytes, passed: int) -> None:
        if not self.drip_seconds or passed < self.drip_after:
            client.sendall(data)
            return
        for place in range(0, len(data), 64):
            client.sendall(data[place : place + 64])
            time.sleep(self.drip_seconds)


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            each.close()
