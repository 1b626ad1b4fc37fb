"""The adapter's own options: where the org is, how it names its custom fields, how accounts find their region."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync.connections import ConfigError, Connection, Landscape

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
"""A field's API name; it goes into queries, so nothing else may."""


class FieldNames(BaseModel):
    """The org's names of its custom fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    erp_number: FieldName = "ERP_Customer_Number__c"
    account_owner: FieldName = "OwnerName__c"
    account_segment: FieldName = "Segment__c"
    contract_value: FieldName = "Contract_Value__c"
    contract_opportunity: FieldName = "Opportunity__c"
    legal_entity: FieldName = "Legal_Entity__c"
    collections_status: FieldName = "Collections_Status__c"
    collections_overdue: FieldName = "Collections_Overdue__c"
    collections_currency: FieldName = "Collections_Currency__c"
    collections_as_of: FieldName = "Collections_As_Of__c"
    collections_version: FieldName = "Collections_Version__c"


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection. `currency` stands for CurrencyIsoCode in a single-currency org.

    `orders_as`: "none" leaves CRM orders alone, since the ERP owns orders; "linkage" takes them as sales orders without a value;
    "sales_order" takes them with their value, for a company whose orders live in the CRM.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    auth_path: str = Field(default="/services/oauth2/token", pattern=r"^/")
    api_version: str = Field(default="v67.0", pattern=r"^v\d{2,3}\.0$")
    page_size: int = Field(default=2000, ge=1, le=2000)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    client_name: str = Field(default="tidegate", pattern=r"^[A-Za-z0-9_.-]{1,40}$")
    fields: FieldNames = FieldNames()
    orders_as: Literal["none", "linkage", "sales_order"] = "none"
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    region_by_country: dict[str, str] = Field(default_factory=dict)

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    @property
    def data(self) -> str:
        """Where the REST API starts."""
        return f"/services/data/{self.api_version}"


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
        raise ConfigError(f"connection {connection.name}, options of salesforce: {wrong}") from None
