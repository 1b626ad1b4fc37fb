"""Our one write to the CRM: collections status onto an account found by its ERP number. It never creates an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, TransientError
from sync.ports import Order, Receipt
from sync.systems.salesforce.answers import RowLocked, several_fit
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.settings import Settings

LOCKED_PAUSE_SECONDS = 1.0
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class SalesforceTarget:
    """Carries out `update_collections`.

    Payload: customer_number, status, overdue_amount (decimal text), currency, as_of (ISO 8601), version (grows per customer).
    The version stands in the account too: an older one never overwrites a newer one, whoever wrote it.
    """

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
        if answer.status == 201:
            raise PermanentError(
                f"{answer.place}: the org created an account although it was told not to: remove {order.payload['customer_number']} there",
                connection=self._connection.name, subject=order.object_key, status=201,
            )  # fmt: skip
        return Receipt("applied", reference=str(held.get("Id", "")), version=str(order.payload["version"]), detail={"before": _plain(held)})

    def read(self, order: Order) -> Receipt:
        """What the account holds: `already` this version, `differs` a newer one, `absent` an older one or none."""
        return self._compare(order, self._held(order))

    def close(self) -> None:
        self._session.close()

    def _patch(self, path: str, body: bytes) -> Any:
        params = {"updateOnly": "true"}
        try:
            return self._session.patch(path, body, params=params, accept=(300, 404))
        except RowLocked:
            self._sleep(LOCKED_PAUSE_SECONDS)  # nothing was done, and locks are short: once more, then it is for later
            return self._session.patch(path, body, params=params, accept=(300, 404))

    def _held(self, order: Order) -> Mapping[str, Any]:
        names = self._names
        wanted = ["Id", names.collections_status, names.collections_overdue, names.collections_as_of, names.collections_version]
        answer = self._session.get(self._path(order), params={"fields": ",".join(wanted)}, accept=(300, 404))
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


def _whole(value: Any) -> int | None:
    """A version as the org gives it back: a double."""
    try:
        return None if value is None else int(Decimal(str(value)))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _plain(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in held.items() if name != "attributes"}
