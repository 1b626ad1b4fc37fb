"""The wire at its worst, over real sockets: nothing half-read is believed, nothing hangs, nothing leaves for elsewhere."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sync.addresses import ForbiddenAddress, judge
from sync.connections import ConfigError, Connection
from sync.errors import AuthError, ConflictError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.http import BODY_BYTES_MAX, Answer, Client
from sync.http_gate import FAILURES_TO_OPEN, Budget, Gate, retry_at
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
Write = Callable[[bytes], None]


class Wall:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def connection(**more: Any) -> Connection:
    """A connection that may reach loopback, unless told otherwise."""
    return Connection(**{"name": "scripted", "system": "x", "region": "EMEA", "allow_private_addresses": True, **more})


@contextmanager
def serving(
    answer: Reply | Callable[[Asked], Reply], *, deadline: float = 5.0, wall: Wall | None = None
) -> Iterator[tuple[Client, ScriptedServer]]:
    """A scripted server and a client of it with a gate of its own."""
    with ScriptedServer(answer if callable(answer) else lambda _: answer) as server:
        client = Client(connection(), server.url, deadline_seconds=deadline, gate=Gate(), wall=wall or Wall())
        try:
            yield client, server
        finally:
            client.close()


def raw(*pieces: bytes, pause: float = 0.0) -> Reply:
    """Exactly these bytes on the socket, then the end."""

    def write(out: Write) -> None:
        for piece in pieces:
            out(piece)
            time.sleep(pause)

    return Reply(raw=write)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_a_dripped_body_ends_at_the_deadline() -> None:
    """One byte at a time restarts no clock: the request ends when its total time is over."""
    with serving(raw(HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 100, pause=0.1), deadline=0.6) as (client, _):
        began = time.monotonic()
        with pytest.raises(TransientError):
            client.get("/x")
        assert time.monotonic() - began < 5


def test_dripped_headers_end_at_the_deadline() -> None:
    """The deadline holds for headers as for bodies."""
    with serving(raw(*[b"H"] * 100, pause=0.1), deadline=0.6) as (client, _):
        began = time.monotonic()
        with pytest.raises(TransientError):
            client.get("/x")
        assert time.monotonic() - began < 5


def test_a_gzip_bomb_is_cut_off_at_the_cap() -> None:
    """Decoded bytes are counted while they are read: 200 kB that unpack to 200 MB stop at 50 MB."""
    bomb = gzip.compress(b" " * (4 * BODY_BYTES_MAX))
    with (
        serving(Reply(bomb, headers={"Content-Encoding": "gzip"}), deadline=30) as (client, _),
        pytest.raises(PermanentError, match="larger than 50 MB"),
    ):
        client.get("/x")


@pytest.mark.parametrize(
    "cut",
    [
        raw(HEAD + b'Content-Length: 100\r\n\r\n{"a": 1, "b"'),
        raw(HEAD + b'Connection: close\r\n\r\n{"a": 1, "b"'),
        raw(HEAD + b'Connection: close\r\n\r\n{"a": [{"b": 1}'),
        raw(HEAD + b'Transfer-Encoding: chunked\r\n\r\nc\r\n{"a": 1, "b"\r\n'),
        raw(HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b'{"a": 1}' * 500)[:40]),
    ],
    ids=["with a length", "without a length", "behind a record", "chunked", "packed"],
)
def test_a_cut_body_is_not_believed(cut: Reply) -> None:
    """However a body ends too early, it is an outage and no answer."""
    with serving(cut) as (client, _), pytest.raises(TransientError):
        client.get("/x")


def test_half_an_error_is_an_outage() -> None:
    """A refusal whose words were cut may have said in full that it is one for a while: it is no lasting one."""
    head = HEAD.replace(b"200 OK", b"403 Forbidden")
    assert head != HEAD
    with (
        serving(raw(head + b'Connection: close\r\n\r\n[{"errorCode":"REQUEST_LIM')) as (client, _),
        pytest.raises(TransientError, match="403"),
    ):
        client.get("/x")


def test_a_whole_body_without_a_length_is_believed() -> None:
    """Closing the connection is a fair way to end a body."""
    with serving(raw(HEAD + b'Connection: close\r\n\r\n{"a": 1.10}')) as (client, _):
        assert client.get("/x").json() == {"a": Decimal("1.10")}


def test_a_login_page_is_no_answer() -> None:
    """200 with HTML where JSON was asked for is an outage of the system, not data."""
    with (
        serving(Reply(b"<html>Please log in</html>", content_type="text/html")) as (client, _),
        pytest.raises(TransientError, match="text/html"),
    ):
        client.get("/x")


@pytest.mark.parametrize(("header", "seconds"), [("120", 120), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90)])
def test_retry_after_is_obeyed_in_both_forms(header: str, seconds: int) -> None:
    """429 says until when; nothing is called before that moment, and the next call after it goes out."""
    wall = Wall()
    answers = [Reply(b"slow down", 429, "text/plain", {"Retry-After": header}), reply_json({})]
    with serving(lambda _: answers.pop(0), wall=wall) as (client, server):
        with pytest.raises(QuotaError) as first:
            client.get("/x")
        assert first.value.retry_at == NOW + timedelta(seconds=seconds)
        wall.at = NOW + timedelta(seconds=seconds - 1)
        with pytest.raises(QuotaError):
            client.get("/x")
        assert len(server.asked) == 1
        wall.at = NOW + timedelta(seconds=seconds)
        client.get("/x")
        assert len(server.asked) == 2


@pytest.mark.parametrize("header", ["", "soon", "-5", "1e9", "Wed, 99 Foo 2026 00:00:00 GMT", "١٢"])
def test_an_unreadable_retry_after_names_no_moment(header: str) -> None:
    """What is no number of seconds and no date is no promise."""
    assert retry_at(header, now=NOW) is None


def test_a_retry_after_of_years_is_held_to_two_days() -> None:
    """A system can't park a stream for ever by a slip of the pen."""
    assert retry_at("999999999999", now=NOW) == NOW + timedelta(days=2)


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "/elsewhere", "https://example.com/"])
def test_redirects_are_refused(location: str) -> None:
    """A redirect is an error, wherever it points; nothing is called there."""
    with serving(Reply(b"", 302, headers={"Location": location})) as (client, server):
        with pytest.raises(PermanentError):
            client.get("/x")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/next",
        "//evil.example/next",
        "http://127.0.0.1:1/next",
        "http://user:secret@127.0.0.1/next",
        "http://127.0.0.1.evil.example/next",
        "file:///etc/passwd",
        "gopher://127.0.0.1/x",
        "http://[::1]/x",
        "http://127.0.0.1:99999/x",
        "https://",
    ],
)
def test_a_link_to_another_origin_is_refused(link: str) -> None:
    """A next link that leads away carries no token with it: it is refused before anything is sent."""
    with serving(reply_json({})) as (client, server):
        with pytest.raises(PermanentError) as refused:
            client.get(link)
        assert server.asked == []
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255",
     "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b:1::1", "64:ff9b::a9fe:a9fe", "192.0.0.1", "198.18.0.1",
     "240.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_refused(address: str) -> None:
    """No form of a private, local or special address passes, unless the connection is said to be inside the house."""
    with pytest.raises(ForbiddenAddress):
        judge(address, private_allowed=False)
    judge(address, private_allowed=True)


