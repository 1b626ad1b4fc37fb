"""Settings come from the environment given, and keep secrets to themselves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from db.engine import DatabaseUnreachable, open_database
from db.settings import Settings, SettingsInvalid


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgres_address_opens_psycopg(scheme: str) -> None:
    """Hosting companies spell the scheme in three ways."""
    settings = Settings.from_environment({"DATABASE_URL": f"{scheme}://u:secret@db:5432/t?sslmode=require"})
    assert settings.database_url == "postgresql+psycopg://u:secret@db:5432/t?sslmode=require"
    assert "secret" not in repr(settings)


def test_defaults_need_no_environment() -> None:
    """Nothing set means the embedded database in the platform's folder and tidegate.toml here."""
    settings = Settings.from_environment({})
    assert settings.database_url is None
    assert settings.home.is_absolute()
    assert settings.config == Path("tidegate.toml")


def test_another_database_is_refused_without_quoting_its_password() -> None:
    """A mistaken DATABASE_URL is named, its secrets aren't."""
    with pytest.raises(SettingsInvalid, match="mysql") as raised:
        Settings.from_environment({"DATABASE_URL": "mysql://root:secret@db/t"})
    assert "secret" not in str(raised.value)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    """The error says which database can't be opened; its password stays out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = Settings.from_environment({"DATABASE_URL": f"postgresql://u:secret@127.0.0.1:{port}/t", "TIDEGATE_HOME": str(tmp_path)})
    with pytest.raises(DatabaseUnreachable, match=f"127.0.0.1:{port}") as raised:
        open_database(settings)
    assert "secret" not in str(raised.value)
