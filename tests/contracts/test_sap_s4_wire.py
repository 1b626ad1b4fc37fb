"""S/4HANA's wire: its dates, its names, its refusals, its paging, and the release of an order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from sync.connections import ConfigError
from sync.errors import AuthError, ConflictError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.http_gate import _GATES
from sync.ports import Order
from sync.systems.sap_s4 import make_source, make_target, odata, wire
from tests.contracts.odata_server import LANDSCAPE, Host, v2
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_sap_s4 import Bills, Orders

ETAG = "W/\"datetimeoffset'2026-05-01T06%3A15%3A47.1257050Z'\""
ORDER = Order("release:sap-emea:4711:1", "release_order", "order:4711", {"order": "4711", "block_reason": "01"})


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()


class Desk:
    """A host with one order that can be released, which keeps what it executed."""

    def __init__(self) -> None:
        self.host = Host()
        self.order: dict[str, Any] = {
            "__metadata": {"etag": ETAG}, "SalesOrder": "4711", "DeliveryBlockReason": "01", "TotalCreditCheckStatus": "B",
            "OverallSDDocumentRejectionSts": "A", "LastChangeDateTime": v2(NOW),
        }  # fmt: skip
        self.token = "t1"
        self.tokens_refused = 0
        self.executed: list[Asked] = []
        self.reply: Reply | None = None
        self.host.hook = self.answer

    def answer(self, asked: Asked) -> Reply | None:
        if not asked.path.endswith("A_SalesOrder('4711')"):
            return Reply(json.dumps({"error": {}}).encode(), 404) if "A_SalesOrder(" in asked.path else None
        if asked.method == "GET":
            cookies = {"x-csrf-token": self.token, "set-cookie": "SAP_SESSIONID_S4H_100=abc; path=/; HttpOnly", "etag": ETAG}
            return reply_json({"d": self.order}, 200, **cookies)
        if self.tokens_refused or asked.headers.get("x-csrf-token") != self.token or "SAP_SESSIONID" not in asked.headers.get("cookie", ""):
            self.tokens_refused -= 1
            return Reply(b"CSRF token validation failed", 403, "text/plain", {"x-csrf-token": "Required"})
        if self.reply is not None and self.reply.status in (412, 428, 400):
            return self.reply
        self.executed.append(asked)
        self.order.update(DeliveryBlockReason="", TotalCreditCheckStatus="D")
        return self.reply or Reply(b"", 204, headers={"etag": ETAG.replace("47", "48")})

    def target(self) -> Any:
        return make_target(self.host.connection(), LANDSCAPE)


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    yield found
    found.host.server.close()


def test_a_release_reads_then_writes_once(desk: Desk) -> None:
    """The block goes with the fresh ETag, token and cookies; again it is already gone and nothing is written."""
    target = desk.target()
    assert target.read(ORDER).outcome == "absent"
    receipt = target.apply(ORDER)
    assert (receipt.outcome, receipt.version) == ("applied", ETAG.replace("47", "48"))
    [write] = desk.executed
    assert write.headers["if-match"] == ETAG
    assert json.loads(write.body) == {"d": {"DeliveryBlockReason": ""}}
    assert len(write.headers["requestid"]) == 32
    assert target.apply(ORDER).outcome == target.read(ORDER).outcome == "already"
    assert len(desk.executed) == 1


def test_an_expired_token_is_fetched_once_more(desk: Desk) -> None:
    """One refusal for the token is healed by a new one; a second one is told."""
    desk.tokens_refused = 1
    assert desk.target().apply(ORDER).outcome == "applied"
    desk.order["DeliveryBlockReason"] = "01"
    desk.tokens_refused = 2
    with pytest.raises(PermanentError, match="CSRF"):
        desk.target().apply(ORDER)
    assert len(desk.executed) == 1


@pytest.mark.parametrize("status", [412, 428])
def test_an_order_that_changed_meanwhile_is_a_conflict(desk: Desk, status: int) -> None:
    """A refused If-Match is a conflict and nothing was done."""
    desk.reply = reply_json({"error": {"code": "/IWBEP/CM_MGW_RT/021", "message": {"lang": "en", "value": "ETag does not match"}}}, status)
    with pytest.raises(ConflictError, match="ETag does not match"):
        desk.target().apply(ORDER)
    assert desk.target().read(ORDER).outcome == "absent"


def test_an_order_open_elsewhere_is_tried_again(desk: Desk) -> None:
    """Another user's lock is no refusal for good."""
    desk.reply = reply_json({"error": {"code": "V1/042", "message": {"value": "Sales order 4711 is being processed by user X"}}}, 400)
    with pytest.raises(TransientError, match="being processed"):
        desk.target().apply(ORDER)


