"""The adapter's own options: where the org is, how we log in, how it names its custom fields, how accounts find their region."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync.connections import Connection, Landscape
from sync.options import settings_from, whereabouts

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
"""A field's API name; it goes into queries, so nothing else may."""

LOGIN, TEST = "https://login.salesforce.com", "https://test.salesforce.com"


class FieldNames(BaseModel):
    """The org's names of its custom fields. One that the connection names itself must be there; a default one may be missing."""

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

    @property
    def chosen(self) -> frozenset[str]:
        """The field names that the connection gave itself."""
        return frozenset(str(getattr(self, name)) for name in self.model_fields_set)


class Settings(BaseModel):
    """What the adapter needs to know beyond the connection. `currency` stands for CurrencyIsoCode in a single-currency org.

    `bulk_from`, `deleted_minutes` and `sweep_hours`: 0 or None means never.

    `orders_as`: "none" leaves CRM orders alone, since the ERP owns orders; "linkage" takes them as sales orders without a value;
    "sales_order" takes them with their value, for a company whose orders live in the CRM.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    base_url: str
    login_url: str | None = None
    auth: Literal["client_credentials", "jwt"] = "client_credentials"
    client_auth: Literal["body", "basic"] = "body"
    auth_path: str = Field(default="/services/oauth2/token", pattern=r"^/")
    username: str | None = None
    audience: str | None = None
    instance_urls: tuple[str, ...] = ()
    api_version: str = Field(default="v67.0", pattern=r"^v\d{2,3}\.0$")
    page_size: int = Field(default=2000, ge=1, le=2000)
    look_back_minutes: int = Field(default=10, ge=0, le=24 * 60)
    settle_seconds: int = Field(default=60, ge=0, le=3600)
    bulk_from: int | None = Field(default=20_000, ge=0)
    bulk_page: int = Field(default=10_000, ge=1, le=100_000)
    deleted_minutes: int | None = Field(default=60, ge=0)
    sweep_hours: int | None = Field(default=24 * 7, ge=0)
    sweep_gone_max: float = Field(default=0.05, ge=0, le=1)
    client_name: str = Field(default="tidegate", pattern=r"^[A-Za-z0-9_.-]{1,40}$")
    fields: FieldNames = FieldNames()
    orders_as: Literal["none", "linkage", "sales_order"] = "none"
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    region_by_country: dict[str, str] = Field(default_factory=dict)
    organization_id: str | None = Field(default=None, pattern=r"^00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?$")

    outbound_secret: bool = False

    region: str
    legal_entity: str | None = None
    region_by_entity: dict[str, str] = Field(default_factory=dict)

    @property
    def data(self) -> str:
        """Where the REST API starts."""
        return f"/services/data/{self.api_version}"

    @property
    def token_url(self) -> str:
        """Where tokens are fetched."""
        return (self.login_url or self.base_url).rstrip("/") + self.auth_path

    @property
    def token_audience(self) -> str:
        """Whom a JWT is for: Salesforce's login server, or its test server where the address is a sandbox's."""
        if self.audience:
            return self.audience
        host = urlsplit(self.login_url or self.base_url).hostname or ""
        return TEST if host == "test.salesforce.com" or ".sandbox." in host or "--" in host else LOGIN

    @model_validator(mode="after")
    def _flows_have_what_they_need(self) -> Settings:
        host = urlsplit(self.login_url or self.base_url).hostname
        if self.auth == "client_credentials" and host in (urlsplit(LOGIN).hostname, urlsplit(TEST).hostname):
            msg = "client credentials are taken by the org's own My Domain address only: set base_url to https://NAME.my.salesforce.com"
            raise ValueError(msg)
        if urlsplit(self.base_url).hostname in (urlsplit(LOGIN).hostname, urlsplit(TEST).hostname) and not self.instance_urls:
            msg = f"{self.base_url} only logs in: set login_url to it, and base_url to the org's own https://NAME.my.salesforce.com"
            raise ValueError(msg)
        return self


def settings_of(connection: Connection, landscape: Landscape) -> Settings:
    """The settings of a connection; ConfigError names the option that is wrong. With a secret `private_key` it logs in by JWT."""
    flow = "jwt" if "private_key" in connection.secrets else "client_credentials"
    return settings_from(Settings, connection, {"auth": flow, **connection.options, **whereabouts(connection, landscape)})
