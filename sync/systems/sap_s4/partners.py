"""Customers: business partners with their customer, company and address records in one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sync.errors import PermanentError
from sync.ports import Cursor, Page
from sync.systems.sap_s4.absence import is_absent
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.masters import map_customers
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.order import by
from sync.systems.sap_s4.pages import envelope, page, values_of, with_last
from sync.systems.sap_s4.presence import Named, present_page
from sync.systems.sap_s4.reading import Reader
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.walk import Got, Query
from sync.systems.sap_s4.wire import ADDRESSES, COMPANIES, CUSTOMERS, PARTNERS, EntitySet

_NAMED = 30
"""So many records are named; more are asked for as a range of keys."""
_BELOW = {COMPANIES.name: ("CompanyCode",), ADDRESSES.name: ("AddressID",)}
"""Set -> its further keys."""


class Partners:
    """The stream of customers of one connection."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._reader = Reader(session)
        self._zone = ZoneInfo(settings.zone)

    def pages(self, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Business partners that are customers, changed since the cursor's day or, now and then, all of them: changes of terms
        and blocks need not touch the partner's stamp.
        """
        read_at = datetime.fromisoformat(cursor["full_at"]) if cursor else None
        full = read_at is None or not now - timedelta(hours=self._settings.full_hours) < read_at <= now
        where = "Customer ne ''"
        if cursor is not None and not full:
            reached = min(datetime.fromisoformat(cursor["since"]), now).astimezone(self._zone).date()
            day = self._session.dialect(PARTNERS).midnight(reached - timedelta(days=self._settings.look_back_days))
            where += f" and (LastChangeDate ge {day} or CreationDate ge {day})"
        mark = {
            "since": now.astimezone(UTC).isoformat(),
            "full_at": (now if full or read_at is None else read_at).astimezone(UTC).isoformat(),
        }
        query = Query(PARTNERS, by("BusinessPartner"), where)
        named = Named("customer")
        for got, last in with_last(self._reader.read(query)):
            body = self._with_masters(got)
            if full:
                named.add(map_customers(body, self._settings))
            last = last and not full  # noqa: PLW2901  (behind a whole read comes what it did not name)
            yield page(PARTNERS, body, mark if last else None, now, last=last)
        if full:
            yield present_page(PARTNERS.path, named.words(now), mark, now, last=True)

    def again(self, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """These customers as they are now, by their number or their business partner's."""
        wanted = [f"Customer eq {text(key)} or BusinessPartner eq {text(key)}" for key in keys]
        for got in self._reader.find(PARTNERS, wanted):
            if got.split.records:
                yield page(PARTNERS, self._with_masters(got), None, now, last=False)

    def _with_masters(self, got: Got) -> bytes:
        """The partners of an answer with their customer, company and address records, all as the host gave them."""
        partners = [raw for raw in got.split.records if not _is_no_customer(bytes(raw))]
        numbers = [value for (value,) in values_of(partners, "Customer")]
        keys = [value for (value,) in values_of(partners, "BusinessPartner")]
        asked = [("customers", CUSTOMERS, "Customer", numbers), ("companies", COMPANIES, "Customer", numbers)]
        if self._session.has(ADDRESSES):
            asked.append(("addresses", ADDRESSES, "BusinessPartner", keys))
        queries = [(name, query) for name, entity_set, key, values in asked for query in _about(entity_set, key, values)]
        found: dict[str, list[msgspec.Raw | bytes]] = {"customers": [], "companies": [], "addresses": []}
        for (name, query), answers in zip(queries, self._reader.read_all([query for _, query in queries]), strict=True):
            try:
                found[name] += chain.from_iterable(one.split.records for one in answers)
            except PermanentError as error:
                if query.entity_set is not ADDRESSES or not is_absent(error):
                    raise
                self._session.lacks(ADDRESSES)  # a country is wanted, not needed
        return envelope({"partners": partners, **found})


def _is_no_customer(raw: bytes) -> bool:
    """Whether a partner has no customer's number, and says so: a host that heeds no condition gives vendors too."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]).get("Customer") == ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _about(entity_set: EntitySet, key: str, values: Sequence[str]) -> list[Query]:
    """What asks for the records of a set with these keys: few are named, many asked for as a range."""
    order = by(key, *_BELOW.get(entity_set.name, ()))
    if len(values) > _NAMED:
        return [Query(entity_set, order, f"{key} ge {text(min(values))} and {key} le {text(max(values))}")]
    return [Query(entity_set, order, " or ".join(f"{key} eq {text(value)}" for value in values))] if values else []
