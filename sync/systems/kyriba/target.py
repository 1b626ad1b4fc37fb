"""Our one write to treasury: a forecast cash flow, under a reference that is the same for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, SourceError, TransientError
from sync.forecasts import finite, order_account, order_day, order_reference
from sync.http import Answer
from sync.ports import Order, Receipt
from sync.strict_json import NotStrict, loads
from sync.systems.kyriba import rsql
from sync.systems.kyriba.client import Session
from sync.systems.kyriba.listings import Listings
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import Account, code_of

DESCRIPTION_MAX = 2500
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
        self._accounts: Mapping[str, Account] | None = None

    def apply(self, order: Order) -> Receipt:
        """Posts the cash flow once. `already` when it is there, `differs` when treasury has changed it since; nothing is ever replaced, for
        a PUT would reset every field that it leaves out.

        PermanentError when no account fits or treasury refuses it; UnknownOutcome when no answer came.
        """
        shown = self.read(order)
        if shown.outcome != "absent":
            return shown
        answer = self._session.post("v1/cash-flows", _ENCODER.encode(self._body(order)))
        return Receipt("applied", reference=made_key(answer) or self._found_key(order), detail={"reference": order_reference(order)})

    def read(self, order: Order) -> Receipt:
        """The cash flow under our reference: `already` as we sent it, `differs` otherwise, `absent` when there is none.

        PermanentError when the tenant shows other references than the one asked for: it would not show ours either, and a second flow
        would be posted.
        """
        reference = order_reference(order)
        answer, page = self._session.listing("v1/cash-flows", {"filter": rsql.equal("reference", reference)}, limit=10)
        if page.rows.broken:
            raise TransientError(f"{answer.place}: the cash flow {reference} can't be read", subject=order.object_key)
        held = [row for row in page.rows.sound if row.get("reference") == reference]
        if len(held) < page.rows.total:
            raise PermanentError(
                f"{answer.place}: treasury does not filter by reference, so what is there can't be told: nothing is written",
                connection=self._connection.name, subject=order.object_key,
            )  # fmt: skip
        if not held:
            return Receipt("absent", detail={"reference": reference})
        detail = {"reference": reference, "held": _shown(held[0]), "count": len(held)}
        same = len(held) == 1 and self._same(order, held[0])
        return Receipt("already" if same else "differs", reference=str(held[0].get("uuid", "")), detail=detail)

    def close(self) -> None:
        self._session.close()

    def _found_key(self, order: Order) -> str | None:
        """The key of the cash flow that was just posted, where the answer did not tell it. It is posted: not finding it is no failure."""
        try:
            return self.read(order).reference
        except SourceError:
            return None

    def _body(self, order: Order) -> dict[str, Any]:
        payload, settings = order.payload, self._settings
        day = order_day(order)
        body: dict[str, Any] = {
            "account": {"code": self._account(order)},
            "flowCode": {"code": settings.forecast_code},
            "flowAmount": {settings.forecast_amount: self._amount(order), "currency": {"code": payload["currency"]}},
            "date": {"valueDate": day, "transactionDate": day},
            "status": "ESTIMATED",
            "reference": order_reference(order),
            "description": str(payload.get("description") or "")[:DESCRIPTION_MAX],
        }
        if settings.forecast_budget_code is not None:
            body["budgetCode"] = {"code": settings.forecast_budget_code}
        return body

    def _amount(self, order: Order) -> Decimal:
        amount = finite(order.payload["amount"])
        if amount is None:
            raise PermanentError(f"the amount {order.payload['amount']!r} is no number", subject=order.object_key)
        return amount

    def _account(self, order: Order) -> str:
        return order_account(order, self._settings.forecast_accounts, self._fitting, connection=self._connection.name)

    def _fitting(self, company: Any, currency: Any) -> Iterator[str]:
        """The codes of the company's accounts in the currency."""
        if self._accounts is None:
            self._accounts = Listings(self._connection, self._settings, self._session).accounts()
        for account in self._accounts.values():
            if self._settings.entity_of(account.company) == company and account.currency == currency:
                yield account.code

    def _same(self, order: Order, held: Mapping[str, Any]) -> bool:
        shown = _shown(held)
        told, ours = finite(shown["amount"]), self._amount(order)
        # treasury keeps doubles: the one that ours became is ours, however it is written (1234.56, 1234.5599999999999)
        same_worth = told is not None and float(told) == float(ours) and shown["currency"] == order.payload["currency"]
        return same_worth and shown["date"] == order_day(order)


def made_key(answer: Answer) -> str | None:
    """The key of what was posted: in the answer, in the first of its results, or at the end of the place that it names; None without."""
    try:
        said = loads(answer.body) if answer.body.strip() else None
    except NotStrict:
        said = None
    if isinstance(said, dict) and isinstance(said.get("results"), list):
        said = said["results"]
    if isinstance(said, list):
        said = said[0] if said else None
    key = said.get("uuid") if isinstance(said, dict) else None
    place = str(answer.headers.get("location") or "").rstrip("/").rpartition("/")[2]
    return str(key) if key else place or None


def _shown(held: Mapping[str, Any]) -> dict[str, str | None]:
    """What matters of a cash flow, as text; both names of the amount are known in the field."""
    worth = held.get("flowAmount")
    worth = worth if isinstance(worth, dict) else {}
    days = held.get("date")
    days = days if isinstance(days, dict) else {}
    amount = worth.get("value", worth.get("amount"))
    return {
        "amount": None if amount is None else str(amount),
        "currency": code_of(worth.get("currency")),
        "date": str(days.get("valueDate") or days.get("transactionDate") or ""),
        "status": str(held.get("status") or ""),
    }
