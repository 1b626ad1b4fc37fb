"""A journey as an OCEL 2.0 document, for tools that mine processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metrics.journeys import Hop, Journey

_CLOCKS = ("business_seconds", "integration_seconds", "human_seconds")
_TOUCHES = {
    "release": ("order",),
    "decision": ("order", "contract"),
    "request": ("order",),
    "posting": ("invoice",),
    "clearing": ("clearing", "invoice"),
}


def document(journey: Journey) -> bytes:
    """The journey as an OCEL 2.0 JSON document: objects by type, and every hop that happened as an event that touches them."""
    rows = [row for row in journey.objects.to_dicts() if row["kind"] not in ("release", "posting")]
    objects = [
        {
            "id": f"{row['kind']}:{row['source']}:{row['source_key']}",
            "type": row["kind"],
            "attributes": [
                {"name": name, "value": str(row[name]), "time": row["changed_at"].isoformat()}
                for name in ("number", "amount", "currency", "status", "legal_entity")
                if row[name] is not None
            ],
        }
        for row in rows
    ]
    by_number = {(row["kind"], row["number"]): objects[place]["id"] for place, row in enumerate(rows)}
    events = [_event(place, hop, by_number) for place, hop in enumerate(journey.hops) if not hop.is_gap]
    whole = {
        "objectTypes": [
            {
                "name": kind,
                "attributes": [{"name": name, "type": "string"} for name in ("number", "amount", "currency", "status", "legal_entity")],
            }
            for kind in sorted({row["kind"] for row in rows})
        ],
        "eventTypes": [
            {"name": kind, "attributes": [{"name": name, "type": "float"} for name in _CLOCKS]}
            for kind in sorted({one["type"] for one in events})
        ],
        "objects": objects,
        "events": events,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False).encode()


def _event(place: int, hop: Hop, by_number: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    touched = [by_number[kind, hop.number or ""] for kind in _TOUCHES.get(hop.kind, (hop.kind,)) if (kind, hop.number or "") in by_number]
    return {
        "id": f"e{place + 1}",
        "type": hop.title,
        "time": hop.placed_at.isoformat(),
        "attributes": [{"name": name, "value": getattr(hop, name)} for name in _CLOCKS if getattr(hop, name) is not None],
        "relationships": [{"objectId": one, "qualifier": hop.kind} for one in touched],
    }
