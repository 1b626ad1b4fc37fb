"""Where this process finds its home, its database and its connections file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

_POSTGRES_SCHEMES = ("postgres://", "postgresql://", "postgresql+psycopg://")


class SettingsInvalid(ValueError):
    """An environment variable holds something that can't be used; the message names it."""


@dataclass(frozen=True)
class Settings:
    """What the environment decides; everything else is configuration or data.

    `database_url` is None when the embedded server of `home` is to be used. It never shows in `repr`, because
    it may hold a password.
    """

    home: Path
    database_url: str | None
    config: Path

    def __repr__(self) -> str:
        where = "DATABASE_URL" if self.database_url else "embedded"
        return f"Settings(home={str(self.home)!r}, database={where}, config={str(self.config)!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read TIDEGATE_HOME, DATABASE_URL and TIDEGATE_CONFIG from `environment` (default: this process's).

        Raises SettingsInvalid when DATABASE_URL isn't a Postgres address.
        """
        env = os.environ if environment is None else environment
        home = env.get("TIDEGATE_HOME", "").strip()
        url = env.get("DATABASE_URL", "").strip()
        config = env.get("TIDEGATE_CONFIG", "").strip()
        return cls(
            home=Path(home).expanduser().absolute() if home else Path(platformdirs.user_data_dir("tidegate")),
            database_url=sqlalchemy_url(url) if url else None,
            config=Path(config).expanduser() if config else Path("tidegate.toml"),
        )


def sqlalchemy_url(url: str) -> str:
    """Any usual spelling of a Postgres address as the one that SQLAlchemy opens with psycopg 3."""
    for scheme in _POSTGRES_SCHEMES:
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    shown = url.split("://", 1)[0] if "://" in url else "no scheme"
    raise SettingsInvalid(f"DATABASE_URL must begin with postgresql:// (found {shown}); unset it to use the embedded database")
