"""The pure parts of the S/4HANA adapter: values of both protocols, pages, batches, metadata, deliveries, events, and how a listing ends."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from sync.connections import ConfigError, Connection
from sync.doors import Hint
from sync.errors import DataError, TransientError
from sync.ports import Mapped
from sync.signatures import SignatureRefused, sign
from sync.systems.registry import door
from sync.systems.sap_s4 import batch, metadata, odata, wire
from sync.systems.sap_s4.mapping import map_orders
from sync.systems.sap_s4.masters import map_credit
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.shipments import map_deliveries

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
SETTINGS = Settings(base_url="https://s4", region="EMEA", zone="Europe/Berlin", entity_by_company_code={"1010": "DE01"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-09-02T06:15:47.1257050Z", datetime(2016, 9, 2, 6, 15, 47, 125705, tzinfo=UTC)),
        ("2016-09-02T06:15:47Z", datetime(2016, 9, 2, 6, 15, 47, tzinfo=UTC)),
        ("2016-09-02T08:15:47+02:00", datetime(2016, 9, 2, 6, 15, 47, tzinfo=UTC)),
        ("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)),
        ("2016-09-02T06:15:47", None),
        ("2016-13-02T06:15:47Z", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_moments_of_v4(text: str | None, expected: datetime | None) -> None:
    """Seven digits, offsets, none without a zone; the same one by one and in a column."""
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(wire.to_moment("text", "v4")).item() == expected
    assert wire.read_moment(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT08H30M05S", 30_605_000),
        ("08:30:05", 30_605_000),
        ("08:30:05.123", 30_605_000),
        ("PT0S", 0),
        ("8:30", None),
        ("PT", None),
        ("x", None),
    ],
)
def test_times_of_the_day(text: str, expected: int | None) -> None:
    """Edm.Time and Edm.TimeOfDay."""
    assert pl.DataFrame({"text": [text]}).select(wire.to_duration_ms("text")).item() == expected


def test_literals_of_both_protocols() -> None:
    """Moments and days as each writes them; what is selected of what hangs on a record."""
    at = datetime(2026, 5, 20, 12, 0, 0, 123456, tzinfo=UTC)
    assert (odata.V2.moment(at), odata.V4.moment(at)) == ("datetimeoffset'2026-05-20T12:00:00.123Z'", "2026-05-20T12:00:00.123Z")
    assert (odata.V2.midnight(at.date()), odata.V4.midnight(at.date())) == ("datetime'2026-05-20T00:00:00'", "2026-05-20")
    assert odata.V2.chosen(["A"], [("to_Item", ("B", "C"))]) == {"$select": "A,to_Item/B,to_Item/C", "$expand": "to_Item"}
    assert odata.V4.chosen(["A"], [("_Item", ("B", "C"))]) == {"$select": "A", "$expand": "_Item($select=B,C)"}


@pytest.mark.parametrize(
    ("page", "protocol", "following", "count"),
    [
        ({"d": {"results": [{"A": 1}], "__count": "12", "__next": "x"}}, "v2", "x", 12),
        ({"d": {"results": [{"A": 1}]}}, "v2", None, None),
        ({"d": [{"A": 1}]}, "v2", None, None),
        ({"@odata.context": "c", "@odata.count": 3, "value": [{"A": 1}], "@odata.nextLink": "y"}, "v4", "y", 3),
        ({"@count": "3", "value": [{"A": 1}]}, "v4", None, 3),
    ],
)
def test_pages_of_every_form(page: dict[str, Any], protocol: str, following: str | None, count: int | None) -> None:
    """Each with its own words for the next link and the count, as number or as text."""
    found = odata.listing(json.dumps(page).encode())
    assert (found.protocol, found.following, found.count, len(found.split.records)) == (protocol, following, count, 1)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"d":{}}', b'{"value":3}', b"<html>", b'{"d":{"results":{}}}', b"\xff\xfe"])
def test_what_is_no_page_is_said(body: bytes) -> None:
    """Garbage is an error of ours, with its beginning as evidence."""
    with pytest.raises(DataError):
        odata.listing(body)


def test_v4_orders_are_read_exactly() -> None:
    """Decimals as numbers keep every digit, annotations are no fields, an escaped V2 date is a date."""
    v4 = (
        b'{"@odata.context":"$metadata#SalesOrder","value":[{"@odata.etag":"W/\\"x\\"","SalesOrder":"1","SoldToParty":"C1",'
        b'"LastChangeDateTime":"2026-05-01T06:15:47.1257050Z","TotalNetAmount":1234567890123.45,"TransactionCurrency":"EUR",'
        b'"DeliveryBlockReason":"","TotalCreditCheckStatus":"D","SalesOrderDate":"2026-04-30","CreationDate":"2026-04-30",'
        b'"OverallDeliveryStatus":"B"}]}'
    )
    mapped = map_orders(v4, SETTINGS)
    [row] = mapped.frames["sales_order"].to_dicts()
    assert (row["net_value"], row["etag"], row["order_date"]) == (Decimal("1234567890123.45"), 'W/"x"', date(2026, 4, 30))
    assert (row["delivery_status"], row["credit_status"]) == ("partial", "released")
    assert "@odata.etag" not in mapped.fields_seen
    v2 = b'{"d":{"results":[{"BusinessPartner":"C1","CreditSegment":"1000","CreditLimitAmount":"52.65","CreditSegmentCurrency":"EUR",'
    limits = map_credit(v2 + b'"CreditLimitLastChangeDate":"\\/Date(1471392000000)\\/"}]}}', SETTINGS, NOW)
    assert limits.frames["credit_limit"]["changed_at"].dt.date().to_list() == [date(2016, 8, 17)]


@pytest.mark.parametrize(
    "records", [[1], ["x", None], [{}], [{"A": []}], [{"@odata.etag": "x"}], [{"SalesOrder": "1", "@odata.etag": 7}, 3]]
)
def test_broken_v4_records_are_rejects(records: list[Any]) -> None:
    """Whatever stands where a record should: as many rejects as records, and no crash."""
    mapped = map_orders(json.dumps({"value": records}).encode(), SETTINGS)
    assert (mapped.rejects.height, mapped.frames["sales_order"].height) == (len(records), 0)


def test_a_batch_reads_back_what_it_was_given() -> None:
    """Parts with and without a length, with either line end; a cut one, or none at all, is an error."""
    asked = batch.write(["A?$top=1", "B"], "application/json", "b1")
    assert asked.count(b"--b1\r\n") == 2
    assert b"GET A?$top=1 HTTP/1.1\r\nAccept: application/json\r\n\r\n" in asked
    part = b"Content-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s\r\n{}\r\n"
    body = (
        b"--x\r\n"
        + part % b"Content-Length: 2\r\n"
        + b"--x\r\n"
        + part.replace(b"\r\n", b"\n").replace(b"200 OK", b"404 Not Found") % b""
        + b"--x--"
    )
    found = batch.read('multipart/mixed; boundary="x"', body)
    assert [(one.status, one.body) for one in found] == [(200, b"{}"), (404, b"{}")]
    for kind, broken in (
        ("multipart/mixed; boundary=x", body[:-10]),
        ("multipart/mixed", body),
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=x", b"--x\r\n" + part % b"Content-Length: 9\r\n" + b"--x--"),
        ("multipart/mixed; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\r\n--x--"),
    ):
        with pytest.raises(TransientError):
            batch.read(kind, broken)


def test_metadata_says_what_a_service_takes() -> None:
    """A service that takes no $batch says so; a document type is refused; garbage is an error."""
    said = metadata.described(
        b'<Schema Namespace="S"><EntityType Name="T"><Property Name="A"/></EntityType><EntityContainer><EntitySet Name="X" EntityType="S.T"/>'
        b'</EntityContainer><Annotations Target="S.C"><Annotation Term="Capabilities.BatchSupported" Bool="false"/></Annotations></Schema>'
    )
    assert said.sets["X"][0] == frozenset({"A"})
    assert not said.batch
    for broken in (b"", b"<x", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'):
        with pytest.raises(TransientError):
            metadata.described(broken)


def delivery(number: str = "80000001", *items: dict[str, Any], **header: Any) -> dict[str, Any]:
    """A delivery of two pieces of order 1, unless changed."""
    served = items or ({},)
    base = {"DeliveryDocumentItem": "000010", "ReferenceSDDocument": "1", "ReferenceSDDocumentItem": "000010",
            "ActualDeliveryQuantity": "2.000", "DeliveryQuantityUnit": "PC", "DeliveryRelatedBillingStatus": "A"}  # fmt: skip
    return {
        "DeliveryDocument": number, "SoldToParty": "C1", "ActualGoodsMovementDate": "/Date(1778803200000)/", "SalesOrganization": "1010",
        "OverallDelivReltdBillgStatus": "A", "LastChangeDate": None, "CreationDate": "/Date(1778716800000)/", "SDDocumentCategory": "J",
        "to_DeliveryDocumentItem": {"results": [{**base, **one} for one in served]}, **header,
    }  # fmt: skip


def ordered(order: str = "1", item: str = "10", net: str = "90.00", quantity: str = "6", unit: str = "PC") -> dict[str, Any]:
    """An item of an order."""
    return {"SalesOrder": order, "SalesOrderItem": item, "NetAmount": net, "TransactionCurrency": "EUR", "RequestedQuantity": quantity,
            "RequestedQuantityUnit": unit}  # fmt: skip


def shipped(deliveries: list[dict[str, Any]], orders: list[dict[str, Any]]) -> Mapped:
    return map_deliveries(json.dumps({"deliveries": deliveries, "order_items": orders}).encode(), SETTINGS, NOW)


def values(mapped: Mapped) -> list[tuple[str, str | None, Decimal | None, bool]]:
    return mapped.frames["delivery"].select("source_key", "order_key", "value", "is_invoiced").rows()


def test_a_delivery_is_worth_its_share_of_its_order() -> None:
    """By quantity; all of it exactly; nothing can be said of another unit, an unknown order item, or a quantity of nothing."""
    assert values(shipped([delivery()], [ordered()])) == [("80000001", "1", Decimal(30), False)]
    assert values(shipped([delivery()], [ordered(net="100", quantity="2")])) == [("80000001", "1", Decimal(100), False)]
    assert values(shipped([delivery()], [ordered(net="100", quantity="3")])) == [("80000001", "1", Decimal("66.67"), False)]
    for unknown in ([], [ordered(unit="KG")], [ordered(quantity="0")], [ordered(item="20")], [ordered(net="x")]):
        assert values(shipped([delivery()], unknown)) == [("80000001", "1", None, False)]
    assert shipped([delivery()], [ordered()]).frames["delivery"].select("goods_issued_on", "currency", "legal_entity").row(0) == (
        date(2026, 5, 15), "EUR", "DE01",
    )  # fmt: skip


def test_what_is_billed_of_a_delivery_is_left_out() -> None:
    """A billed item is no open delivery any more; a delivery billed in whole is marked so, and keeps what it was worth."""
    two: tuple[dict[str, Any], ...] = (
        {},
        {"DeliveryDocumentItem": "000020", "ReferenceSDDocumentItem": "000020", "DeliveryRelatedBillingStatus": "C"},
    )
    orders = [ordered(), ordered(item="20", net="60", quantity="2")]
    assert values(shipped([delivery("80000001", *two)], orders)) == [("80000001", "1", Decimal(30), False)]
    assert values(shipped([delivery("80000001", {"DeliveryRelatedBillingStatus": "C"})], orders)) == [("80000001", "1", Decimal(30), True)]
    no_status = {"DeliveryRelatedBillingStatus": None}
    done = delivery("80000001", no_status, OverallDelivReltdBillgStatus="C")
    assert values(shipped([done], orders)) == [("80000001", "1", Decimal(30), True)]


def test_a_delivery_of_several_orders_is_one_row_for_each() -> None:
    """The first keeps the delivery's number, so that no key ever changes; one that serves no order, and a return, stand for themselves."""
    both = delivery("80000001", {"ReferenceSDDocument": "2"}, {})
    assert values(shipped([both], [ordered(), ordered("2", net="60")])) == [
        ("80000001", "1", Decimal(30), False),
        ("80000001/2", "2", Decimal(20), False),
    ]
    alone = delivery("80000002", {"ReferenceSDDocument": ""})
    assert values(shipped([alone, delivery("80000003", SDDocumentCategory="T")], [])) == [("80000002", None, None, False)]


