"""Our one write to treasury: a forecast cash flow, under a reference that is the same for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, TransientError
from sync.ports import Order, Receipt
from sync.systems.kyriba.client import LISTING_PAGES_MAX, Session
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import reference_of

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class KyribaTarget:
    """Carries out `publish_forecast`.

    Payload: amount (decimal text, signed), currency, expected_date (ISO), description, company (legal entity), and by choice
    account (their code) and reference ("TG-..."). The reference is looked for before anything is written, whatever the attempt.
    """

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._accounts: list[dict[str, Any]] | None = None

    def apply(self, order: Order) -> Receipt:
        """Posts the cash flow once. `already` when it is there, `differs` when treasury has changed it since.

        PermanentError when no account fits or treasury refuses it; UnknownOutcome when no answer came.
        """
        shown = self.read(order)
        if shown.outcome != "absent":
            return shown
        body = _ENCODER.encode(self._body(order))
        answer = self._session.post("v1/cash-flows", body)
        made = answer.json()
        key = made.get("uuid") if isinstance(made, dict) else None
        return Receipt("applied", reference=None if key is None else str(key), detail={"reference": self._reference(order)})

    def read(self, order: Order) -> Receipt:
        """The cash flow under our reference: `already` as we sent it, `differs` otherwise, `absent` when there is none."""
        reference = self._reference(order)
        params = {"filter": f"reference=={reference}"}
        answer, page = self._session.listing("v1/cash-flows", params, limit=10)
        if page.rows.broken:
            raise TransientError(f"{answer.place}: the cash flow {reference} can't be read", subject=order.object_key)
        held = [row for row in page.rows.sound if row.get("reference") == reference]
        if not held:
            return Receipt("absent", detail={"reference": reference})
        detail = {"reference": reference, "held": _shown(held[0]), "count": len(held)}
        same = len(held) == 1 and self._same(order, held[0])
        return Receipt("already" if same else "differs", reference=str(held[0].get("uuid", "")), detail=detail)

    def close(self) -> None:
        self._session.close()

    def _reference(self, order: Order) -> str:
        return reference_of(order.effect_key, order.payload.get("reference"))

    def _body(self, order: Order) -> dict[str, Any]:
        payload = order.payload
        day = self._day(order)
        return {
            "account": {"code": self._account(order)},
            "flowCode": {"code": self._settings.forecast_code},
            "flowAmount": {"value": self._amount(order), "currency": {"code": payload["currency"]}},
            "date": {"valueDate": day, "transactionDate": day},
            "status": "ESTIMATED",
            "reference": self._reference(order),
            "description": str(payload.get("description") or ""),
        }

    def _amount(self, order: Order) -> Decimal:
        try:
            amount = Decimal(str(order.payload["amount"]))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            raise PermanentError(f"the amount {order.payload['amount']!r} is no number", subject=order.object_key)
        return amount

    def _day(self, order: Order) -> str:
        try:
            return date.fromisoformat(str(order.payload["expected_date"])).isoformat()
        except ValueError:
            raise PermanentError(f"the date {order.payload['expected_date']!r} is none", subject=order.object_key) from None

    def _account(self, order: Order) -> str:
        """The account to forecast on: the payload's, the configured one, or the company's first in the currency."""
        payload = order.payload
        company, currency = payload.get("company"), payload["currency"]
        chosen = payload.get("account") or self._settings.forecast_accounts.get(f"{company}:{currency}")
        if chosen:
            return str(chosen)
        fitting = [
            str(row["code"])
            for row in self._listed()
            if self._settings.entity_of(_code(row.get("company"))) == company and _code(row.get("currency")) == currency and row.get("code")
        ]
        if not fitting:
            raise PermanentError(
                f"treasury lists no account of {company} in {currency}: open one, or name one in forecast_accounts",
                connection=self._connection.name, subject=order.object_key,
            )  # fmt: skip
        return min(fitting)

    def _listed(self) -> list[dict[str, Any]]:
        if self._accounts is None:
            found: list[dict[str, Any]] = []
            offset = 0
            for _ in range(LISTING_PAGES_MAX):
                _, page = self._session.listing("v1/accounts", {}, offset=offset)
                found += page.rows.sound
                offset += page.step
                if not page.step or (page.total is not None and offset >= page.total) or (page.total is None and not page.following):
                    break
            self._accounts = found
        return self._accounts

    def _same(self, order: Order, held: Mapping[str, Any]) -> bool:
        shown = _shown(held)
        try:
            amount = Decimal(str(shown["amount"]))
        except InvalidOperation:
            return False
        return amount == self._amount(order) and shown["currency"] == order.payload["currency"] and shown["date"] == self._day(order)


def _shown(held: Mapping[str, Any]) -> dict[str, str | None]:
    """What matters of a cash flow, as text; both names of the amount are known in the field."""
    worth = held.get("flowAmount")
    worth = worth if isinstance(worth, dict) else {}
    days = held.get("date")
    days = days if isinstance(days, dict) else {}
    amount = worth.get("value", worth.get("amount"))
    return {
        "amount": None if amount is None else str(amount),
        "currency": _code(worth.get("currency")),
        "date": str(days.get("valueDate") or days.get("transactionDate") or ""),
        "status": str(held.get("status") or ""),
    }


def _code(value: Any) -> str | None:
    """A code, given as text or as an object with a code."""
    found = value.get("code") if isinstance(value, dict) else value
    return None if found is None else str(found)
