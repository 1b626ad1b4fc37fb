"""The edge to other companies' systems over HTTP: one client per connection, errors by type, nothing believed unread.

What it holds: calls go to the connection's own origin and nowhere else, redirects and private addresses are refused, TLS is
verified, a request ends by its deadline, an answer is at most 50 MB once unpacked, whole, and of the kind asked for. A write
whose answer never came is UnknownOutcome: read the target before trying again.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpcore
import httpx
import msgspec

from sync.addresses import ForbiddenAddress
from sync.connections import ConfigError, Connection
from sync.errors import (
    AuthError,
    ConflictError,
    PermanentError,
    QuotaError,
    SourceError,
    TransientError,
    UnknownOutcome,
)
from sync.http_certificate import certificate_refused
from sync.http_gate import Gate, gate_of, retry_at
from sync.http_transport import Deadline, DeadlinePassed, Transport
from sync.strict_json import NotStrict, loads

BODY_BYTES_MAX = 50 * 1024 * 1024
DEADLINE_SECONDS = 60.0
STEP_SECONDS = 20.0
Expect = Literal["json", "xml", "any"]
_NEVER_LEFT = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.UnsupportedProtocol, ForbiddenAddress)


def wall_clock() -> datetime:
    """Wall time in UTC: what deadlines, Retry-After and budgets count by."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole: `place` is method and path without the query; `headers` are case-insensitive."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)  # a token's answer, perhaps
    place: str

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters; empty when none was named."""
        kind: str = self.headers.get("content-type", "")
        return kind.partition(";")[0].strip().lower()

    @property
    def framed(self) -> bool:
        """Whether its head said where the body ends; else a connection that was cut looks like an end."""
        return "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()

    def json(self) -> Any:
        """The body as strict JSON (Decimal, no NaN, no key twice); TransientError when it is none: an answer was cut or is not theirs."""
        try:
            return loads(self.body)
        except NotStrict as error:
            raise TransientError(f"{self.place}: the answer is {error}", status=self.status) from error


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    url: str
    place: str
    headers: Mapping[str, str] | None = field(repr=False)
    content: bytes | None = field(repr=False)
    form: Mapping[str, str] | None = field(repr=False)
    basic: tuple[str, str] | None = field(repr=False)
    write: bool


Explain = Callable[[Answer], SourceError | None]


class Client:
    """HTTP to one connection's system. `base_url` is where relative paths start; `origins` are further allowed hosts (a token host).

    `interactive`: somebody waits for its calls, so they may draw on the reserve of the daily budget; writes always may.
    `explain` reads the system's own error bodies first; None leaves it to the status. Safe to share between threads.
    """

    def __init__(
        self,
        connection: Connection,
        base_url: str,
        *,
        origins: Sequence[str] = (),
        explain: Explain | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float | None = None,
        wall: Callable[[], datetime] = wall_clock,
        gate: Gate | None = None,
        interactive: bool = False,
    ) -> None:
        self.connection = connection
        self.base_url = base_url.rstrip("/") + "/"
        self._origins = {_origin(connection, url) for url in (base_url, *origins)}
        self.gate = gate or gate_of(connection.name, _text(_origin(connection, base_url)), connection.daily_call_budget)
        self._explain = explain
        self.interactive = interactive
        self._wall = wall
        self._seconds = float(deadline_seconds or connection.options.get("deadline_seconds", DEADLINE_SECONDS))
        self._deadline = Deadline()
        tls = _tls(connection, {scheme for scheme, _, _ in self._origins})
        plain = frozenset(port for scheme, _, port in self._origins if scheme == "http")
        transport = Transport(self._deadline, tls, private=connection.allow_private_addresses, plain_ports=plain)
        self._client = httpx.Client(
            transport=transport,
            headers={"User-Agent": "tidegate", "Accept-Encoding": "gzip", **(headers or {})},
            timeout=httpx.Timeout(min(STEP_SECONDS, self._seconds)),
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"Client({self.connection.name})"

    def close(self) -> None:
        """Lets go of every connection."""
        self._client.close()

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        accept: Container[int] = (),
    ) -> Answer:
        """Reads `path`: relative to the base, from the origin's root with a leading "/", or an absolute link of an allowed origin."""
        return self.send("GET", path, params=params, headers=headers, expect=expect, accept=accept)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        expect: Expect = "json",
        accept: Container[int] = (),
        write: bool = False,
    ) -> Answer:
        """One request and its whole answer; `accept` names the statuses from 300 on that are returned instead of raised.

        `write`: once the request may have left, no answer, a broken one or a 5xx is UnknownOutcome. Raises sync.errors only.
        """
        call = _Call(method, self.link(path, params), f"{method} {urlsplit(path).path}", headers, content, form, basic, write)
        self._enter(write=write)
        try:
            answer = self._exchange(call)
            if answer.status >= 300 and answer.status not in accept:
                self._whole(answer, write=write)
                raise self._error(answer, write=write)
            self._believe(answer, expect, write=write)
        except SourceError as error:
            error.connection = error.connection or self.connection.name
            self.gate.leave(error, self._wall())
            raise
        except BaseException:
            self.gate.abandon()
            raise
        self.gate.leave(None, self._wall())
        return answer

    def link(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """The address of `path` with its query; PermanentError when it leads to another host than the connection's own."""
        url = urljoin(self.base_url, path)
        try:
            origin = _parts(url)
        except ValueError:
            origin = None
        if origin not in self._origins:
            host = urlsplit(url).hostname or "nowhere"
            raise PermanentError(f"refused a link to {host}: not an address of this connection", connection=self.connection.name)
        if not params:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(params, quote_via=quote, safe='$')}"

    def _enter(self, *, write: bool) -> None:
        try:
            self.gate.enter(self._wall(), interactive=self.interactive or write)
        except SourceError as error:
            error.connection = self.connection.name
            raise

    def _exchange(self, call: _Call) -> Answer:
        """Sends and reads to the end: the one seam where foreign errors become ours, their cause kept."""
        self._deadline.begin(self._seconds)
        place, write = call.place, call.write
        try:
            request = self._client.build_request(call.method, call.url, headers=call.headers, content=call.content, data=call.form)
            answer = self._client.send(request, auth=httpx.BasicAuth(*call.basic) if call.basic else None, stream=True)
            try:
                body = _read(answer, place)
            finally:
                answer.close()
            return Answer(answer.status_code, answer.headers, body, place)
        except SourceError as error:
            if write:
                _lost(place, error.detail.removeprefix(f"{place}: "), write, error)
            raise
        except (httpcore.LocalProtocolError, UnicodeError, httpx.InvalidURL):
            # its message may quote a header, and so a secret: the cause is not kept here
            raise PermanentError(f"{place}: the request can't be written: an illegal character in the address or in a credential") from None
        except ForbiddenAddress as error:
            raise PermanentError(
                f"{place}: the host resolves to an address that is not allowed; a system inside the house needs allow_private_addresses"
            ) from error
        except DeadlinePassed as error:
            _lost(place, f"not done within {self._seconds:g} s", write, error)
        except httpcore.NetworkError as error:
            refused = certificate_refused(place, error, shown="client_cert" in self.connection.options)
            if refused is not None:
                raise refused from error  # nothing was asked yet: no outcome is unknown
            if isinstance(error, _NEVER_LEFT):
                raise TransientError(f"{place}: no connection: {error or type(error).__name__}") from error
            _lost(place, f"the answer did not come whole ({type(error).__name__})", write, error)
        except _NEVER_LEFT as error:
            raise TransientError(f"{place}: no connection: {error or type(error).__name__}") from error
        except (httpcore.TimeoutException, httpcore.ProtocolError, httpx.HTTPError, OSError) as error:
            _lost(place, f"the answer did not come whole ({type(error).__name__})", write, error)

    def _error(self, answer: Answer, *, write: bool) -> SourceError:
        status = answer.status
        if write and status >= 500:
            return UnknownOutcome(f"{answer.place}: answered {status}: it may or may not have been done", status=status)
        explained = self._explain(answer) if self._explain else None
        return explained or error_of(answer, now=self._wall())

    def _whole(self, answer: Answer, *, write: bool) -> None:
        """Half an error's words may say another thing than all of them: an outage. A write that was refused was refused, whatever the words."""
        if not write and answer.content_type == "application/json" and answer.body and not answer.framed and not _closed(answer.body):
            _lost(answer.place, f"answered {answer.status}, and was cut before its end", write, None)

    def _believe(self, answer: Answer, expect: Expect, *, write: bool) -> None:
        """Whether the body is of the kind asked for and whole; an error that is taken for an answer may be of any kind, but whole too."""
        kind = answer.content_type
        if expect == "any" or not answer.body or (answer.status >= 300 and expect not in kind):
            return
        if expect not in kind:
            _lost(answer.place, f"answered {answer.status} with {kind or 'no content type'} where {expect} was expected", write, None)
        if expect == "json" and not answer.framed and not _closed(answer.body):
            _lost(answer.place, "the answer was cut before its end", write, None)


