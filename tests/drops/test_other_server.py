"""Servers that want a password, and servers that lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sync.connections import ConfigError, Connection
from sync.drops.options import DropOptions
from sync.drops.place import Place
from sync.drops.places import places_of
from sync.errors import AuthError
from tests.drops.other_server import OtherServer
from tests.drops.sshd import key_pair


def opened(server: OtherServer, secrets: dict[str, str], **sftp: Any) -> Place:
    options = {"folders": "/in", "sftp": {"host": "127.0.0.1", "port": server.port, "user": "u", "host_key": server.public, **sftp}}
    connection = Connection(
        name="drop", system="flat_files", region="EMEA", options=options, secrets=secrets, allow_private_addresses=True
    )  # fmt: skip
    [place] = places_of(connection, DropOptions.model_validate(options))
    return place


def test_a_password_lets_us_in_or_is_refused_without_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the user and never the password; it is read anew for every session."""
    with OtherServer("correct horse", ["a.csv"]) as server:
        monkeypatch.setenv("TEST_PASSWORD", "wrong battery")
        place = opened(server, {"password": "env:TEST_PASSWORD"})
        with pytest.raises(AuthError, match="does not let u in with the password") as caught:
            place.look()
        assert "battery" not in repr(caught.value) + repr(place.__dict__)
        monkeypatch.setenv("TEST_PASSWORD", "correct horse")
        assert [seen.name for seen in place.look()] == ["a.csv"]
        place.close()


def test_a_key_and_a_password_may_both_be_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key first; a server that wants more than what we have says what."""
    monkeypatch.setenv("TEST_PASSWORD", "correct horse")
    (tmp_path / "key").write_text(key_pair()[0])
    key = {"private_key": f"file:{tmp_path / 'key'}"}
    with OtherServer("correct horse", [], after_key=True) as server:
        place = opened(server, {**key, "password": "env:TEST_PASSWORD"})
        assert place.look() == []
        place.close()
        with pytest.raises(AuthError, match=r"it also wants .*password"):
            opened(server, key).look()


def test_without_a_secret_nothing_is_tried() -> None:
    """A connection that names none is a mistake of the settings."""
    with OtherServer("x", []) as server, pytest.raises(ConfigError, match="add private_key or password"):
        opened(server, {})


def test_names_that_lead_elsewhere_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile server may list what it likes: nothing of it becomes a path."""
    monkeypatch.setenv("TEST_PASSWORD", "x")
    with OtherServer("x", ["../../etc/passwd", "..", ".", "a/b.csv", "/etc/shadow", "a\0b", "good.csv"]) as server:
        place = opened(server, {"password": "env:TEST_PASSWORD"})
        assert [seen.name for seen in place.look()] == ["good.csv"]
        place.close()
