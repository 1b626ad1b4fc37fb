"""The adapter's own options: where the server is, which database, and how its companies and journals are to be read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sync.connections import Connection, Landscape
from sync.options import settings_from, whereabouts


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `base_url`: the server's root (https://erp.example.com); `database`: its name there, which is part of every path. `company`: the id
    of the company to work in, where it is not the one of the user's preferences. `legal_entity_by_company`: the company's name in
    Tryton -> our legal entity. `receipt_journals`: the types of journal whose credits on a receivable account are money received.
    `party_category`: only parties of this category are customers; None: all are. `sweep_hours`: how often everything that is held is
    looked for again, since Tryton deletes without a trace; 0: never. `sweep_share`: above this share missing, a person has to look.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    database: str = Field(min_length=1)
    company: int | None = None
    page_size: int = Field(default=200, ge=1, le=2000)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    sweep_hours: float = Field(default=24, ge=0)
    sweep_share: float = Field(default=0.05, gt=0, le=1)
    party_category: str | None = None
    receipt_journals: tuple[str, ...] = ("cash", "statement")
    legal_entity_by_company: dict[str, str] = Field(default_factory=dict)
    region_by_country: dict[str, str] = Field(default_factory=dict)

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    return settings_from(Settings, connection, {**connection.options, **whereabouts(connection, landscape)})