def error_of(answer: Answer, *, now: datetime) -> SourceError:
    """The error that a status means by itself, HTTP's own words only: bodies are the systems' to explain. `now`: wall time, UTC."""
    status, place = answer.status, answer.place
    wait = retry_at(answer.headers.get("retry-after"), now=now)
    if status in (420, 429) or (status == 503 and wait is not None):
        return QuotaError(f"{place}: answered {status}: asked to wait", retry_at=wait, status=status)
    if status == 401:
        return AuthError(f"{place}: answered 401: the credentials are refused", status=status)
    if status in (412, 428):
        return ConflictError(f"{place}: answered {status}: the record changed since it was read", status=status)
    if status in (408, 425) or status >= 500:
        return TransientError(f"{place}: answered {status}", status=status)
    if status < 400:
        return PermanentError(f"{place}: answered {status}: redirects are not followed", status=status)
    return PermanentError(f"{place}: answered {status}", status=status)


def excerpt(body: bytes, limit: int = 300) -> str:
    """The beginning of a body as one line of text, for an error's words."""
    return " ".join(body[: limit * 4].decode("utf-8", "replace").split())[:limit]


def _lost(place: str, why: str, write: bool, cause: BaseException | None) -> NoReturn:
    if write:
        raise UnknownOutcome(f"{place}: {why}: it may or may not have been done") from cause
    raise TransientError(f"{place}: {why}") from cause


