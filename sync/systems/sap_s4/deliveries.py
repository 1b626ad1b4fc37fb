"""Outbound deliveries: each page holds the deliveries with their items, and beside them the order items that say what these are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sync.ports import Cursor, Page
from sync.systems.sap_s4.absence import missing
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.order import by
from sync.systems.sap_s4.pages import envelope, page, values_of, with_last
from sync.systems.sap_s4.presence import Named, present, present_page
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.shipments import map_deliveries
from sync.systems.sap_s4.walk import Got, Query
from sync.systems.sap_s4.wire import DELIVERIES, ORDER_ITEMS

EMPTY = envelope({"deliveries": [], "order_items": []})


class Deliveries:
    """The stream of deliveries of one connection."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._reader = Reader(session)
        self._zone = ZoneInfo(settings.zone)
        self._items = session.address.navigation(DELIVERIES.service, "to_DeliveryDocumentItem")

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Deliveries made or changed since the cursor's day or, now and then, all of the last months: that one was billed need not touch
        its stamp. A host that has no such service gives none.
        """
        if missing(self._session, DELIVERIES, cursor):
            yield page(DELIVERIES, EMPTY, {"absent_at": now.astimezone(UTC).isoformat()}, now, last=True)
            return
        held = cursor if cursor and "full_at" in cursor else None
        read_at = datetime.fromisoformat(held["full_at"]) if held else None
        full = read_at is None or not now - timedelta(hours=self._settings.full_hours) < read_at <= now
        reached = min(datetime.fromisoformat(held["since"]), now) if held else now
        days = self._settings.delivery_days if full else self._settings.look_back_days
        day = (now if full else reached).astimezone(self._zone).date() - timedelta(days=days)
        since = self._session.dialect(DELIVERIES).midnight(day)
        mark = {
            "since": now.astimezone(UTC).isoformat(),
            "full_at": (now if full or read_at is None else read_at).astimezone(UTC).isoformat(),
        }
        where = f"CreationDate ge {since} or LastChangeDate ge {since}"
        query = Query(DELIVERIES, by("DeliveryDocument"), where)
        named = Named("delivery")
        for got, last in with_last(self._reader.read(query)):
            body = self._with_orders(got)
            if full:
                named.add(map_deliveries(body, self._settings, now))
            last = last and not full  # noqa: PLW2901  (behind a whole read comes what it did not name)
            yield page(DELIVERIES, body, mark if last else None, now, last=last)
        if full:
            # Of what changed in these days all was read; what is older may well be there.
            following = datetime.combine(day + timedelta(days=1), datetime.min.time(), self._zone)
            words = named.words(now, since=following, only={"is_invoiced": ("false",)})
            yield present_page(DELIVERIES.path, words, mark, now, last=True)

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These deliveries as they are now; `keys` may name one order's part of a delivery ("80000001/4711")."""
        found: set[str] = set()
        numbers = dict.fromkeys(key.partition("/")[0] for key in keys)
        for got in self._reader.find(DELIVERIES, [f"DeliveryDocument eq {text(number)}" for number in numbers]):
            if got.split.records:
                found.update(value for (value,) in values_of(got.split.records, "DeliveryDocument"))
                yield page(DELIVERIES, self._with_orders(got), None, now, last=False)
        lost = numbers.keys() - found
        if lost:
            word = present("delivery", (), now, among=lost, only={"is_invoiced": ("false",)})
            yield present_page(DELIVERIES.path, [word], None, now, last=False)

    def _with_orders(self, got: Got) -> bytes:
        """The deliveries of an answer with the items of the orders that they serve."""
        orders = dict.fromkeys(order for raw in got.split.records for order in _orders(bytes(raw), self._items))
        wanted = [f"SalesOrder eq {text(order)}" for order in sorted(orders)]
        order = by("SalesOrder", "SalesOrderItem")
        answers = self._reader.find(ORDER_ITEMS, wanted, order=order) if wanted and self._session.has(ORDER_ITEMS) else iter(())
        items: list[Any] = list(chain.from_iterable(one.split.records for one in answers))
        return envelope({"deliveries": got.split.records, "order_items": items})


def _orders(raw: bytes, name: str) -> list[str]:
    """The orders that a delivery's items name; none where the record can't be read, which mapping says."""
    try:
        row = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    held = row.get(name) if isinstance(row, dict) else None
    items = held.get("results") if isinstance(held, dict) else held
    named = [item.get("ReferenceSDDocument") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [order for order in named if isinstance(order, str) and order]
