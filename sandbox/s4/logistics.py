"""Outbound deliveries: one for each order whose goods have left. Names follow SAP's generated clients; its metadata is not at hand."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.records import Entity, Field, fields
from sandbox.s4.define import EntitySet, constant, day, of_entity, stamped, text, touch
from sandbox.world.engine import World
from sandbox.world.model import Order

SERVICE = "API_OUTBOUND_DELIVERY_SRV"


def number(order: Order) -> str:
    """The delivery of an order."""
    return f"8{order.number.zfill(7)}"


def deliveries(host: str) -> tuple[EntitySet, ...]:
    """Headers and items of a host's deliveries. The items name their order; amounts there are none."""

    def rows(world: World) -> Iterable[Order]:
        return (o for o in world.orders.values() if o.host == host and o.delivered_at is not None)

    def billed(_: World, order: Order) -> str:
        return "C" if order.billing_status == "C" else "A"

    item = Entity(
        "A_OutbDeliveryItem", rows, number, stamped(),
        fields(
            text("DeliveryDocument", 10, lambda w, o: number(o)), text("DeliveryDocumentItem", 6, constant("000010")),
            text("ReferenceSDDocument", 10, of="number"), text("ReferenceSDDocumentItem", 6, constant("000010")),
            text("ReferenceSDDocumentCategory", 4, constant("C")), Field("ActualDeliveryQuantity", "Edm.Decimal", constant(1)),
            text("DeliveryQuantityUnit", 3, constant("PC")), text("DeliveryRelatedBillingStatus", 1, billed),
            text("GoodsMovementStatus", 1, constant("C")), text("Material", 40, lambda w, o: o.text.upper().replace(" ", "-")),
        ),
    )  # fmt: skip
    header = Entity(
        "A_OutbDeliveryHeader", rows, number, stamped(),
        fields(
            text("DeliveryDocument", 10, lambda w, o: number(o)), text("DeliveryDocumentType", 4, constant("LF")),
            text("SDDocumentCategory", 4, constant("J")), text("SoldToParty", 10, of="customer"), text("ShipToParty", 10, of="customer"),
            text("SalesOrganization", 4, of_entity("sales_organization")), text("TransactionCurrency", 5, of="currency"),
            day("CreationDate", lambda w, o: o.delivered_at.date()), day("LastChangeDate", lambda w, o: o.changed_at.date()),
            Field("CreationTime", "Edm.Time", lambda w, o: o.delivered_at.time()),
            day("ActualGoodsMovementDate", lambda w, o: o.delivered_at.date()),
            text("OverallGoodsMovementStatus", 1, constant("C")), text("OverallDelivReltdBillgStatus", 1, billed),
            text("OverallSDProcessStatus", 1, billed),
        ),
        breakable={"missing_key": "DeliveryDocument", "unknown_customer": "SoldToParty", "bad_date": "CreationDate"},
        customer="SoldToParty", drift="OverallDelivReltdBillgStatus", restamp=touch("changed_at"),
    )  # fmt: skip
    items = EntitySet(SERVICE, item, "A_OutbDeliveryItemType", ("DeliveryDocument", "DeliveryDocumentItem"), {})
    return (
        EntitySet(
            SERVICE, header, "A_OutbDeliveryHeaderType", ("DeliveryDocument",), {"to_DeliveryDocumentItem": items}, lambda w, o: (o,)
        ),
        items,
    )
