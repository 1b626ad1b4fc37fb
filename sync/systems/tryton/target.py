"""Our one write to Tryton: a note on a customer's party that says how its debts stand. It never creates a party.

There is one note of ours per party. It is written anew in place, so that account teams see what holds now and not a heap of what held;
its last line says which word of ours it is, by version and by the effect's permanent key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from sync.connections import Connection
from sync.errors import PermanentError, TransientError
from sync.ports import Order, Receipt
from sync.systems.tryton.client import Session
from sync.systems.tryton.settings import Settings

MARK = "[tidegate collections"
_MARKED = re.compile(r"\[tidegate collections version (\d{1,18}) effect ([^\]\n]{1,300})\]")


@dataclass(frozen=True, slots=True)
class _Note:
    """Our note as it stands there."""

    id: int
    version: int | None
    key: str
    message: str
    timestamp: Any


class TrytonTarget:
    """Carries out `update_collections`.

    Payload: customer_number (the party's code), status, overdue_amount (decimal text), currency, as_of (ISO 8601), version (grows per
    customer). An older version never overwrites a newer one, whoever wrote it.
    """

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session

    def apply(self, order: Order) -> Receipt:
        """Writes the note once. `already` when it holds this version, `differs` when it holds a newer one.

        PermanentError when no party has the number, or the server refuses; ConflictError when somebody else wrote the note meanwhile;
        UnknownOutcome when no answer came.
        """
        party = self._party(order)
        note = self._note(party)
        shown = self._compare(order, party, note)
        if shown.outcome != "absent":
            return shown
        message = self._message(order)
        if note is None:
            made = self._session.write("ir.note", "create", [{"resource": f"party.party,{party}", "message": message}])
            number = made[0] if isinstance(made, list) and made and isinstance(made[0], int) else None
        else:
            number = note.id
            self._session.write("ir.note", "write", [note.id], {"message": message}, timestamps={f"ir.note,{note.id}": note.timestamp})
        detail = {"party": party, "before": None if note is None else note.message}
        return Receipt(
            "applied", reference=None if number is None else f"ir.note,{number}", version=str(order.payload["version"]), detail=detail
        )

    def read(self, order: Order) -> Receipt:
        """What our note says: `already` this version, `differs` a newer one, `absent` an older one or none."""
        party = self._party(order)
        return self._compare(order, party, self._note(party))

    def close(self) -> None:
        self._session.close()

    def _party(self, order: Order) -> int:
        number = str(order.payload["customer_number"])
        domain = [["code", "=", number], ["active", "in", [True, False]]]
        found = self._rows(self._session.ask("party.party", "search_read", domain, 0, 2, [["id", "ASC"]], ["code"]), order)
        if len(found) != 1:
            words = (
                f"no party has the code {number}: create or link the customer there"
                if not found
                else f"several parties have the code {number}"
            )
            raise PermanentError(f"{words}, then replay", connection=self._connection.name, subject=order.object_key)
        return int(found[0]["id"])

    def _note(self, party: int) -> _Note | None:
        """Our newest note on the party."""
        domain = [["resource", "=", f"party.party,{party}"], ["message", "like", f"%{MARK}%"]]
        found = self._rows(self._session.ask("ir.note", "search_read", domain, 0, 1, [["id", "DESC"]], ["message", "_timestamp"]), None)
        if not found:
            return None
        message = str(found[0].get("message") or "")
        marked = _MARKED.findall(message)
        version, key = (int(marked[-1][0]), marked[-1][1]) if marked else (None, "")
        return _Note(int(found[0]["id"]), version, key, message, found[0].get("_timestamp"))

    def _rows(self, said: Any, order: Order | None) -> list[Mapping[str, Any]]:
        if not isinstance(said, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), int) for row in said):
            subject = order.object_key if order else ""
            raise TransientError("the server's answer is no list of records", connection=self._connection.name, subject=subject)
        return said

    def _compare(self, order: Order, party: int, note: _Note | None) -> Receipt:
        ours = int(order.payload["version"])
        if note is None:
            return Receipt("absent", detail={"party": party})
        version = None if note.version is None else str(note.version)
        if note.version is None or note.version < ours:
            return Receipt("absent", reference=f"ir.note,{note.id}", version=version, detail={"party": party})
        ours_it_is = note.version == ours and note.key == order.effect_key
        detail = {"party": party, "held": note.message}
        return Receipt("already" if ours_it_is else "differs", reference=f"ir.note,{note.id}", version=version, detail=detail)

    def _message(self, order: Order) -> str:
        payload = order.payload
        try:
            overdue = Decimal(str(payload["overdue_amount"]))
        except InvalidOperation:
            overdue = Decimal("NaN")
        if not overdue.is_finite():
            raise PermanentError(f"the overdue amount {payload['overdue_amount']!r} is no number", subject=order.object_key)
        return (
            f"Collections: {payload['status']}\n"
            f"Overdue: {overdue:,.2f} {payload['currency']}\n"
            f"As of: {payload['as_of']}\n"
            f"{MARK} version {int(payload['version'])} effect {order.effect_key}]"
        )