def test_a_lost_answer_is_an_unknown_outcome(desk: Desk) -> None:
    """The write is executed and the answer lost: unknown, and reading shows that it was done."""
    desk.reply = Reply(raw=lambda write: None)
    with pytest.raises(UnknownOutcome):
        desk.target().apply(ORDER)
    assert desk.target().read(ORDER).outcome == "already"
    desk.order["DeliveryBlockReason"] = "01"
    desk.reply = Reply(b"<html>", 500, "text/html")
    with pytest.raises(UnknownOutcome):
        desk.target().apply(ORDER)


def test_an_order_that_waits_for_something_else_is_left_alone(desk: Desk) -> None:
    """Another block, or a rejected order, is not ours to release."""
    desk.order["DeliveryBlockReason"] = "Z9"
    assert desk.target().apply(ORDER).outcome == "differs"
    desk.order.update(DeliveryBlockReason="01", OverallSDDocumentRejectionSts="C")
    assert desk.target().apply(ORDER).outcome == "differs"
    assert desk.executed == []


def test_an_unknown_order_is_refused(desk: Desk) -> None:
    """The error names the order."""
    with pytest.raises(PermanentError, match="knows no order 999"):
        desk.target().read(Order("k", "release_order", "order:999", {"order": "999"}))


def test_quotes_in_values_end_no_literal() -> None:
    """A value can't reach out of its literal, in filters and in paths."""
    assert odata.text("O'Neil' or '1' eq '1") == "'O''Neil'' or ''1'' eq ''1'"
    assert wire.key(wire.ORDERS, "1')/x") == "API_SALES_ORDER_SRV/A_SalesOrder('1''%29%2Fx')"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/Date(1471392000000)/", datetime(2016, 8, 17, tzinfo=UTC)),
        ("/Date(1472796947125+0000)/", datetime(2016, 9, 2, 6, 15, 47, 125000, tzinfo=UTC)),
        ("/Date(-2208988800000)/", datetime(1900, 1, 1, tzinfo=UTC)),
        ("/Date(981173106000+0001)/", datetime(2001, 2, 3, 4, 4, 6, tzinfo=UTC)),
        ("/Date(253402214400000)/", datetime(9999, 12, 31, tzinfo=UTC)),
        ("/Date(99999999999999999)/", None),
        ("/Date(31022026)/x", None),
        ("2026-05-01", None),
        (None, None),
    ],
)
def test_dates_of_the_wire(text: str | None, expected: datetime | None) -> None:
    """Ticks before 1970, offsets in minutes, and nothing where there is no date; the same one by one and in a column."""
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(wire.to_moment("text")).item() == expected
    assert frame.select(wire.to_day("text")).item() == (expected.date() if expected else None)
    assert wire.read_moment(text) == expected


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            reply_json({"error": {"code": "A/1", "message": {"lang": "en", "value": "no such thing"}}}, 400),
            PermanentError,
            "A/1 no such thing",
        ),
        (reply_json({"error": {"code": "A/1", "message": "plain words"}}, 403), PermanentError, "plain words"),
        (
            Reply(b'<error xmlns="x"><code>B/2</code><message>from XML</message></error>', 404, "application/xml"),
            PermanentError,
            "B/2 from XML",
        ),
        (Reply(b"", 403, "text/plain", {"sap-message": '{"code":"C/3","message":"from the header"}'}), PermanentError, "from the header"),
        (Reply(b"", 500), TransientError, "500"),
        (Reply(b"<html>", 401, "text/html"), AuthError, "credentials"),
        (Reply(b"<html>log in</html>", 200, "text/html"), TransientError, "json was expected"),
        (Reply(b"", 503, headers={"retry-after": "60"}), QuotaError, "wait"),
        (Reply(b"slow down", 429, "text/plain", {"retry-after": "60"}), QuotaError, "wait"),
    ],
)
def test_refusals_in_every_form(reply: Reply, error: type[SourceError], words: str) -> None:
    """JSON, XML, a header, HTML or nothing: each is an error of the right type in the host's own words."""
    with Orders() as case:
        case.host.hook = lambda asked: reply if asked.path.endswith("A_SalesOrder") else None
        with pytest.raises(error, match=words) as caught:
            list(pages_of(case.source(), "sales_orders", None, now=NOW))
        assert "s3cret" not in str(caught.value)


def test_a_foreign_next_link_is_refused() -> None:
    """A next link leads to the connection's own host or nowhere."""
    with Orders() as case:
        page = {"d": {"results": [case.record("k1", 1, NOW)], "__next": "http://127.0.0.1:1/else"}}
        pages = iter([page, page])
        case.host.hook = lambda asked: reply_json(next(pages)) if asked.path.endswith("A_SalesOrder") else None
        with pytest.raises(PermanentError, match="refused a link"):
            list(pages_of(case.source(), "sales_orders", None, now=NOW))


