"""Salesforce's shapes: which object and fields a stream reads, its queries, its ids and stamps. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sync.canonical.contracts import Customer, Opportunity, Quote, SalesContract, SalesOrder
from sync.errors import DataError
from sync.systems.salesforce.settings import Settings

STAMP = "SystemModstamp"
FIELDS_HEADER = "x-tidegate-fields"
"""The fields that were asked for travel with the page: one that is missing from a record is then known to be gone."""
KINDS_HEADER = "x-tidegate-kinds"
"""`name=number` or `name=flag` of the fields that are no texts: a CSV page does not say."""
CURRENCY_HEADER = "x-tidegate-currency"
"""The org's currency, where its records name none."""
SHAPE_HEADER = "x-tidegate-shape"
"""What the page is: absent for a query's JSON; `csv` of a bulk job, `deleted` for a list of deletions, `ids` for a page of all live ids."""
RANGE_HEADER = "x-tidegate-range"
"""`after..upto` of a page of ids: it has every live one between the two (the first excluded); empty: open."""
ASKED_HEADER = "x-tidegate-asked"
"""The moment before whose changes a page of ids was asked."""
AMONG_HEADER = "x-tidegate-among"
"""The ids that were asked for: those that the page lacks are gone."""

STREAMS = {"Account": "accounts", "Opportunity": "opportunities", "Quote": "quotes", "Contract": "contracts", "Order": "orders"}
"""Object -> the stream that reads it."""

