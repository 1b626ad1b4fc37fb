"""The two protocols that S/4HANA speaks, OData V2 and V4: how each writes literals, asks, counts, and puts its answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from sync.errors import DataError
from sync.wire_rows import Split, split

Protocol = Literal["v2", "v4"]


def text(value: str) -> str:
    """A string literal: quotes are doubled, so that no value can end the literal."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the protocols. `accept` asks for JSON; V4 decimals as text where the host can."""

    protocol: Protocol
    accept: str
    counting: Mapping[str, str]

    def moment(self, value: datetime) -> str:
        """A DateTimeOffset literal in UTC, to the millisecond."""
        stamp = value.astimezone(UTC)
        plain = f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond // 1000:03d}Z"
        return f"datetimeoffset'{plain}'" if self.protocol == "v2" else plain

    def midnight(self, value: date) -> str:
        """A day: Edm.DateTime in V2, Edm.Date in V4."""
        return f"datetime'{value:%Y-%m-%d}T00:00:00'" if self.protocol == "v2" else f"{value:%Y-%m-%d}"

    def chosen(self, fields: Sequence[str], expanded: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
        """$select and $expand of these fields and of the fields of what hangs on them."""
        if self.protocol == "v2":
            beside = [f"{name}/{field}" for name, inner in expanded for field in inner]
            found = {"$select": ",".join([*fields, *beside])}
            return {**found, "$expand": ",".join(name for name, _ in expanded)} if expanded else found
        found = {"$select": ",".join(fields)}
        if expanded:
            found["$expand"] = ",".join(f"{name}($select={','.join(inner)})" for name, inner in expanded)
        return found

    def entity(self, document: Any) -> dict[str, Any] | None:
        """The one record that an answer holds; None when it holds none."""
        held = document.get("d") if self.protocol == "v2" and isinstance(document, dict) else document
        return held if isinstance(held, dict) else None

    def etag(self, held: Mapping[str, Any]) -> str | None:
        """The ETag inside a record."""
        if self.protocol == "v4":
            found = held.get("@odata.etag") or held.get("@etag")
        else:
            metadata = held.get("__metadata")
            found = metadata.get("etag") if isinstance(metadata, dict) else None
        return str(found) if found else None

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a PATCH."""
        return {"d": dict(values)} if self.protocol == "v2" else dict(values)


V2 = Dialect("v2", "application/json", {"$inlinecount": "allpages", "$format": "json"})
V4 = Dialect("v4", "application/json;IEEE754Compatible=true", {"$count": "true"})
DIALECTS: Mapping[str, Dialect] = {"v2": V2, "v4": V4}


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a listing, whichever protocol wrote it. `following`: the host's own link to the next; `count`: of all, if it says so."""

    split: Split
    protocol: Protocol
    following: str | None
    count: int | None


def listing(body: bytes) -> Listing:
    """A page taken apart. Raises DataError `file_unreadable` when it is a page of neither protocol."""
    try:
        found, protocol = split(body, "d", "results"), "v2"
    except DataError as no_v2:
        try:
            found, protocol = split(body, "value"), "v4"
        except DataError:
            try:  # as the first version of the protocol had it, which some gateways still write
                found, protocol = split(body, "d"), "v2"
            except DataError:
                raise no_v2 from None
    beside = found.beside
    link = beside.get("__next") or beside.get("@odata.nextLink") or beside.get("@nextLink")
    if link and "deltatoken=" in str(link).lower():
        link = None  # some services hand the token of a later delta back where the next page would be: this was the last one
    count = next((beside[name] for name in ("__count", "@odata.count", "@count") if beside.get(name) is not None), None)
    number = int(str(count)) if str(count).isdigit() else None
    return Listing(found, "v4" if protocol == "v4" else "v2", str(link) if link else None, number)
