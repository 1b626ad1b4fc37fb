"""The adapter's own options: where the host is, how its organisation maps to ours, what its codes mean."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sync.connections import ConfigError, Connection, Landscape
from sync.options import settings_from, whereabouts
from sync.systems.sap_s4.services import Address, Declared

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,10}$")]
"""A code that goes into filters: nothing else may."""


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `terms_days` says what terms of payment mean in days; a code that it does not name is read by `terms_pattern`, whose first group
    is the days. `full_hours`: how often customers and accounting items are read whole, since their stamps are days, or don't move.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    services: dict[str, Declared] = Field(default_factory=dict)
    """By the V2 name of a service, what differs from the usual: its protocol, its path, its names."""
    batch: bool = True
    """Whether several reads may go as one $batch; a host or a service that refuses is asked one by one by itself."""
    token_url: str | None = None
    scope: str | None = None
    token_credentials: Literal["basic", "form"] = "basic"
    """Where the token's own server wants client id and secret: as basic authentication, or in the form."""
    sap_client: str | None = Field(default=None, pattern=r"^\d{3}$")
    sap_language: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    page_size: int = Field(default=1000, ge=1, le=5000)
    read_ahead: int = Field(default=4, ge=1, le=8)
    """How many pages of a long listing are asked for at once; 1: one after the other."""
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    look_back_days: int = Field(default=1, ge=0, le=30)
    full_hours: int = Field(default=24, ge=1)
    open_items_hours: int = Field(default=6, ge=1)
    """How often all open accounting items are read: a clearing need not touch a stamp."""
    journal_days: int = Field(default=90, ge=1, le=3660)
    """How far back the first read of journal lines goes."""
    ledgers: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")], ...] = ("0L",)
    """The ledgers whose lines are read: an extension ledger repeats the leading one's."""
    from_fiscal_year: int | None = Field(default=None, ge=1990, le=2100)
    credit_service: str = Field(default="API_CRDTMBUSINESSPARTNER", pattern=r"^[A-Za-z0-9_]+$")
    credit_set: str = Field(default="CreditManagementAccount", pattern=r"^[A-Za-z0-9_]+$")
    journal_service: str = Field(default="API_GLACCOUNTLINEITEM", pattern=r"^[A-Za-z0-9_]+$")
    journal_set: str = Field(default="GLAccountLineItem", pattern=r"^[A-Za-z0-9_]+$")
    delivery_days: int = Field(default=180, ge=1, le=3660)
    """How far back deliveries are read whole."""
    terms_days: dict[str, int] = Field(default_factory=dict)
    terms_pattern: str = r"^[A-Z]+0*(\d{1,3})$"
    payment_types: tuple[str, ...] = ("DZ", "ZP", "ZV")
    """Accounting document types of money received; items of other documents without a bill are neither invoice nor payment."""
    dispute_blocks: tuple[str, ...] = ()
    """Dunning blocks that mark a dispute; empty: every dunning block does."""
    order_block: str = "01"
    """The delivery block under which an order waits for its credit decision."""
    approved_status: str = "B"
    rejected_status: str = "C"
    """SalesDocApprovalStatus of an order whose approval request was released or rejected; empty: it needs none. Any other: it waits."""
    legal_entity_by_sales_organization: dict[str, str] = Field(default_factory=dict)

    region: str
    zone: str = "UTC"
    legal_entity: str | None = None
    company_codes: tuple[Code, ...] = ()
    entity_by_company_code: dict[str, str] = Field(default_factory=dict)
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Where the host's services are."""
        return Address(self.base_url, self.services)

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"no time zone is called {zone!r}") from None
        return zone

    @field_validator("terms_pattern")
    @classmethod
    def _pattern_has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        if groups != 1:
            raise ValueError("the pattern needs exactly one group: the days")
        return pattern

    def entity_by_sales_organization(self) -> dict[str, str]:
        """Sales organisation -> legal entity: as declared, else those named like a company code."""
        return {**self.entity_by_company_code, **self.legal_entity_by_sales_organization}


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    entities = {code: landscape.legal_entity(code) for code in connection.legal_entities}
    unknown = [code for code, entity in entities.items() if entity is None]
    if unknown:
        raise ConfigError(
            f"connection {connection.name}: no legal entity is called {', '.join(unknown)}: declare it under [[legal_entity]]"
        )
    codes = {entity.company_code: entity.code for entity in entities.values() if entity and entity.company_code}
    return settings_from(
        Settings,
        connection,
        {
            **connection.options,
            **whereabouts(connection, landscape),
            "zone": connection.zone or "UTC",
            "company_codes": tuple(codes),
            "entity_by_company_code": codes or {code: e.code for code, e in landscape.by_company_code().items()},
        },
    )