def test_a_broken_delivery_costs_only_itself() -> None:
    """Without a number, with no date that can be read, or no record at all: each is a reject of its own."""
    broken = [delivery(""), delivery("80000002", CreationDate="/Date(x)/"), "text", delivery("80000004", to_DeliveryDocumentItem=7)]
    mapped = shipped([*broken, delivery()], [ordered()])  # type: ignore[list-item]
    assert [row[0] for row in values(mapped)] == ["80000004", "80000001"]
    assert sorted(mapped.rejects["cause"]) == ["bad_date", "malformed_record", "missing_field"]


def event(kind: str = "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1", data: Any = None, **more: Any) -> dict[str, Any]:
    """An event as S/4HANA publishes it."""
    found = {"specversion": "1.0", "id": "e1", "source": "/default/sap.s4/S4X", "type": kind, "datacontenttype": "application/json"}
    return {**found, "data": {"SalesOrder": "4711"} if data is None else data, **more}


@pytest.fixture
def gate() -> Any:
    """The door of a connection."""
    return door(Connection(name="sap-emea", system="sap_s4", region="EMEA", options={"webhook_origins": ["*.ondemand.com"]}))


def test_events_are_hints_in_every_form(gate: Any) -> None:
    """Structured, one or many, or in headers; each is a notice of its own, with the record it names."""
    one = gate.notices({"content-type": "application/cloudevents+json"}, json.dumps(event()).encode())
    assert [(notice.event_id, notice.hints) for notice in one] == [("/default/sap.s4/S4X|e1", (Hint("sales_orders", ("4711",)),))]
    many = [event(), event("sap.s4.beh.billingdocument.v1.BillingDocument.Created.v1", {"BillingDocument": "0090000001"}, id="e2"),
            event("sap.s4.beh.outbounddelivery.v1.OutboundDelivery.Created.v1", {"OutboundDelivery": "80000001"}, id="e3"),
            event("sap.s4.beh.unknownthing.v1.Thing.Created.v1", {"Thing": "1"}, id="e4")]  # fmt: skip
    found = gate.notices({"content-type": "application/cloudevents-batch+json"}, json.dumps(many).encode())
    assert [notice.hints for notice in found] == [
        (Hint("sales_orders", ("4711",)),), (Hint("billing_documents", ("0090000001", "90000001")),), (Hint("deliveries", ("80000001",)),), (),
    ]  # fmt: skip
    binary = {
        "ce-id": "e5",
        "ce-source": "%2Fdefault",
        "ce-specversion": "1.0",
        "ce-type": event()["type"],
        "content-type": "application/json",
    }
    [notice] = gate.notices(binary, b'{"SalesOrder":"4712"}')
    assert (notice.event_id, notice.hints) == ("/default|e5", (Hint("sales_orders", ("4712",)),))


