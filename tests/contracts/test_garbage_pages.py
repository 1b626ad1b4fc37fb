"""Whatever bytes a system answers with, every stream of every connection either refuses the page in words or rejects its records: it never
crashes, never believes garbage, and never takes long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.canonical.causes import CAUSES
from sync.connections import Landscape, load
from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, Mapped, Page, Source
from sync.systems.registry import SYSTEMS, system

ROOT = Path(__file__).resolve().parents[2]
TOML = ROOT / "tidegate.toml"

GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "number": b"42",
    "cut": b'{"d":{"results":[{"a":1},{"b"',
    "login page": b"<!DOCTYPE html><html><body>Log on</body></html>",
    "xml": b'<?xml version="1.0"?><error><code>X</code></error>',
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    "binary": bytes(range(256)) * 8,
    "nul": b"\x00" * 64,
    "utf-16": '{"records":[{"Id":"1"}]}'.encode("utf-16"),
    "deep": b"[" * 5000 + b"]" * 5000,
    "wrong kinds": json.dumps({"d": {"results": [1, "x", None, [], {"a": {}}]}, "results": [1, None, {}], "records": [[], {}], "value": [7, {}]}).encode(),
    "not a number": b'{"d":{"results":[{"A":NaN}]},"records":[{"Amount":NaN,"Id":"1"}],"results":[{"amount":Infinity}],"value":[{"a":NaN}]}',
    "twins": b'{"records":[{"Id":"1","Id":"2"}],"results":[{"code":"1","code":"2"}],"d":{"results":[{"A":1,"A":2}]},"value":[{"a":1,"a":2}]}',
}  # fmt: skip


def _landscape() -> Landscape:
    """tidegate.toml with an address and a secret wherever the sandbox would put one."""
    names = set(re.findall(r"\$\{(\w+)\}|env:(\w+)", TOML.read_text(encoding="utf-8")))
    environ = {name: _value(name) for pair in names for name in pair if name}
    return load(TOML, environ)


def _value(name: str) -> str:
    kinds = {
        "_URL": "http://127.0.0.1:9", "_DROP": "/nowhere", "_PORT": "9", "_SALESFORCE_ORGANIZATION_ID": "00D000000000001AAA",
        "_HOST_KEY": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7Yv3hlsvcVJvM0XTAS0DUTQdxLpUyMS1cOT9mzjQ9I",
    }  # fmt: skip
    return next((value for ending, value in kinds.items() if name.endswith(ending)), "x")


LANDSCAPE = _landscape()
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
HEADERS = {"received_at": "2026-05-20T12:00:00+00:00"}
"""What a file system adds to each of its pages."""

CONNECTIONS = [connection.name for connection in LANDSCAPE.connections]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every secret is "x"; one in a file is a private key of nobody."""
    monkeypatch.chdir(tmp_path)
    for connection in LANDSCAPE.connections:
        for reference in connection.secrets.values():
            if reference.startswith("file:"):
                key = Path(reference.removeprefix("file:"))
                key.write_bytes(KEY)
                key.chmod(0o600)
            else:
                monkeypatch.setenv(reference.removeprefix("env:"), "x")


@pytest.fixture(params=CONNECTIONS)
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    connection = LANDSCAPE.connection(request.param)
    with closing(system(connection).make_source(connection, LANDSCAPE)) as made:
        yield made


def _bear(source: Source, stream: str, body: bytes, name: str) -> None:
    """Maps the body and holds what comes back to the port's promises."""
    try:
        found = source.map(stream, Page(body=body, content_type="application/json", cursor=None, name=name, headers=HEADERS))
    except DataError as refusal:
        assert refusal.detail
        assert refusal.cause in CAUSES
        return
    _sound(found)


def _sound(found: Mapped) -> None:
    assert found.rejects.schema == pl.Schema(REJECT_SCHEMA)
    landed = {ordinal for frame in found.frames.values() for ordinal in frame["ordinal"].to_list()}
    rejected = set(found.rejects["ordinal"].to_list())
    assert not landed & rejected
    assert not landed, "garbage was believed"
    for reject in found.rejects.to_dicts():
        assert reject["cause"] in CAUSES
        assert isinstance(json.loads(reject["evidence"] or "{}"), dict)


@pytest.mark.parametrize("kind", list(GARBAGE))
def test_garbage_is_refused_or_rejected(source: Source, kind: str) -> None:
    """Each kind of garbage in each stream: words and a known cause, or rejects, or nothing at all."""
    for stream in source.streams():
        _bear(source, stream.name, GARBAGE[kind], f"{stream.name}.garbage")


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(body=st.one_of(st.binary(max_size=400), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["d", "results", "records", "value", "Id", "metadata", "id", "x"]), inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_random_garbage_is_survived(source: Source, body: bytes) -> None:
    """Random bytes and random documents with the words that envelopes are made of."""
    for stream in source.streams():
        _survive(source, stream.name, body)


def _survive(source: Source, stream: str, body: bytes) -> Any:
    try:
        return source.map(stream, Page(body=body, content_type="application/json", cursor=None, name="x", headers=HEADERS))
    except DataError as refusal:
        assert refusal.cause in CAUSES
        return None


def test_every_system_is_put_to_it() -> None:
    """A registered system that tidegate.toml does not use is named here, with the test that puts garbage to it."""
    elsewhere = {"tryton": "test_tryton.py"}
    used = {connection.system for connection in LANDSCAPE.connections}
    assert set(SYSTEMS) - used == set(elsewhere)
    for file in elsewhere.values():
        assert "GARBAGE" in (Path(__file__).parent / file).read_text(encoding="utf-8")
