"""The sales order service in OData V4: the same orders as V2's, written as V4 writes them."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from sandbox.records import Field
from sandbox.s4.define import BROKEN, EntitySet
from sandbox.s4.wire import etag
from sandbox.world.engine import World

ROOT = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001"
NAMESPACE = "com.sap.gateway.srvd_a2x.api_sales_order.v0001"
SETS = {"SalesOrder": "A_SalesOrder", "SalesOrderItem": "A_SalesOrderItem"}
"""V4's name of a set -> V2's."""
NAVIGATION = {"_Item": "to_Item"}
ACTIONS = {"releaseApprovalRequest": True, "rejectApprovalRequest": False}
_TYPES = {"Edm.DateTime": "Edm.Date", "Edm.Time": "Edm.TimeOfDay"}


class Number(float):
    """A decimal that is written as a JSON number with all its digits."""

    def __new__(cls, text: str) -> Number:
        """A number of this text."""
        made = super().__new__(cls, text)
        made.text = text  # type: ignore[attr-defined]
        return made

    def __repr__(self) -> str:
        return str(self.text)  # type: ignore[attr-defined]


def wire(field: Field, value: Any, *, decimals_as_text: bool) -> Any:
    """A value as JSON has it: dates are ISO, decimals numbers or, where the client asked for it, texts."""
    if value is None:
        return None if field.type != "Edm.String" else ""
    if field.type == "Edm.DateTime" and isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if field.type == "Edm.DateTimeOffset" and isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06d}0Z"
    if field.type == "Edm.Decimal":
        text = f"{Decimal(value):f}"
        return text if decimals_as_text else Number(text)
    if field.type == "Edm.Time":
        return f"{value:%H:%M:%S}"
    return value


def render(
    entity_set: EntitySet, world: World, row: Any, host: str, *, accept: str, select: frozenset[str] | None, expand: frozenset[str]
) -> dict[str, Any]:
    """One record as a V4 entity, broken if it is broken on purpose."""
    entity, as_text = entity_set.entity, "ieee754compatible=true" in accept.lower()
    record: dict[str, Any] = {"@odata.etag": etag(entity.stamp(row))} if entity_set.etag else {}
    for name, field in entity.fields.items():
        if select is None or name in select:
            record[name] = wire(field, field.get(world, row), decimals_as_text=as_text)
    how = world.broken.get((host, entity.name, entity.key(row))) if world.broken else None
    if how is not None and entity.breakable[how] in record:
        record[entity.breakable[how]] = BROKEN[how]
    for theirs, ours in NAVIGATION.items():
        if theirs in expand and entity_set.children is not None:
            inner = entity_set.items[ours]
            children = entity_set.children(world, row)
            record[theirs] = [render(inner, world, c, host, accept=accept, select=None, expand=frozenset()) for c in children]
    return record


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with V4's own header."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status, {"odata-version": "4.0", **(headers or {})}, "application/json;odata.metadata=minimal;charset=utf-8")


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error: the message is a plain text in V4."""
    return json_response({"error": {"code": code, "message": message, "details": []}}, status, headers)


def next_link(name: str, options: dict[str, str], following: int) -> str:
    """Where the next page is, relative to the service as V4 allows."""
    query = "&".join(f"{key}={quote(value)}" for key, value in options.items() if key != "$skiptoken")
    return f"{name}?{query}{'&' if query else ''}$skiptoken={following}"


def metadata(sets: dict[str, EntitySet]) -> Response:
    """The service's $metadata."""
    types, holders = [], []
    for name, ours in SETS.items():
        one = sets[ours]
        keys = "".join(f'<PropertyRef Name="{key}"/>' for key in one.keys)
        properties = "".join(
            f'<Property Name="{f.name}" Type="{_TYPES.get(f.type, f.type)}"/>' for f in one.entity.fields.values()
        )  # fmt: skip
        leads = "".join(
            f'<NavigationProperty Name="{theirs}" Type="Collection({NAMESPACE}.SalesOrderItemType)"/>'
            for theirs, inner in NAVIGATION.items() if inner in one.items
        )  # fmt: skip
        types.append(f'<EntityType Name="{name}Type"><Key>{keys}</Key>{properties}{leads}</EntityType>')
        holders.append(f'<EntitySet Name="{name}" EntityType="{NAMESPACE}.{name}Type"/>')
    actions = "".join(
        f'<Action Name="{name}" IsBound="true"><Parameter Name="_it" Type="{NAMESPACE}.SalesOrderType" Nullable="false"/></Action>'
        for name in ACTIONS
    )
    xml = (
        '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        f'<edmx:DataServices><Schema Namespace="{NAMESPACE}" Alias="SAP__self" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f'{"".join(types)}{actions}<EntityContainer Name="Container">{"".join(holders)}</EntityContainer></Schema>'
        "</edmx:DataServices></edmx:Edmx>"
    )
    return Response(xml.encode(), headers={"odata-version": "4.0"}, media_type="application/xml;charset=utf-8")