def test_many_records_of_one_stamp_are_all_read() -> None:
    """A mass change gives more records than a page the same stamp: none is lost."""
    with Orders() as case:
        for number in range(9):
            case.put(f"k{number}", number, NOW - timedelta(hours=1))
        store = Store()
        pull(case.source(), "sales_orders", None, store, now=NOW)
        assert len(store.live("sales_order")) == 9


def test_a_record_that_changes_while_it_is_read_pushes_no_other_out() -> None:
    """A row that moves to the end between two pages makes no other slip through."""
    with Orders() as case:
        for number in range(8):
            case.put(f"k{number}", number, NOW - timedelta(days=1) + timedelta(minutes=number))
        store, pages = Store(), case.source()
        for page in pages_of(pages, "sales_orders", None, now=NOW):
            store.take(pages.map("sales_orders", page))
            case.put("k0", 77, NOW - timedelta(minutes=1))
        assert len(store.live("sales_order")) == 8
        assert store.live("sales_order")["k0"]["net_value"] == 77


def test_renamed_and_missing_fields_are_coped_with() -> None:
    """A release without a wanted field is read without it; one without a needed field is refused in words."""
    with Orders() as case:
        case.put("k1", 1, NOW)
        case.host.removed = {"OverallTotalDeliveryStatus"}
        store = Store()
        pull(case.source(), "sales_orders", None, store, now=NOW)
        asked = [one.query["$select"] for one in case.host.server.asked if "$select" in one.query]
        assert all("OverallTotalDeliveryStatus" not in select for select in asked)
        case.host.removed = {"TotalNetAmount"}
        with pytest.raises(PermanentError, match="has no property TotalNetAmount"):
            list(pages_of(case.source(), "sales_orders", None, now=NOW))


def test_a_field_that_no_record_has_any_more_is_drift() -> None:
    """A needed field gone from every record of a page is schema drift, an empty one a missing field."""
    with Orders() as case:
        gone = case.record("k1", 1, NOW)
        del gone["TotalNetAmount"]
        case.host.records["A_SalesOrder"].append(gone)
        store = Store()
        pull(case.source(), "sales_orders", None, store, now=NOW)
        assert [reject["cause"] for reject in store.rejects] == ["schema_drift"]
        case.put("k2", 1, NOW)
        case.host.records["A_SalesOrder"][-1]["SoldToParty"] = ""
        pull(case.source(), "sales_orders", None, store, now=NOW)
        assert {reject["cause"] for reject in store.rejects} == {"schema_drift", "missing_field"}


def test_signs_states_and_terms_of_bills() -> None:
    """Credits and cancellations are negative, a pro forma is none of ours, terms make the due day, a dunning block a dispute."""
    with Bills() as case:
        for key, category in (("m", "M"), ("o", "O"), ("n", "N"), ("u", "U")):
            case.put(key, 100, NOW)
            case.host.records["A_BillingDocument"][-1]["SDDocumentCategory"] = category
        case.host.records["A_BillingDocument"][0].update(DunningBlockingReason="A", BillingDocumentIsCancelled=True)
        case.host.records["A_BillingDocument"][1].update(CustomerPaymentTerms="0001")
        store = Store()
        pull(case.source(), "billing_documents", None, store, now=NOW)
        rows = store.live("invoice")
        found = {key: (int(row["gross"]), row["status"], row["is_credit"]) for key, row in rows.items()}
        assert found == {"m": (100, "cancelled", False), "o": (-100, "posted", True), "n": (-100, "cancelled", False)}
        assert (rows["m"]["due_date"], rows["m"]["is_disputed"], rows["m"]["dispute_reason"]) == (date(2026, 6, 19), True, "A")
        assert (rows["m"]["legal_entity"], rows["m"]["order_number"]) == ("DE01", "1000001")
        assert rows["o"]["due_date"] == date(2026, 5, 20)


def test_the_probe_says_what_a_release_lacks() -> None:
    """The connection test names each service and the properties that we do without."""
    with Orders() as case:
        case.host.removed = {"HouseBankAccount"}
        findings = {one.what: one for one in case.source().probe(now=NOW)}  # type: ignore[attr-defined]
        assert all(one.ok for one in findings.values())
        assert "no HouseBankAccount" in findings["API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"].words


def test_wrong_options_are_said_at_once() -> None:
    """The error names the connection, the option, and the legal entity that nobody declared."""
    host = Host()
    with pytest.raises(ConfigError, match="sap_s4: page_size"):
        make_source(host.connection(page_size=0), LANDSCAPE)
    with pytest.raises(ConfigError, match="exactly one group"):
        make_source(host.connection(terms_pattern="NT.*"), LANDSCAPE)
    with pytest.raises(ConfigError, match="no legal entity is called XX99"):
        make_source(host.connection().model_copy(update={"legal_entities": ("XX99",)}), LANDSCAPE)
    host.server.close()