def test_an_event_without_a_key_still_says_what_to_look_at(gate: Any) -> None:
    """No field of the data is promised: then the subject, else whatever has changed."""
    for data, more, hint in (
        ({}, {}, Hint("sales_orders")),
        ({"SalesOrder": None}, {"subject": "4711"}, Hint("sales_orders", ("4711",))),
        ({"SalesOrder": "x" * 99}, {}, Hint("sales_orders")),
        ([], {}, Hint("sales_orders")),
    ):
        [notice] = gate.notices({}, json.dumps(event(data=data, **more)).encode())
        assert notice.hints == (hint,)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"id":"1"}', b'[{"id":"1"}]', b'"x"', b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_event_is_refused(gate: Any, body: bytes) -> None:
    """A body of something else is an error, not a hint; signed our way it is a hint to read everything."""
    with pytest.raises(ValueError, match=r"\w"):
        gate.notices({"content-type": "application/json"}, body)
    assert [notice.hints for notice in gate.notices({"x-tidegate-signature": "t=1,v1=x"}, body)] == [(Hint(),)]


def test_only_who_has_the_secret_may_knock(gate: Any) -> None:
    """A bearer's token, a password, the bare secret, or our own signature; anything else, or no secret at all, is refused."""
    body = json.dumps(event()).encode()
    basic = "Basic " + base64.b64encode(b"mesh:s3cret").decode()
    for given in ("Bearer s3cret", "bearer  s3cret", basic, "s3cret"):
        gate.check({"authorization": given}, body, ["old", "s3cret"], now=NOW)
    gate.check({"x-tidegate-signature": sign(body, "s3cret", at=NOW)}, body, ["s3cret"], now=NOW)
    for headers in ({}, {"authorization": ""}, {"authorization": "Bearer S3cret"}, {"authorization": "Basic !!"}, {"authorization": "Bearer \udcff"},
                    {"authorization": "Basic " + base64.b64encode(b"s3cret").decode()}):  # fmt: skip
        with pytest.raises(SignatureRefused):
            gate.check(headers, body, ["s3cret"], now=NOW)
    with pytest.raises(SignatureRefused, match="no webhook secret"):
        gate.check({"authorization": "Bearer s3cret"}, body, [], now=NOW)


def test_a_sender_may_ask_beforehand(gate: Any) -> None:
    """Who is on the list is let in by name; others, and who does not say who it is, are not."""
    asked = {
        "webhook-request-origin": "eventmesh.eu10.ondemand.com",
        "webhook-request-rate": "120",
        "webhook-request-callback": "https://evil",
    }
    assert gate.greet(asked) == {"WebHook-Allowed-Origin": "eventmesh.eu10.ondemand.com", "Allow": "POST", "WebHook-Allowed-Rate": "120"}
    for headers in ({}, {"webhook-request-origin": "evil.example"}, {"webhook-request-origin": "a\r\nb.ondemand.com"}):
        assert gate.greet(headers) is None
    with pytest.raises(ConfigError, match="webhook_origins"):
        door(Connection(name="x", system="sap_s4", region="EMEA", options={"webhook_origins": "*"}))
