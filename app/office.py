"""What a command or a page works with: the open database, the landscape, the clock. Made in one place."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.sandbox_link import adopt
from db.clock import Clock, DatabaseClock
from db.engine import Database, open_database
from db.settings import Settings
from sync.connections import Landscape, load


@dataclass(frozen=True, slots=True)
class Office:
    """An open database with what is configured around it."""

    settings: Settings
    database: Database
    landscape: Landscape
    clock: Clock

    @property
    def session_hours(self) -> int:
        """How long a sign-in lasts."""
        return self.landscape.sign_in.session_hours if self.landscape.sign_in else 8

    @property
    def groups_claim(self) -> str:
        """The claim that carries a person's groups."""
        return self.landscape.sign_in.groups_claim if self.landscape.sign_in else "groups"


def open_office(*, application: str = "tidegate", pool_size: int = 5) -> Office:
    """Opens the database (made and migrated on first use) and reads the connections file. The caller closes `database`."""
    settings = Settings.from_environment()
    adopt(settings.home)
    landscape = load(settings.config)
    database = open_database(settings, application=application, pool_size=pool_size)
    return Office(settings, database, landscape, DatabaseClock(database.engine))


@contextmanager
def opened() -> Iterator[Office]:
    """An office for one command."""
    office = open_office(application="tidegate-cli", pool_size=3)
    try:
        yield office
    finally:
        office.database.close()


def operating_person() -> str:
    """Who sits at this terminal, for the audit."""
    return f"cli:{getpass.getuser()}"
