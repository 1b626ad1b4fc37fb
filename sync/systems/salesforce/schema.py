"""What the org shows to our user: the fields of each object as it describes them, and its currency. Asked once, kept until it is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from sync.connections import Connection
from sync.errors import DataError, PermanentError
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.wire import Reading, kinds_of

ABSENT_FOR = timedelta(hours=6)
"""An object that is not there is looked for again after so long."""

_ISO = re.compile(r"^[A-Z]{3}$")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The fields that a stream selects. `kinds`: see wire.KINDS_HEADER; `formulas`: those whose value moves without a new stamp."""

    fields: tuple[str, ...]
    kinds: str
    formulas: tuple[str, ...]
    currency: str | None


class Schema:
    """The org's own description, by object."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self._connection = connection
        self._session = session
        self._chosen: dict[str, Chosen] = {}
        self._absent: dict[str, datetime] = {}
        self._currency: tuple[str | None] | None = None

    def chosen(self, reading: Reading, *, now: datetime) -> Chosen | None:
        """What to select for a stream; None when the org has no such object and may do without (said once, in the log).

        Raises DataError `schema_drift` when a needed field is not visible, PermanentError when a needed object is not.
        """
        if reading.stream in self._chosen:
            return self._chosen[reading.stream]
        if (noted := self._absent.get(reading.stream)) is not None and noted <= now < noted + ABSENT_FOR:
            return None
        visible = self._session.describe(reading.object)
        if visible is None:
            if not reading.optional:
                raise PermanentError(
                    f"the org shows no object {reading.object}: give the integration user read access to it, and see that the org speaks"
                    f" {self._session.settings.api_version}",
                    connection=self._connection.name, subject=reading.stream, status=404,
                )  # fmt: skip
            self.lacks(reading, now=now)
            return None
        try:
            fields = reading.chosen(visible)
        except DataError as error:
            error.connection = self._connection.name
            raise
        needed = "CurrencyIsoCode" in reading.wanted and "CurrencyIsoCode" not in visible
        currency = self.currency() if needed else None
        formulas = tuple(name for name in fields if visible.get(name, {}).get("calculated") is True)
        chosen = Chosen(fields, kinds_of(fields, visible), formulas, currency)
        self._chosen[reading.stream] = chosen
        return chosen

    def lacks(self, reading: Reading, *, now: datetime) -> None:
        """The org has answered that it has no such object: its stream keeps quiet for a while."""
        self._absent[reading.stream] = now
        _log.info("not in this org", connection=self._connection.name, stream=reading.stream, object=reading.object)

    def forget(self, reading: Reading) -> None:
        """The org's description was out of date: ask again next time."""
        self._chosen.pop(reading.stream, None)

    def currency(self) -> str | None:
        """The currency of a single-currency org: the connection's own word, else the organization's; None when neither says."""
        if self._session.settings.currency:
            return self._session.settings.currency
        if self._currency is None:
            self._currency = (self._asked_currency(),)
        return self._currency[0]

    def organization(self) -> Mapping[str, Any] | None:
        """The org itself: Id, Name, IsSandbox; None when our user may not read it."""
        try:
            found = self._session.query("SELECT Id, Name, IsSandbox FROM Organization LIMIT 1")
        except PermanentError:
            return None
        return found[0] if found else None

    def _asked_currency(self) -> str | None:
        try:
            found = self._session.query("SELECT DefaultCurrencyIsoCode FROM Organization LIMIT 1")
        except PermanentError:  # a field that not every release shows
            return None
        told = found[0].get("DefaultCurrencyIsoCode") if found else None
        return told if isinstance(told, str) and _ISO.match(told) else None
