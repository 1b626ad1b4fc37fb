"""Our one write to the CRM: collections status onto an account found by its ERP number. It never creates an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Order, Receipt
from sync.strict_json import NotStrict, loads
from sync.systems.salesforce.answers import RowLocked, several_fit
from sync.systems.salesforce.batch import BATCH_MAX, Update, update_all
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.wire import quoted

LOCKED_PAUSE_SECONDS = 1.0
NUMBERS_MAX = 100
"""So many numbers fit into one address, however long they are."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class SalesforceTarget:
    """Carries out `update_collections`.

    Payload: customer_number, status, overdue_amount (decimal text), currency, as_of (ISO 8601), version (grows per customer).
    The version stands in the account too: an older one never overwrites a newer one, whoever wrote it.
    """

    batch_max = BATCH_MAX

    def __init__(
        self, connection: Connection, settings: Settings, session: Session, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._connection = connection
        self._names = settings.fields
        self._settings = settings
        self._session = session
        self._sleep = sleep
        self._visible: frozenset[str] | None = None

    def apply(self, order: Order) -> Receipt:
        """Writes the status once. `already` when the account holds this version, `differs` when it holds a newer one.

        PermanentError when no account or more than one has the number; UnknownOutcome when no answer came.
        """
        held = self._held(order)
        shown = self._compare(order, held)
        if shown.outcome != "absent":
            return shown
        path = self._path(order)
        body = _ENCODER.encode(self._body(order))
        answer = self._patch(path, body)
        if answer.status == 404:
            raise self._nobody(order)
        if answer.status == 300:
            raise PermanentError(several_fit(answer), connection=self._connection.name, subject=order.object_key, status=300)
        if answer.status == 201 or _created(answer):
            raise PermanentError(
                f"{answer.place}: the org created an account although it was told not to: remove {order.payload['customer_number']} there",
                connection=self._connection.name, subject=order.object_key, status=answer.status,
            )  # fmt: skip
        return Receipt("applied", reference=str(held.get("Id", "")), version=str(order.payload["version"]), detail={"before": _plain(held)})

    def apply_many(self, orders: Sequence[Order]) -> Sequence[Receipt | SourceError]:
        """As `apply` for each of up to 200 orders: one question for what the accounts hold, one call that updates them by their id."""
        found = self._held_by_number(orders)
        outcomes: dict[str, Receipt | SourceError] = {}
        updates: dict[str, Update] = {}
        for order in orders:
            held = found.get(str(order.payload["customer_number"]).lower(), [])
            try:
                update = self._update(order, held)
            except SourceError as error:
                outcomes[order.effect_key] = error
                continue
            if isinstance(update, Receipt):
                outcomes[order.effect_key] = update
            elif update.record in updates:  # two orders for one account: the second one by itself, later
                outcomes[order.effect_key] = RowLocked(f"{update.record} is written by another order", subject=order.object_key)
            else:
                updates[update.record] = update
        return [outcomes[order.effect_key] for order in orders] if not updates else self._sent(orders, outcomes, list(updates.values()))

    def read(self, order: Order) -> Receipt:
        """What the account holds: `already` this version, `differs` a newer one, `absent` an older one or none."""
        return self._compare(order, self._held(order))

    def close(self) -> None:
        self._session.close()

    def _held_by_number(self, orders: Sequence[Order]) -> dict[str, list[Mapping[str, Any]]]:
        """What the accounts with the orders' numbers hold, by number in lower case: the org's texts are compared without case."""
        names = self._names
        numbers = list(dict.fromkeys(str(order.payload["customer_number"]) for order in orders))
        wanted = ", ".join([*self._wanted(), names.erp_number])
        found: dict[str, list[Mapping[str, Any]]] = {}
        for at in range(0, len(numbers), NUMBERS_MAX):
            listed = ", ".join(quoted(number) for number in numbers[at : at + NUMBERS_MAX])
            for record in self._session.query(f"SELECT {wanted} FROM Account WHERE {names.erp_number} IN ({listed})"):
                if isinstance(record.get("Id"), str):
                    found.setdefault(str(record.get(names.erp_number)).lower(), []).append(record)
        return found

    def _update(self, order: Order, held: Sequence[Mapping[str, Any]]) -> Update | Receipt:
        if not held:
            raise self._nobody(order)
        if len(held) > 1:
            words = f"{len(held)} accounts have {self._names.erp_number} {order.payload['customer_number']}: keep the number on one of them"
            raise PermanentError(words, connection=self._connection.name, subject=order.object_key, status=300)
        shown = self._compare(order, held[0])
        if shown.outcome != "absent":
            return shown
        return Update(order, str(held[0]["Id"]), self._body(order), _plain(held[0]))

    def _sent(
        self, orders: Sequence[Order], outcomes: dict[str, Receipt | SourceError], updates: Sequence[Update]
    ) -> Sequence[Receipt | SourceError]:
        results = update_all(self._session, updates)
        locked = [update for update in updates if isinstance(results[update.order.effect_key], RowLocked)]
        if locked:
            self._sleep(LOCKED_PAUSE_SECONDS)  # nothing was done to these, and locks are short
            results |= update_all(self._session, locked)
        outcomes |= results
        return [outcomes[order.effect_key] for order in orders]

    def _patch(self, path: str, body: bytes) -> Answer:
        params = {"updateOnly": "true"}
        try:
            return self._session.patch(path, body, params=params, accept=(300, 404))
        except RowLocked:
            self._sleep(LOCKED_PAUSE_SECONDS)  # nothing was done, and locks are short: once more, then it is for later
            return self._session.patch(path, body, params=params, accept=(300, 404))

    def _wanted(self) -> list[str]:
        names = self._names
        return ["Id", names.collections_status, names.collections_overdue, names.collections_as_of, names.collections_version]

    def _held(self, order: Order) -> Mapping[str, Any]:
        answer = self._session.get(self._path(order), params={"fields": ",".join(self._wanted())}, accept=(300, 404))
        if answer.status == 404:
            raise self._nobody(order)
        if answer.status == 300:
            raise PermanentError(several_fit(answer), connection=self._connection.name, subject=order.object_key, status=300)
        held = answer.json()
        if not isinstance(held, dict) or "Id" not in held:
            raise TransientError(f"{answer.place}: the answer is no account", connection=self._connection.name, subject=order.object_key)
        return held

    def _compare(self, order: Order, held: Mapping[str, Any]) -> Receipt:
        ours = int(order.payload["version"])
        theirs = _whole(held.get(self._names.collections_version))
        reference = str(held["Id"])
        if theirs is None or theirs < ours:
            return Receipt("absent", reference=reference, version=None if theirs is None else str(theirs))
        detail = {"held": _plain(held)}
        return Receipt("already" if theirs == ours else "differs", reference=reference, version=str(theirs), detail=detail)

    def _body(self, order: Order) -> dict[str, Any]:
        payload, names = order.payload, self._names
        try:
            overdue = Decimal(str(payload["overdue_amount"]))
        except InvalidOperation:
            raise PermanentError(f"the overdue amount {payload['overdue_amount']!r} is no number", subject=order.object_key) from None
        body = {
            names.collections_status: payload["status"],
            names.collections_overdue: overdue,
            names.collections_as_of: payload["as_of"],
            names.collections_version: int(payload["version"]),
        }
        if names.collections_currency in self._fields():
            body[names.collections_currency] = payload["currency"]
        return body

    def _fields(self) -> frozenset[str]:
        if self._visible is None:
            self._visible = frozenset(self._session.describe("Account") or {})
        return self._visible

    def _path(self, order: Order) -> str:
        number = quote(str(order.payload["customer_number"]), safe="")
        return f"{self._settings.data}/sobjects/Account/{self._names.erp_number}/{number}"

    def _nobody(self, order: Order) -> PermanentError:
        number = order.payload["customer_number"]
        return PermanentError(
            f"no account has {self._names.erp_number} {number}: link the account in the CRM, then replay",
            connection=self._connection.name, subject=order.object_key, status=404,
        )  # fmt: skip


def _created(answer: Answer) -> bool:
    """Whether the org says that there was no such record before; older versions say nothing with their 204."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return False
    return isinstance(said, dict) and said.get("created") is True


def _whole(value: Any) -> int | None:
    """A version as the org gives it back: a double."""
    try:
        return None if value is None else int(Decimal(str(value)))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _plain(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in held.items() if name != "attributes"}
