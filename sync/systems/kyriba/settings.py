"""The adapter's own options: the two hosts, how far balances are read back, where forecasts are posted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync.connections import ConfigError, Connection, Landscape


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection.

    `base_url`: where the API starts, with its path (https://demo.kyriba.com/gateway/api, https://api.demo.kyriba.com/api);
    `auth_url`: the whole address of the token (https://demo.kyriba.com/gateway/oauth/token). `legal_entity_by_company`: their
    company code -> ours, where the two differ. `forecast_accounts`: "<legal entity>:<currency>" -> account code, where the first
    account of the company in that currency is not the one to forecast on.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    auth_url: str
    scope: str | None = None
    page_size: int = Field(default=1000, ge=2, le=1000)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    balance_history_days: int = Field(default=365, ge=1, le=3660)
    balance_reread_days: int = Field(default=3, ge=1, le=31)
    legal_entity_by_company: dict[str, str] = Field(default_factory=dict)
    forecast_accounts: dict[str, str] = Field(default_factory=dict)
    forecast_code: str = "TIDEGATE"

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    def entity_of(self, company: str | None) -> str | None:
        """Our legal entity for their company code."""
        return self.legal_entity if company is None else self.legal_entity_by_company.get(company, company)


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong."""
    only = connection.legal_entities[0] if len(connection.legal_entities) == 1 else None
    try:
        return Settings.model_validate(
            {
                **connection.options,
                "region": connection.region,
                "legal_entity": only,
                "region_by_entity": {entity.code: entity.region for entity in landscape.legal_entities},
            }
        )
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"connection {connection.name}, options of kyriba: {wrong}") from None
