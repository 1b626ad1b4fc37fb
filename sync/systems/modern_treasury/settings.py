"""The adapter's own options: the host, how far back and how often again lists are read, whose accounts they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sync.connections import Connection, Landscape
from sync.options import settings_from, whereabouts

ACCOUNT_NAMES = ("id", "external_id", "legal_entity_id", "counterparty_id", "name", "party_name")
"""By what an account may be told to belong to one of our companies, the most particular first."""


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `legal_entity_by_account`: an account's id, external id, legal entity id, counterparty id, name or party name -> our legal entity,
    where the organisation holds accounts of several. `leave_out_accounts`: ids of accounts that another connection reports; their
    balances, transactions and payments are not read. `forecast_accounts`: "<legal entity>:<currency>" -> account id, where the first
    account of the company in that currency is not the one to expect payments on.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str = "https://app.moderntreasury.com"
    page_size: int = Field(default=100, ge=1, le=100)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    balance_reread_days: int = Field(default=3, ge=1, le=31)
    transaction_reread_days: int = Field(default=10, ge=1, le=366)
    payment_reread_days: int = Field(default=45, ge=1, le=366)
    legal_entity_by_account: dict[str, str] = Field(default_factory=dict)
    leave_out_accounts: tuple[str, ...] = ()
    forecast_accounts: dict[str, str] = Field(default_factory=dict)

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    def entity_of(self, account: Mapping[str, Any]) -> str | None:
        """Our legal entity that holds an account, by the most particular of its names that is known here, else the connection's only one."""
        named = self.legal_entity_by_account
        return next((named[str(account[name])] for name in ACCOUNT_NAMES if str(account.get(name)) in named), self.legal_entity)


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    return settings_from(Settings, connection, {**connection.options, **whereabouts(connection, landscape)})