_STAMPS = re.compile(rb'"SystemModstamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\+00:?00|Z))"')
_ID = re.compile(r"^[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_NUMBERS = ("currency", "double", "percent", "int", "long")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stream reads: `required` fields must be visible, `wanted` ones are read where the org has them.

    `optional`: the org may not have the object at all, and the stream is then quiet.
    """

    stream: str
    object: str
    entity: str
    required: tuple[str, ...]
    wanted: tuple[str, ...]
    related: tuple[str, ...] = ()
    """Fields of parents, as paths; the lookup they go over is required."""
    optional: bool = False

    def chosen(self, visible: Collection[str]) -> tuple[str, ...]:
        """The fields to select; DataError `schema_drift` when a required one is gone or was never made visible to us."""
        missing = [name for name in self.required if name not in visible]
        if missing:
            raise DataError(
                f"{self.object} shows no field {', '.join(missing)}: give the integration user read access to it, or name it in the options",
                cause="schema_drift",
                evidence={"object": self.object, "missing": missing},
            )
        return (*self.required, *(name for name in self.wanted if name in visible and name not in self.required), *self.related)


def readings(settings: Settings) -> dict[str, Reading]:
    """The streams by name, in the order in which they should be pulled first. A custom field that the options name is required."""
    names = settings.fields
    base = ("Id", STAMP, "IsDeleted")
    accounts = tuple(n for n in (names.erp_number, names.account_owner, names.account_segment) if n in names.chosen)
    contracts = tuple(n for n in (names.contract_value, names.contract_opportunity) if n in names.chosen)
    streams = [
        Reading(
            "accounts", "Account", Customer.entity, (*base, "Name", *accounts),
            ("AccountNumber", "ParentId", "BillingCountryCode", "BillingCountry", "MasterRecordId", "OwnerId", "Type",
             names.erp_number, names.account_owner, names.account_segment),
        ),
        Reading(
            "opportunities", "Opportunity", Opportunity.entity, (*base, "AccountId", "StageName", "CloseDate"),
            ("Name", "Amount", "CurrencyIsoCode", "Probability", "IsClosed", "IsWon", names.legal_entity),
        ),
        Reading(
            "quotes", "Quote", Quote.entity, (*base, "OpportunityId"),
            ("QuoteNumber", "AccountId", "Status", "ExpirationDate", "GrandTotal", "TotalPrice", "CurrencyIsoCode", names.legal_entity),
            optional=True,
        ),
        Reading(
            "contracts", "Contract", SalesContract.entity,
            (*base, "ContractNumber", "AccountId", "StatusCode", *contracts),
            ("StartDate", "EndDate", "ActivatedDate", "CurrencyIsoCode", names.contract_value, names.contract_opportunity, names.legal_entity),
        ),
    ]  # fmt: skip
    if settings.orders_as != "none":
        streams.append(
            Reading(
                "orders", "Order", SalesOrder.entity,
                (*base, "OrderNumber", "AccountId", "ContractId", "StatusCode", "TotalAmount"),
                ("EffectiveDate", "CurrencyIsoCode", "ActivatedDate", names.legal_entity), ("Contract.ContractNumber",),
            )
        )  # fmt: skip
    return {reading.stream: reading for reading in streams}


def soql(
    reading: Reading,
    fields: Sequence[str],
    since: datetime | None,
    *,
    after: str | None = None,
    until: datetime | None = None,
    ordered: bool = True,
) -> str:
    """The query for everything changed from `since` on (None: everything) and before `until`, oldest change first unless not `ordered`.

    `after`: of the records stamped `since` only those with a greater id. Deleted records come with queryAll.
    """
    where = []
    if since is not None:
        where.append(f"{STAMP} >= {_literal(since)}")
    if since is not None and after is not None:
        where.append(f"({STAMP} > {_literal(since)} OR Id > '{after}')")
    if until is not None:
        where.append(f"{STAMP} < {_literal(until)}")
    order = f" ORDER BY {STAMP}, Id" if ordered else ""
    return f"SELECT {', '.join(fields)} FROM {reading.object}{' WHERE ' if where else ''}{' AND '.join(where)}{order}"


def soql_of_ids(reading: Reading, fields: Sequence[str], ids: Sequence[str]) -> str:
    """The query for these records; `ids` are well-formed (see `full_id`)."""
    return f"SELECT {', '.join(fields)} FROM {reading.object} WHERE Id IN ({', '.join(repr(each) for each in ids)})"


def soql_by_id(reading: Reading, fields: Sequence[str], after: str | None, limit: int) -> str:
    """The query for the next records in the order of their ids."""
    where = f" WHERE Id > '{after}'" if after else ""
    return f"SELECT {', '.join(fields)} FROM {reading.object}{where} ORDER BY Id LIMIT {limit}"


def quoted(text: str) -> str:
    """A text as a SOQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f"'{escaped}'"


def full_id(text: object) -> str | None:
    """A record id with its 18 characters, also when it came with 15; None when it is none."""
    if not isinstance(text, str) or not _ID.match(text):
        return None
    if len(text) == 18:
        return text
    bits = [sum(1 << place for place, sign in enumerate(text[at : at + 5]) if sign.isascii() and sign.isupper()) for at in (0, 5, 10)]
    return text + "".join(_SUFFIX[each] for each in bits)


def newest_stamp(body: bytes) -> datetime | None:
    """The newest SystemModstamp of a JSON page, UTC; None when it holds no readable one."""
    stamps = [stamp for text in set(_STAMPS.findall(body)) if (stamp := moment_of(text.decode())) is not None]
    return max(stamps, default=None)


def moment_of(text: object) -> datetime | None:
    """A stamp in any of the org's forms (+0000, +00:00, Z) as UTC; None when it is none."""
    try:
        stamp = datetime.fromisoformat(str(text).replace("+0000", "+00:00"))
        return stamp.astimezone(UTC) if stamp.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def kinds_of(fields: Sequence[str], visible: Mapping[str, Mapping[str, Any]]) -> str:
    """The kinds of these fields as KINDS_HEADER carries them, by the org's description."""
    kinds = {}
    for name in fields:
        told = str(visible.get(name, {}).get("type", ""))
        if told in _NUMBERS or told == "boolean":
            kinds[name] = "flag" if told == "boolean" else "number"
    return ",".join(f"{name}={kind}" for name, kind in kinds.items())


def _literal(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
