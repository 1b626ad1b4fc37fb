"""Where each service is on a host, and how it is spoken to: the protocol, the path and the names that a connection may declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from sync.systems.sap_s4.odata import DIALECTS, Dialect

V2_ROOT = "/sap/opu/odata/sap"
V4_ROOT = "/sap/opu/odata4/sap"
_PATH = r"^/[A-Za-z0-9_./;=~-]+$"
_NAME = r"^[A-Za-z0-9_]{1,60}$"
_OURS = re.compile(r"/sap/opu/odata4?(?:/sap)?/?$")


class Declared(BaseModel):
    """What a connection says of one service, by its V2 name: only what differs from the usual.

    `path`: from the host's root, wins over all else. `version`: V2's `;v=`, V4's last part. `group` and `name`: V4's. `sets`: our name of
    an entity set -> the host's. `batch` false: never ask it for several things at once. `navigation`: likewise of `$expand`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["v2", "v4"] = "v2"
    path: str | None = Field(default=None, pattern=_PATH)
    version: str | None = Field(default=None, pattern=r"^\d{1,4}$")
    group: str | None = Field(default=None, pattern=_NAME)
    name: str | None = Field(default=None, pattern=_NAME)
    sets: dict[str, str] = Field(default_factory=dict)
    navigation: dict[str, str] = Field(default_factory=dict)
    batch: bool | None = None


USUAL: Mapping[str, Declared] = {
    "API_SALES_ORDER_SRV": Declared(
        group="api_salesorder", name="salesorder", sets={"A_SalesOrder": "SalesOrder", "A_SalesOrderItem": "SalesOrderItem"}
    ),
    "API_BILLING_DOCUMENT_SRV": Declared(
        group="api_billingdocument", name="billingdocument", sets={"A_BillingDocument": "BillingDocument"}, navigation={"to_Item": "_Item"}
    ),
    "API_OUTBOUND_DELIVERY_SRV": Declared(version="0002"),
}
"""What the known services are called in V4 (as their public clients have it), and the one whose second version is the one to use."""


class Address:
    """The host's services by their V2 names. `base_url`: the host, with or without the path of its V2 services."""

    def __init__(self, base_url: str, declared: Mapping[str, Declared]) -> None:
        path = urlsplit(base_url).path.rstrip("/")
        found = _OURS.search(path)
        self._prefix = path[: found.start()] if found else path
        self._declared = declared

    def service(self, service: str) -> Declared:
        """What is declared of a service."""
        return self._declared.get(service, _PLAIN)

    def dialect(self, service: str) -> Dialect:
        """The protocol that a service speaks."""
        return DIALECTS[self.service(service).protocol]

    def root(self, service: str) -> str:
        """The path of a service, from the host's root."""
        said, usual = self.service(service), USUAL.get(service, _PLAIN)
        if said.path is not None:
            return said.path.rstrip("/")
        if said.protocol == "v2":
            version = said.version or usual.version
            return f"{self._prefix}{V2_ROOT}/{service}" + (f";v={version}" if version and int(version) > 1 else "")
        name = said.name or usual.name or service.lower()
        return f"{self._prefix}{V4_ROOT}/{said.group or usual.group or name}/srvd_a2x/sap/{name}/{said.version or '0001'}"

    def set_name(self, service: str, entity_set: str) -> str:
        """What the host calls an entity set."""
        said = self.service(service)
        usual = USUAL[service].sets if said.protocol == "v4" and service in USUAL else {}
        return said.sets.get(entity_set) or usual.get(entity_set) or entity_set

    def navigation(self, service: str, name: str) -> str:
        """What the host calls a navigation property."""
        said = self.service(service)
        usual = USUAL[service].navigation if said.protocol == "v4" and service in USUAL else {}
        return said.navigation.get(name) or usual.get(name) or name


_PLAIN = Declared()