def _read(answer: httpx.Response, place: str) -> bytes:
    """The unpacked body, counted while it is read; gzip is the only encoding that we ask for and take."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise PermanentError(f"{place}: answered in {encoding}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31) if encoding.endswith("gzip") else None
    pieces: list[bytes] = []
    size = 0
    for chunk in answer.iter_raw():
        piece = chunk if unpack is None else _unpacked(unpack, chunk, BODY_BYTES_MAX + 1 - size, place)
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise PermanentError(f"{place}: the answer is larger than {BODY_BYTES_MAX // 2**20} MB: ask for smaller pages")
        pieces.append(piece)
    if unpack is not None and size and not unpack.eof:
        raise TransientError(f"{place}: the packed answer was cut before its end")
    return b"".join(pieces)


def _unpacked(unpack: Any, chunk: bytes, room: int, place: str) -> bytes:
    try:
        piece: bytes = unpack.decompress(chunk, room)
    except zlib.error as error:
        raise TransientError(f"{place}: the answer can't be unpacked") from error
    return piece


def _closed(body: bytes) -> bool:
    """Whether a JSON body ends where its outermost value ends; NaN counts as a value here, records are judged later."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        # A body may be cut just behind a record, whose brace is no end of the whole.
        return "truncated" not in str(error) and body.rstrip()[-1:] in (b"}", b"]")
    return True


def _tls(connection: Connection, schemes: set[str]) -> ssl.SSLContext | None:
    """Verified TLS, by the machine's authorities or the connection's own, with our certificate if it names one; none where only plain
    http is spoken.
    """
    if "https" not in schemes:
        return None
    authority = connection.options.get("ca_file")
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    if "client_cert" in connection.options:
        _show_certificate(connection, context)
    return context


def _show_certificate(connection: Connection, context: ssl.SSLContext) -> None:
    """Our own certificate, for systems that know us by it: options `client_cert` and `client_key` (PEM files; one file may hold both),
    secret `client_key_password` where the key has one.
    """
    certificate, key = (connection.options.get(name) for name in ("client_cert", "client_key"))
    password = connection.secret("client_key_password").get_secret_value() if "client_key_password" in connection.secrets else ""
    try:
        context.load_cert_chain(str(certificate), str(key) if key else None, lambda: password)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no certificate with its key"
        raise ConfigError(f"connection {connection.name}: client_cert {certificate}: {why}") from None


def _parts(url: str) -> tuple[str, str, int]:
    split = urlsplit(url)
    if split.username is not None or split.password is not None or not split.hostname:
        raise ValueError("an address without a host, or with credentials in it")
    return split.scheme, split.hostname.lower(), split.port or (443 if split.scheme == "https" else 80)


def _origin(connection: Connection, url: str) -> tuple[str, str, int]:
    """The origin of a configured address; ConfigError when it is none, or not https where it must be."""
    try:
        origin = _parts(url)
    except ValueError as error:
        raise ConfigError(f"connection {connection.name}: {error}; write it as https://host") from None
    if origin[0] != "https" and not (origin[0] == "http" and connection.allow_private_addresses):
        raise ConfigError(
            f"connection {connection.name}: https is needed; plain http only inside the house, with allow_private_addresses = true beside"
            " `system` (not among the options)"
        )
    return origin


def _text(origin: tuple[str, str, int]) -> str:
    return f"{origin[0]}://{origin[1]}:{origin[2]}"
