"""The adapter's own options: the two hosts, what is read and how far back, where forecasts are posted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sync.connections import Connection, Landscape
from sync.options import settings_from, whereabouts

BalanceType = Literal["END_OF_DAY", "INTRADAY"]
TransferState = Literal["requested", "approved", "rejected", "executed", "failed"]


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `base_url`: where the API starts, with its path (https://demo.kyriba.com/gateway/api, https://api.demo.kyriba.com/api);
    `auth_url`: the whole address of the token (https://demo.kyriba.com/gateway/oauth/token), found from base_url where it is not
    given. `legal_entity_by_company`: their company code -> ours, where the two differ. `forecast_accounts`: "<legal entity>:<currency>"
    -> account code, where the first account of the company in that currency is not the one to forecast on. `transfer_fields`: our
    column -> the path in a transfer's status that holds it. `statement_templates`: codes of the process templates that export bank
    statements.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    auth_url: str
    scope: str | None = None
    page_size: int = Field(default=1000, ge=2, le=1000)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    account_details: bool = False
    balance_history_days: int = Field(default=365, ge=1, le=3660)
    balance_reread_days: int = Field(default=3, ge=1, le=31)
    bank_balance_types: tuple[BalanceType, ...] = ("END_OF_DAY", "INTRADAY")
    bank_balance_history_days: int = Field(default=5, ge=1, le=366)
    cash_flow_filter: str = ""
    transfers_filter: str = ""
    transfer_statuses: dict[str, TransferState] = Field(default_factory=dict)
    transfer_fields: dict[str, str] = Field(default_factory=dict)
    statement_templates: tuple[str, ...] = ()
    task_poll_seconds: float = Field(default=15, gt=0, le=3600)
    task_limit_minutes: int = Field(default=120, ge=1, le=7 * 24 * 60)
    legal_entity_by_company: dict[str, str] = Field(default_factory=dict)
    forecast_accounts: dict[str, str] = Field(default_factory=dict)
    forecast_code: str = "TIDEGATE"
    forecast_budget_code: str | None = None
    forecast_amount: Literal["value", "amount"] = "value"

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    @field_validator("statement_templates", "bank_balance_types")
    @classmethod
    def _each_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given))

    def entity_of(self, company: str | None) -> str | None:
        """Our legal entity for their company code."""
        return self.legal_entity if company is None else self.legal_entity_by_company.get(company, company)


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    given = {**connection.options, **_hosts(connection.options), **whereabouts(connection, landscape)}
    return settings_from(Settings, connection, given)


def _hosts(options: Mapping[str, Any]) -> dict[str, str]:
    """Both addresses as they are used: the API's without the version that paths begin with, the token's beside it if it is not named.

    One host: .../gateway/api and .../gateway/oauth/token. Two: https://api.X/api and https://auth.X/oauth/token.
    """
    base = options.get("base_url")
    if not isinstance(base, str):
        return {}
    base = base.rstrip("/").removesuffix("/v1")
    if options.get("auth_url"):
        return {"base_url": base}
    parts = urlsplit(base)
    if not parts.path.endswith("/api"):
        return {"base_url": base}
    host = "auth." + parts.netloc.removeprefix("api.") if parts.netloc.startswith("api.") else parts.netloc
    path = parts.path.removesuffix("/api") + "/oauth/token"
    return {"base_url": base, "auth_url": urlunsplit((parts.scheme, host, path, "", ""))}
