"""What other releases of S/4HANA call the same things."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.records import Field
from sandbox.s4.define import EntitySet, text


def of_release(sets: dict[str, EntitySet], later: Any) -> dict[str, EntitySet]:
    """The sets as the release of 2021 has them, when `later`: the delivery status under its later name, and a block status beside it."""
    orders = sets.get("A_SalesOrder")
    if not later or orders is None:
        return sets
    known = orders.entity.fields
    status = known["OverallTotalDeliveryStatus"]
    fields = {name: field for name, field in known.items() if name != status.name}
    fields["OverallDeliveryStatus"] = Field("OverallDeliveryStatus", status.type, status.get, status.length)
    fields["TotalBlockStatus"] = text("TotalBlockStatus", 1, lambda w, o: "C" if o.block else "")
    return {**sets, "A_SalesOrder": replace(orders, entity=replace(orders.entity, fields=fields))}
