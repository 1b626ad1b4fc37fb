"""One SSH session with a file server: to an address that was judged, a key that is known beforehand, within a total deadline.

paramiko's own time-outs restart with every packet. Here a watch cuts the socket when the operation's time is over, so that a server
that drips bytes holds nobody.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import paramiko

from sync.addresses import ForbiddenAddress, Unresolved, judge, resolve
from sync.drops.credentials import Credentials
from sync.drops.host_keys import KnownHost, fingerprint
from sync.drops.listing import Listing
from sync.drops.options import Sftp
from sync.errors import AuthError, IdentityError, PermanentError, SourceError, TransientError

# What goes wrong is raised to us; the library's own thread would print it with its traceback besides.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

IDLE_SECONDS = 20.0
"""A session that rested longer is made anew: servers and firewalls forget silently."""


class Cut(TransientError):
    """The connection broke in the middle; nothing is known to be wrong with the server."""


class Refused(SourceError):
    """The server answered, with a no to this one request: `errno` as the protocol gives it, or None."""

    kind = "permanent"

    def __init__(self, detail: str, number: int | None, connection: str) -> None:
        super().__init__(detail, connection=connection)
        self.errno = number


class Session:
    """The session of one connection to one server, made when it is needed. `credentials` are read anew for each session. Safe to share
    between threads: one operation at a time.
    """

    def __init__(
        self, options: Sftp, known: KnownHost, credentials: Callable[[], Credentials], *, connection: str, private_allowed: bool
    ) -> None:
        self._options, self._known, self._credentials = options, known, credentials
        self._connection, self._private_allowed = connection, private_allowed
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._transport: paramiko.Transport | None = None
        self._client: Listing | None = None
        self._used = 0.0
        self.server_words = f"{options.host}:{options.port}"

    def ends(self) -> float:
        """The moment (monotonic seconds) by which an operation that begins now has to be done."""
        return time.monotonic() + self._options.deadline_seconds

    @contextmanager
    def doing(self, what: str, ends: float | None = None) -> Iterator[Listing]:
        """An open SFTP client for one operation, called `what` in errors, that has to be done by `ends`.

        Raises Refused for the server's no, Cut for a broken connection, TransientError, AuthError, IdentityError and PermanentError.
        """
        with self._lock:
            left = (self.ends() if ends is None else ends) - time.monotonic()
            late = threading.Event()
            watch = threading.Timer(max(left, 0.001), self._expire, [late])
            watch.daemon = True
            watch.start()
            try:
                yield self._opened()
                self._used = time.monotonic()
            except SourceError as error:
                if late.is_set():
                    raise self._too_late(what) from error
                raise
            except (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError, ValueError, IndexError) as error:
                raise self._error(what, error, late.is_set()) from error
            finally:
                watch.cancel()
                if late.is_set():
                    self.close()

    def close(self) -> None:
        """Ends the session; the next operation makes a new one."""
        with self._lock:
            transport, self._transport, self._client = self._transport, None, None
            held, self._socket = self._socket, None
            _shut(held)
            if transport is not None:
                transport.close()

    def _expire(self, late: threading.Event) -> None:
        late.set()
        _shut(self._socket)

    def _too_late(self, what: str) -> TransientError:
        seconds = self._options.deadline_seconds
        return TransientError(f"{what} on {self.server_words} took longer than {seconds:g} s and was given up", connection=self._connection)

    def _error(self, what: str, error: Exception, late: bool) -> SourceError:
        if late:
            return self._too_late(what)
        alive = self._transport is not None and self._transport.is_active()
        if alive and isinstance(error, OSError) and not isinstance(error, socket.timeout):
            return Refused(str(error.strerror or error), error.errno, self._connection)
        self.close()
        return Cut(
            f"the connection to {self.server_words} broke while {what}: {error or type(error).__name__}", connection=self._connection
        )

    def _opened(self) -> Listing:
        rested = time.monotonic() - self._used > IDLE_SECONDS
        if self._client is not None and (rested or self._transport is None or not self._transport.is_active()):
            self.close()
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> Listing:
        """Connects, makes sure of the server, then proves who we are, in this order: nothing of ours goes to a stranger."""
        credentials = self._credentials()
        shown: list[str] = []
        for family in self._known.families():
            transport = self._start(family)
            if transport is None:
                continue
            key = transport.get_remote_server_key()
            if not self._known.knows(key):
                shown.append(f"{fingerprint(key)} ({key.get_name()})")
                self.close()
                continue
            self._let_in(transport, credentials)
            client = Listing.from_transport(transport)
            if client is None:
                raise PermanentError(f"{self.server_words} offers no SFTP to {credentials.user}", connection=self._connection)
            client.get_channel().settimeout(self._options.deadline_seconds)  # type: ignore[union-attr]
            return client
        raise IdentityError(
            f"{self.server_words} shows the key {', '.join(dict.fromkeys(shown)) or 'of no kind that is expected'}; expected is"
            f" {self._known.expected()}. Nothing was sent. If its administrator confirms the new key, enter it; else somebody stands between",
            connection=self._connection,
        )

    def _start(self, family: tuple[str, ...]) -> paramiko.Transport | None:
        """A transport whose server proved to hold a key of `family`; None when it has none of that kind."""
        self._socket = self._reach()
        transport = paramiko.Transport(self._socket)
        self._transport = transport
        transport.daemon = True
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = self._options.connect_seconds
        transport.get_security_options().key_types = family
        try:
            transport.start_client(timeout=self._options.connect_seconds)
        except paramiko.ssh_exception.IncompatiblePeer as error:
            self.close()
            if "host key" in str(error):
                return None
            raise PermanentError(
                f"{self.server_words} speaks only ciphers or key exchanges that are no longer safe: {error}", connection=self._connection
            ) from error
        except paramiko.SSHException as error:
            self.close()
            raise TransientError(f"{self.server_words} does not answer as an SSH server: {error}", connection=self._connection) from error
        return transport

    def _reach(self) -> socket.socket:
        """A socket to the first of the host's addresses that answers, each judged before anything is sent."""
        host, port = self._options.host, self._options.port
        try:
            addresses = resolve(host, port)
            for address in addresses:
                judge(address, private_allowed=self._private_allowed)
        except Unresolved as error:
            raise TransientError(f"{host} can't be resolved", connection=self._connection) from error
        except ForbiddenAddress as error:
            raise PermanentError(
                f"{host} is the private address {error}: if that is meant, set allow_private_addresses = true", connection=self._connection
            ) from error
        last: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout=self._options.connect_seconds)
            except OSError as error:
                last = error
        raise TransientError(f"{self.server_words} does not answer: {last}", connection=self._connection)

    def _let_in(self, transport: paramiko.Transport, credentials: Credentials) -> None:
        """Key first, then password; some servers want both. AuthError says what was tried and what the server would take."""
        tried: list[str] = []
        wanted: list[str] = []
        try:
            if credentials.key is not None:
                tried.append(f"the key {fingerprint(credentials.key)}")
                with suppress(paramiko.AuthenticationException):
                    wanted = transport.auth_publickey(credentials.user, credentials.key)
            if not transport.is_authenticated() and credentials.password is not None and transport.is_active():
                tried.append("the password")
                wanted = transport.auth_password(credentials.user, credentials.password)
        except paramiko.BadAuthenticationType as error:
            wanted = error.allowed_types
        except paramiko.AuthenticationException:
            pass
        if not transport.is_authenticated():
            more = f"; it also wants {', '.join(wanted)}" if wanted else ""
            self.close()
            raise AuthError(
                f"{self.server_words} does not let {credentials.user} in with {' and '.join(tried)}{more}", connection=self._connection
            )


def _shut(held: socket.socket | None) -> None:
    """Ends the socket under whoever waits on it."""
    if held is not None:
        with suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            held.close()
