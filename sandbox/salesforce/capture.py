"""Change Data Capture, as a relay that subscribes to the org's channels hands it over by HTTP: JSON in CometD's form, several at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sandbox.events.mail import Letter, Mail, Receiver, Unasked, changed
from sandbox.faults import Dial
from sandbox.salesforce.objects import OBJECTS, wire
from sandbox.world.engine import World

SELECTED = {"Account": ("created_at", "changed_at"), "Order": ("created_at", "crm_changed_at")}
"""Object that changes are captured of -> where its stamps are."""
OVERFLOW_ID = "000000000000000AAA"
USER = "0055g00000AAAAAAA1"


@dataclass(frozen=True, slots=True)
class Origin:
    """The API call that changed a record last: its moment, and what the caller named itself in Sforce-Call-Options."""

    at: datetime
    version: str
    client: str | None

    def words(self) -> str:
        """As `changeOrigin` has it."""
        return f"com/salesforce/api/rest/{self.version}" + (f";client={self.client}" if self.client else "")


class ChangeDataCapture(Unasked):
    """`origins`: record id -> the call that wrote it last, kept by whoever executes the writes."""

    name, system = "change-data-capture", "salesforce"

    def __init__(self, dial: Dial, origins: Mapping[str, Origin]) -> None:
        self._dial, self._origins = dial, origins

    def gather(self, world: World, since: datetime) -> Sequence[Mail]:
        """One event for all records of an object that changed alike in one moment; they travel together."""
        events = [event for name in SELECTED for event in self._events(world, name, since)]
        return [Mail(f"replay:{events[0]['data']['event']['replayId']}", events)] if events else []

    def _events(self, world: World, name: str, since: datetime) -> Iterator[dict[str, Any]]:
        entity, (created, stamp) = OBJECTS[name], SELECTED[name]
        rows = changed(entity.rows(world), stamp, since)

        def alike(row: Any) -> tuple[datetime, str, str]:
            at = getattr(row, stamp)
            kind = "DELETE" if getattr(row, "deleted", False) else ("CREATE" if getattr(row, created) > since else "UPDATE")
            origin = self._origins.get(entity.key(row))
            return at, kind, origin.words() if origin is not None and origin.at == at else ""

        for (at, kind, origin), group in groupby(sorted(rows, key=alike), key=alike):
            members = list(group)
            yield self._event(world, name, kind, origin, at, [(entity.key(row), row) for row in members])

    def _event(self, world: World, name: str, kind: str, origin: str, at: datetime, rows: list[tuple[str, Any]]) -> dict[str, Any]:
        ids, fault = [key for key, _ in rows], self._dial.take("salesforce", "event_gap", self.name)
        if fault is not None:
            overflow = fault.options.get("how", "gap") == "overflow"
            kind, ids = ("GAP_OVERFLOW", [OVERFLOW_ID]) if overflow else (f"GAP_{kind}", ids)
        number = world.count("replay")
        header = {
            "entityName": name, "recordIds": ids, "changeType": kind, "changeOrigin": origin, "sequenceNumber": 1,
            "transactionKey": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{world.seed}:{name}:{kind}:{at.isoformat()}:{ids[0]}")),
            "commitTimestamp": int(at.timestamp() * 1000), "commitNumber": 10_000_000_000_000 + number, "commitUser": USER,
            "changedFields": ["LastModifiedDate"] if kind == "UPDATE" else [],
        }  # fmt: skip
        payload: dict[str, Any] = {"ChangeEventHeader": header}
        if kind == "CREATE" and len(rows) == 1:
            payload |= {field.name: wire(field.get(world, rows[0][1])) for field in OBJECTS[name].fields.values() if field.name != "Id"}
        elif kind in ("CREATE", "UPDATE"):
            payload["LastModifiedDate"] = wire(at.replace(microsecond=0))
        schema = uuid.uuid5(uuid.NAMESPACE_OID, name).hex[:22]
        told = {"schema": schema, "payload": payload, "event": {"replayId": number}}
        return {"channel": f"/data/{name}ChangeEvent", "data": told}

    def letter(self, world: World, mail: Mail, receiver: Receiver, *, forged: bool) -> Letter | None:  # noqa: ARG002  (Sender's form)
        """The events as a JSON list, with the secret as a bearer token. Forged: another token."""
        secret = "guessed" if forged else receiver.secret
        headers = {"Content-Type": "application/json; charset=UTF-8", "Authorization": f"Bearer {secret}"}
        return Letter(json.dumps(mail.content, default=str).encode(), headers)
