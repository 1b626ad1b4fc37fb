"""The wire under `sync.http`: a total deadline that no dripped byte can stretch, and no way to an address that is not meant.

httpx's time-outs restart with every byte. Here the network stream itself knows the moment by which the whole request must be
done, headers and body alike. The host's name is resolved once, its address judged, and that very address is connected to.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx

from sync.addresses import ForbiddenAddress, Unresolved, judge, resolve


class DeadlinePassed(Exception):
    """The request's total time is over."""


class Deadline:
    """The moment by which the running request of each thread must be done; `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_thread = threading.local()

    def begin(self, seconds: float) -> None:
        """Starts the time of this thread's request."""
        self._of_thread.ends = self._clock() + seconds

    def left(self, wanted: float | None) -> float:
        """Seconds a single step may take: what is left, at most `wanted`. Raises DeadlinePassed when nothing is left."""
        left: float = self._of_thread.ends - self._clock()
        if left <= 0:
            raise DeadlinePassed
        return left if wanted is None else min(left, wanted)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline, *, private: bool, plain_ports: frozenset[int]) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline
        self._private = private
        self._plain_ports = plain_ports

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = resolve(host, port)
        except Unresolved as error:
            raise httpcore.ConnectError(str(error)) from error
        for address in addresses:
            judge(address, private_allowed=self._private, private_only=port in self._plain_ports)
        for place, address in enumerate(addresses):
            try:
                stream = self._inner.connect_tcp(address, port, self._deadline.left(timeout), local_address, socket_options)
                return _Stream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError("the name has no address")

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> httpcore.NetworkStream:  # noqa: ARG002
        raise ForbiddenAddress(path)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(self._deadline.left(seconds))


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes], close: Callable[[], None]) -> None:
        self._stream = stream
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        self._close()


class Transport(httpx.BaseTransport):
    """httpx over httpcore with the guarded network. Raises httpcore's own errors, ForbiddenAddress and DeadlinePassed.

    `private`: private addresses may be reached; `plain_ports`: ports spoken to in plain http, then private addresses only.
    """

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None, *, private: bool, plain_ports: frozenset[int]) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=8,
            max_keepalive_connections=8,
            keepalive_expiry=2.0,  # shorter than servers keep it: a connection closed under a write would leave its outcome unknown
            network_backend=_Backend(deadline, private=private, plain_ports=plain_ports),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        stream = answer.stream
        assert isinstance(stream, Iterable)  # noqa: S101  (the synchronous pool answers with synchronous streams)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(stream, answer.close), extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()
