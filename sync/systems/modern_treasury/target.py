"""Our one write: an expected payment, under a reference that is the same for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sync.connections import Connection
from sync.errors import ConflictError, PermanentError, TransientError, UnknownOutcome
from sync.forecasts import finite, order_account, order_day, order_reference
from sync.ports import Order, Receipt
from sync.systems.modern_treasury.client import LISTING_PAGES_MAX, Session
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import REFERENCE_FIELD, minor_units

PATH = "expected_payments"


class ModernTreasuryTarget:
    """Carries out `publish_forecast`.

    Payload: amount (decimal text, signed: money in is positive), currency, expected_date (ISO), description, company (legal entity), and
    by choice account (its id) and reference ("TG-..."). The reference is looked for before anything is written, whatever the attempt;
    it stands in the external id and in the metadata, and is the idempotency key too.
    """

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._accounts: list[dict[str, Any]] | None = None

    def apply(self, order: Order) -> Receipt:
        """Creates the expected payment once. `already` when it is there, `differs` when treasury has changed it since.

        PermanentError when no account fits or treasury refuses it; UnknownOutcome when no answer came, or another request under the
        same key is still at work.
        """
        shown = self.read(order)
        if shown.outcome != "absent":
            return shown
        body = json.dumps(self._body(order)).encode()
        try:
            answer = self._session.post(PATH, body, idempotency_key=order_reference(order))
        except PermanentError as error:
            # the contract has external ids once only: somebody created it since we looked
            shown = self.read(order) if error.status == 422 and "external_id" in error.detail else shown
            if shown.outcome == "absent":
                raise
            return shown
        except ConflictError as error:
            raise UnknownOutcome(f"{error.detail}: it is read before it is tried again", status=409, subject=order.object_key) from error
        made = answer.json()
        key = made.get("id") if isinstance(made, dict) else None
        return Receipt("applied", reference=None if key is None else str(key), detail={"reference": order_reference(order)})

    def read(self, order: Order) -> Receipt:
        """The expected payment under our reference: `already` as we sent it, `differs` otherwise, `absent` when there is none."""
        reference = order_reference(order)
        held = self._held("external_id", reference) or self._held(f"metadata[{REFERENCE_FIELD}]", reference)
        if not held:
            return Receipt("absent", detail={"reference": reference})
        detail = {"reference": reference, "held": _shown(held[0]), "count": len(held)}
        same = len(held) == 1 and self._same(order, held[0])
        return Receipt("already" if same else "differs", reference=str(held[0].get("id", "")), detail=detail)

    def close(self) -> None:
        self._session.close()

    def _held(self, filtered_by: str, reference: str) -> list[dict[str, Any]]:
        """The expected payments that carry the reference; the filter is not relied on, every record is looked at."""
        found: list[dict[str, Any]] = []
        after = None
        for _ in range(LISTING_PAGES_MAX):
            page = self._session.listing(PATH, {filtered_by: reference}, after=after)
            if page.rows.broken:
                raise TransientError(f"{page.answer.place}: an expected payment can't be read", connection=self._connection.name)
            found += [row for row in page.rows.sound if reference in (row.get("external_id"), _metadata(row).get(REFERENCE_FIELD))]
            if page.after is None or page.after == after:
                break
            after = page.after
        return found

    def _body(self, order: Order) -> dict[str, Any]:
        minor, day, reference = self._minor(order), order_day(order), order_reference(order)
        return {
            "external_id": reference,
            "amount_lower_bound": abs(minor),
            "amount_upper_bound": abs(minor),
            "direction": "credit" if minor >= 0 else "debit",
            "internal_account_id": self._account(order),
            "currency": str(order.payload["currency"]),
            "date_lower_bound": day,
            "date_upper_bound": day,
            "description": str(order.payload.get("description") or ""),
            "metadata": {REFERENCE_FIELD: reference},
        }

    def _minor(self, order: Order) -> int:
        said, currency = order.payload["amount"], str(order.payload["currency"])
        amount = finite(said)
        minor = None if amount is None else minor_units(amount, currency)
        if minor is None:
            raise PermanentError(f"the amount {said!r} is no whole number of the smallest unit of {currency}", subject=order.object_key)
        return minor

    def _account(self, order: Order) -> str:
        return order_account(order, self._settings.forecast_accounts, self._fitting, connection=self._connection.name)

    def _fitting(self, company: Any, currency: Any) -> Iterator[str]:
        """The ids of the company's open accounts in the currency."""
        if self._accounts is None:
            self._accounts = self._session.all_of("internal_accounts")
        for row in self._accounts:
            ours = self._settings.entity_of(row) == company and row.get("currency") == currency
            if ours and row.get("id") and row.get("status") != "closed":
                yield str(row["id"])

    def _same(self, order: Order, held: Mapping[str, Any]) -> bool:
        minor, shown = self._minor(order), _shown(held)
        day = order_day(order)
        return (
            {shown["lower"], shown["upper"]} == {str(abs(minor))}
            and shown["direction"] == ("credit" if minor >= 0 else "debit")
            and shown["currency"] == order.payload["currency"]
            and {shown["from"], shown["until"]} == {day}
            and shown["status"] != "archived"
        )


def _metadata(row: Mapping[str, Any]) -> Mapping[str, Any]:
    told = row.get("metadata")
    return told if isinstance(told, dict) else {}


def _shown(held: Mapping[str, Any]) -> dict[str, str | None]:
    """What matters of an expected payment, as text."""
    names = {
        "lower": "amount_lower_bound", "upper": "amount_upper_bound", "direction": "direction", "currency": "currency",
        "from": "date_lower_bound", "until": "date_upper_bound", "status": "status",
    }  # fmt: skip
    return {ours: None if held.get(theirs) is None else str(held[theirs]) for ours, theirs in names.items()}
