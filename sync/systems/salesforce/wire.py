"""Salesforce's shapes: which object and fields a stream reads, its queries, its stamps. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sync.canonical.contracts import Customer, Opportunity, SalesContract, SalesOrder
from sync.errors import DataError
from sync.systems.salesforce.settings import Settings

STAMP = "SystemModstamp"
FIELDS_HEADER = "x-tidegate-fields"
"""The fields that were asked for travel with the page: one that is missing from a record is then known to be gone."""
_STAMPS = re.compile(rb'"SystemModstamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\+00:?00|Z))"')


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stream reads: `required` fields must be visible, `wanted` ones are read where the org has them."""

    stream: str
    object: str
    entity: str
    required: tuple[str, ...]
    wanted: tuple[str, ...]
    related: tuple[str, ...] = ()
    """Fields of parents, as paths; the lookup they go over is required."""

    def chosen(self, visible: Collection[str]) -> tuple[str, ...]:
        """The fields to select; DataError `schema_drift` when a required one is gone or was never made visible to us."""
        missing = [name for name in self.required if name not in visible]
        if missing:
            raise DataError(
                f"{self.object} shows no field {', '.join(missing)}: give the integration user read access to it, or name it in the options",
                cause="schema_drift",
                evidence={"object": self.object, "missing": missing},
            )
        return (*self.required, *(name for name in self.wanted if name in visible), *self.related)


def readings(settings: Settings) -> dict[str, Reading]:
    """The streams by name, in the order in which they should be pulled first."""
    names = settings.fields
    base = ("Id", STAMP, "IsDeleted")
    streams = [
        Reading(
            "accounts", "Account", Customer.entity, (*base, "Name"),
            ("AccountNumber", "ParentId", "BillingCountryCode", "BillingCountry", "MasterRecordId", "OwnerId", "Type",
             names.erp_number, names.account_owner, names.account_segment),
        ),
        Reading(
            "opportunities", "Opportunity", Opportunity.entity, (*base, "AccountId", "StageName", "CloseDate"),
            ("Name", "Amount", "CurrencyIsoCode", "Probability", "IsClosed", "IsWon", names.legal_entity),
        ),
        Reading(
            "contracts", "Contract", SalesContract.entity,
            (*base, "ContractNumber", "AccountId", "StatusCode", names.contract_value),
            ("StartDate", "EndDate", "ActivatedDate", "CurrencyIsoCode", names.contract_opportunity, names.legal_entity),
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


def soql(reading: Reading, fields: Collection[str], since: datetime | None) -> str:
    """The query for everything changed at or after `since` (None: everything), oldest change first; deleted ones come with queryAll."""
    where = "" if since is None else f" WHERE {STAMP} >= {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"SELECT {', '.join(fields)} FROM {reading.object}{where} ORDER BY {STAMP}, Id"


def newest_stamp(body: bytes) -> datetime | None:
    """The newest SystemModstamp of a page, UTC; None when it holds no readable one."""
    newest: datetime | None = None
    for text in set(_STAMPS.findall(body)):
        try:
            stamp = datetime.fromisoformat(text.decode().replace("+0000", "+00:00"))
        except ValueError:
            continue
        newest = stamp if newest is None or stamp > newest else newest
    return newest
