"""A host that lets in by client certificate: real handshakes on loopback, with a right certificate, a wrong one, an old one, and none."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sync.connections import Connection
from sync.errors import AuthError, SourceError
from sync.http_gate import _GATES
from sync.ports import Order
from sync.systems.sap_s4 import make_source, make_target
from tests.contracts.odata_server import BASIC, LANDSCAPE, ROOT
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, ScriptedServer
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_sap_s4 import Orders

PASSWORD = b"k3y-s3cret"


@dataclass
class Authority:
    """A certificate authority of a test."""

    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(self.name, self.key.public_key(), [x509.BasicConstraints(ca=True, path_length=None)])

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, server: bool = False, ended: bool = False, password: bytes | None = None) -> bytes:
        """A certificate with its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        more: list[x509.ExtensionType] = [x509.ExtendedKeyUsage([usage])]
        if server:
            more.append(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]))
        certificate = self._signed(name, key.public_key(), more, ended=ended)
        kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept)
        return certificate.public_bytes(serialization.Encoding.PEM) + private

    def _signed(self, name: str, key: Any, extensions: list[x509.ExtensionType], *, ended: bool = False) -> x509.Certificate:
        today = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        begun = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).issuer_name(issuer)
        begun = begun.public_key(key).serial_number(x509.random_serial_number()).not_valid_before(today - timedelta(days=30))
        begun = begun.not_valid_after(today + (timedelta(days=-1) if ended else timedelta(days=30)))
        for extension in extensions:
            begun = begun.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return begun.sign(self.key, hashes.SHA256())


class Guarded:
    """A host of sales orders behind TLS that wants a client certificate of its authority, and no user and no password."""

    def __init__(self, folder: Path, version: ssl.TLSVersion) -> None:
        self.folder = folder
        self.house, self.stranger = Authority("house"), Authority("stranger")
        self.orders = Orders()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(self.file("server", self.house.issue("s4.example.com", server=True)))
        context.load_verify_locations(self.file("house", self.house.pem))
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = ScriptedServer(self.answer, context)

    def answer(self, asked: Asked) -> Reply:
        if "authorization" in asked.headers:
            return Reply(b"", 401, "text/html")
        return self.orders.host.answer(Asked(asked.method, asked.path, asked.query, {**asked.headers, "authorization": BASIC}, asked.body))

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / f"{name}.pem"
        path.write_bytes(content)
        return str(path)

    def connection(self, secrets: dict[str, str] | None = None, **options: Any) -> Connection:
        _GATES.clear()
        return Connection(
            name="sap-x509", system="sap_s4", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
            options={"base_url": self.server.url + ROOT, "ca_file": str(self.folder / "house.pem"), "page_size": 2, **options},
            secrets=secrets or {},
        )  # fmt: skip

    def close(self) -> None:
        self.server.close()
        self.orders.close()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    monkeypatch.setenv("S4_TEST_KEY_PASSWORD", PASSWORD.decode())
    found = Guarded(tmp_path, request.param)
    yield found
    found.close()


def test_a_certificate_alone_lets_us_in(host: Guarded) -> None:
    """Its key under a password, no user beside it: the orders are read, and the connection test passes."""
    for number in range(5):
        host.orders.put(f"k{number}", number, NOW - timedelta(hours=number))
    mine = host.file("mine", host.house.issue("tidegate", password=PASSWORD))
    connection = host.connection({"client_key_password": "env:S4_TEST_KEY_PASSWORD"}, client_cert=mine)
    store = Store()
    pull(make_source(connection, LANDSCAPE), "sales_orders", None, store, now=NOW)
    assert len(store.live("sales_order")) == 5
    findings = list(make_source(connection, LANDSCAPE).probe(now=NOW))
    assert [one.words for one in findings if not one.ok] == []
    assert "sign-in" in {one.what for one in findings}


def none_at_all(_: Guarded) -> dict[str, str]:
    return {}


def a_strangers(host: Guarded) -> dict[str, str]:
    return {"client_cert": host.file("wrong", host.stranger.issue("tidegate"))}


def an_old_one(host: Guarded) -> dict[str, str]:
    return {"client_cert": host.file("old", host.house.issue("tidegate", ended=True))}


@pytest.mark.parametrize(
    ("shown", "words"),
    [(none_at_all, "client certificate"), (a_strangers, "does not know the authority"), (an_old_one, "it is expired")],
)
def test_no_certificate_or_a_wrong_one_is_said_in_words(host: Guarded, shown: Callable[[Guarded], dict[str, str]], words: str) -> None:
    """The pull, the write and the connection test say what the host has against us; the write left nothing unknown."""
    user = {"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"}
    options = shown(host)
    connection = host.connection(user, **options)
    with pytest.raises(SourceError, match=words) as caught:
        list(pages_of(make_source(connection, LANDSCAPE), "sales_orders", None, now=NOW))
    if options:
        assert isinstance(caught.value, AuthError)
    with pytest.raises(SourceError, match=words):
        make_target(connection, LANDSCAPE).apply(Order("release:1", "release_order", "order:1", {"order": "1"}))
    [finding] = make_source(host.connection(user, **options), LANDSCAPE).probe(now=NOW)
    assert not finding.ok
    assert words in finding.words
    assert host.server.asked == []


def test_a_host_of_an_unknown_authority_is_not_spoken_to(host: Guarded) -> None:
    """The other way round: we don't know who signed the host's certificate."""
    mine = host.file("mine", host.house.issue("tidegate"))
    stranger = host.file("stranger", host.stranger.pem)
    connection = host.connection(client_cert=mine, ca_file=stranger)
    with pytest.raises(SourceError, match="CERTIFICATE_VERIFY_FAILED"):
        list(pages_of(make_source(connection, LANDSCAPE), "sales_orders", None, now=NOW))
    assert host.server.asked == []