def test_a_public_address_passes_and_plain_http_to_it_does_not() -> None:
    """https goes to public addresses; plain http stays inside the house."""
    judge("93.184.216.34", private_allowed=False)
    with pytest.raises(ForbiddenAddress):
        judge("93.184.216.34", private_allowed=True, private_only=True)


def test_a_name_that_resolves_to_loopback_is_refused() -> None:
    """The name is resolved, judged, and that very address is used."""
    client = Client(connection(allow_private_addresses=False), "https://localhost:9", gate=Gate(), wall=Wall())
    with pytest.raises(PermanentError, match="allow_private_addresses"):
        client.get("/x")
    client.close()


def test_plain_http_needs_a_connection_inside_the_house() -> None:
    """An http address of a connection that is not inside the house is a mistake in the file."""
    with pytest.raises(ConfigError, match="https"):
        Client(connection(allow_private_addresses=False), "http://example.com", gate=Gate(), wall=Wall())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, PermanentError), (401, AuthError), (403, PermanentError), (404, PermanentError), (408, TransientError), (412, ConflictError),
     (428, ConflictError), (429, QuotaError), (500, TransientError), (502, TransientError), (503, TransientError), (504, TransientError)],
)  # fmt: skip
def test_a_status_is_an_error_by_type(status: int, kind: type[SourceError]) -> None:
    """The type carries the retry decision; the message says which call it was."""
    with serving(Reply(b"", status, "text/plain")) as (client, _), pytest.raises(kind, match="GET /x") as raised:
        client.get("/x")
    assert raised.value.connection == "scripted"


