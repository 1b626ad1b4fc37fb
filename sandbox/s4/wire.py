"""How OData V2 writes things: values, entities, ETags, errors, metadata."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from starlette.responses import Response

from sandbox.records import Field
from sandbox.s4.services import BROKEN, EntitySet
from sandbox.world.engine import World

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def wire(field: Field, value: Any) -> Any:
    """A value as JSON has it: amounts are strings, dates are /Date(ms)/."""
    if value is None:
        return None if field.type != "Edm.String" else ""
    if field.type == "Edm.DateTime" and isinstance(value, date):
        return f"/Date({_milliseconds(datetime.combine(value, time(), UTC))})/"
    if field.type == "Edm.DateTimeOffset":
        return f"/Date({_milliseconds(value)}+0000)/"
    if field.type == "Edm.Decimal":
        number = Decimal(value)
        return f"{number.normalize():f}" if number else "0"
    if field.type == "Edm.Time":
        return f"PT{value.hour:02d}H{value.minute:02d}M{value.second:02d}S"
    return value


def etag(moment: datetime) -> str:
    """The ETag of a record with this change stamp; seven digits of a second."""
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"
    return f"W/\"datetimeoffset'{quote(text)}'\""


def same_etag(given: str, moment: datetime) -> bool:
    """Whether an If-Match value names this stamp."""
    return given.strip() == "*" or unquote(given.strip()) == unquote(etag(moment))


def key_predicate(entity_set: EntitySet, world: World, row: Any) -> str:
    """('4711') or (CompanyCode='1010',FiscalYear='2026',...)."""
    values = {k: str(entity_set.entity.fields[k].get(world, row)).replace("'", "''") for k in entity_set.keys}
    if len(values) == 1:
        return f"('{quote(next(iter(values.values())))}')"
    return "(" + ",".join(f"{k}='{quote(v)}'" for k, v in values.items()) + ")"


def render(
    entity_set: EntitySet,
    world: World,
    row: Any,
    base: str,
    host: str,
    *,
    select: frozenset[str] | None = None,
    expand: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """One record as an OData V2 JSON entity, broken if it is broken on purpose."""
    entity = entity_set.entity
    uri = f"{base}/{entity_set.service}/{entity.name}{key_predicate(entity_set, world, row)}"
    metadata = {"id": uri, "uri": uri, "type": f"{entity_set.service}.{entity_set.type}"}
    if entity_set.etag:
        metadata["etag"] = etag(entity.stamp(row))
    record: dict[str, Any] = {"__metadata": metadata}
    for name, field in entity.fields.items():
        if select is None or name in select:
            record[name] = wire(field, field.get(world, row))
    how = world.broken.get((host, entity.name, entity.key(row))) if world.broken else None
    if how is not None and entity.breakable[how] in record:
        record[entity.breakable[how]] = BROKEN[how]
    for name, items in entity_set.items.items():
        if name in expand and entity_set.children is not None:
            children = entity_set.children(world, row)
            record[name] = {"results": [render(items, world, child, base, host) for child in children]}
        elif select is None or name in select:
            record[name] = {"__deferred": {"uri": f"{uri}/{name}"}}
    return record


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with OData's own header."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status, {"dataserviceversion": "2.0", **(headers or {})}, "application/json;charset=utf-8")


def error(status: int, code: str, message: str, accept: str, headers: dict[str, str] | None = None) -> Response:
    """An OData error: JSON when the client accepts JSON, XML otherwise, as SAP Gateway does."""
    if "json" in accept:
        inner = {
            "application": {"component_id": "SD-SLS", "service_namespace": "/SAP/", "service_id": "API", "service_version": "0001"},
            "transactionid": "5F3A0C1E4B0D0060E00680C0A1B2C3D4", "timestamp": "",
            "errordetails": [{"code": code, "message": message, "propertyref": "", "severity": "error"}],
        }  # fmt: skip
        body = {"error": {"code": code, "message": {"lang": "en", "value": message}, "innererror": inner}}
        return json_response(body, status, headers)
    xml = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f'<code>{escape(code)}</code><message xml:lang="en">{escape(message)}</message></error>'
    )
    return Response(xml.encode(), status, headers, "application/xml;charset=utf-8")


def metadata(service: str, sets: dict[str, EntitySet]) -> Response:
    """The service's $metadata, made from what it serves."""
    types, containers, associations = [], [], []
    for one in sets.values():
        keys = "".join(f'<PropertyRef Name="{k}"/>' for k in one.keys)
        properties = "".join(
            f'<Property Name="{f.name}" Type="{f.type}"'
            + (f' MaxLength="{f.length}"' if f.length else "")
            + (' Nullable="false"' if f.name in one.keys else "") + "/>" for f in one.entity.fields.values()
        )  # fmt: skip
        navigation = "".join(
            f'<NavigationProperty Name="{n}" Relationship="{service}.assoc_{one.entity.name}_{n}"'
            f' FromRole="FromRole" ToRole="ToRole"/>' for n in one.items
        )  # fmt: skip
        associations += [
            f'<Association Name="assoc_{one.entity.name}_{n}"><End Type="{service}.{one.type}" Multiplicity="1"'
            f' Role="FromRole"/><End Type="{service}.{to.type}" Multiplicity="*" Role="ToRole"/></Association>'
            for n, to in one.items.items()
        ]
        types.append(f'<EntityType Name="{one.type}"><Key>{keys}</Key>{properties}{navigation}</EntityType>')
        containers.append(f'<EntitySet Name="{one.entity.name}" EntityType="{service}.{one.type}"/>')
    xml = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
        '<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
        ' m:DataServiceVersion="2.0">'
        f'<Schema Namespace="{service}" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{"".join(types)}'
        f'{"".join(associations)}<EntityContainer Name="{service}_Entities" m:IsDefaultEntityContainer="true">'
        f"{''.join(containers)}{_functions(service)}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    )
    return Response(xml.encode(), media_type="application/xml;charset=utf-8")


def _functions(service: str) -> str:
    """The function imports of a service, as its metadata names them."""
    names = ("rejectApprovalRequest", "releaseApprovalRequest") if service == "API_SALES_ORDER_SRV" else ()
    return "".join(
        f'<FunctionImport Name="{name}" ReturnType="{service}.FunctionResult" m:HttpMethod="POST">'
        '<Parameter Name="SalesOrder" Type="Edm.String" Mode="In"/></FunctionImport>'
        for name in names
    )