@pytest.mark.parametrize(
    "after",
    [
        raw(),
        raw(HEAD + b"Content-Length: 10\r\n\r\n{"),
        Reply(b"", 500),
        Reply(b"<html>", content_type="text/html"),
        raw(HEAD, b"X", pause=2.0),
    ],
    ids=["no answer", "cut answer", "a 500", "a login page", "too late"],
)
def test_a_write_without_a_good_answer_is_unknown(after: Reply) -> None:
    """Once the request has left, anything but a whole answer leaves open whether it was done."""
    with serving(after, deadline=0.8) as (client, server):
        with pytest.raises(UnknownOutcome):
            client.send("PATCH", "/x", content=b"{}", write=True)
        assert len(server.asked) == 1


def test_a_write_that_never_left_is_no_unknown() -> None:
    """Where nobody listens, nothing was written: the same call may simply be made again."""
    with ScriptedServer(lambda _: reply_json({})) as server:
        url = server.url
    client = Client(connection(), url, gate=Gate(), wall=Wall())
    with pytest.raises(TransientError):
        client.send("PATCH", "/x", content=b"{}", write=True)
    client.close()


def test_the_gate_closes_after_outages_in_a_row_and_opens_for_one_try() -> None:
    """Five outages close it for 30 s; then one call may try; when that goes well all is as before."""
    wall = Wall()
    state = {"up": False}
    with serving(lambda _: reply_json({}) if state["up"] else Reply(b"", 500), wall=wall) as (client, server):
        for _ in range(FAILURES_TO_OPEN + 3):
            with pytest.raises(TransientError):
                client.get("/x")
        assert len(server.asked) == FAILURES_TO_OPEN
        wall.at += timedelta(seconds=31)
        with pytest.raises(TransientError):
            client.get("/x")
        assert len(server.asked) == FAILURES_TO_OPEN + 1
        state["up"] = True
        wall.at += timedelta(seconds=61)
        client.get("/x")
        client.get("/x")
        assert len(server.asked) == FAILURES_TO_OPEN + 3


def test_the_daily_budget_stops_before_the_system_has_to() -> None:
    """The call beyond the connection's own budget is not made; it says when the budget begins anew."""
    with ScriptedServer(lambda _: reply_json({})) as server:
        client = Client(connection(), server.url, gate=Gate(Budget(limit=2)), wall=Wall())
        client.get("/x")
        client.get("/x")
        with pytest.raises(QuotaError) as refused:
            client.get("/x")
        assert refused.value.retry_at == datetime(2026, 5, 21, tzinfo=UTC)
        assert len(server.asked) == 2
        client.close()


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": 1, "a": 2}', b"{", b"", b'"\xff"', b'{"a": Infinity}'])
def test_json_that_is_not_strict_is_not_believed(body: bytes) -> None:
    """NaN, a key that stands twice and text that is no UTF-8 are no JSON."""
    with serving(Reply(body)) as (client, _):
        answer: Answer = client.get("/x")
        with pytest.raises(TransientError):
            answer.json()


def test_no_secret_stands_in_an_error_or_a_repr() -> None:
    """A token in a header, a secret in a form, a body with a token: none is ever printed, also where the header is illegal."""
    secret = "s3cret-t0ken"
    with serving(reply_json({"access_token": secret})) as (client, _):
        answer = client.send("POST", "/token?key=" + secret, form={"client_secret": secret}, basic=("id", secret))
        with pytest.raises(PermanentError) as illegal:
            client.get("/x", headers={"Authorization": f"Bearer {secret}\n"})
        chain = [illegal.value, illegal.value.__cause__]
        assert secret not in " ".join(repr(thing) for thing in (answer, client, client.gate, *chain))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but a connection's own `ca_file` vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a house of our own")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2090, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "certificate.pem", folder / "key.pem"


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    """TLS is verified, also inside the house; a private authority is trusted where the connection names it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with ScriptedServer(lambda _: reply_json({"ok": 1}), tls) as server:
        stranger = Client(connection(), server.url, gate=Gate(), wall=Wall())
        with pytest.raises(TransientError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get("/x")
        assert server.asked == []
        stranger.close()
        friend = Client(connection(options={"ca_file": str(certificate[0])}), server.url, gate=Gate(), wall=Wall())
        assert friend.get("/x").json() == {"ok": 1}
        friend.close()
