"""Every change of a sales order: release, block again, approval, in both protocols; what is sent, and what happens when it goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sync.errors import ConflictError, PermanentError, UnknownOutcome
from sync.http_gate import _GATES
from sync.ports import Order
from sync.systems.sap_s4 import make_target
from tests.contracts.odata_server import LANDSCAPE, Host, v2
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, reply_json

ETAG = "W/\"datetimeoffset'2026-05-01T06%3A15%3A47.1257050Z'\""
V4 = {"API_SALES_ORDER_SRV": {"protocol": "v4"}}
V2_METADATA = (
    '<Schema xmlns="x" Namespace="S"><EntityType Name="A_SalesOrderType">{properties}</EntityType><EntityContainer>'
    '<EntitySet Name="A_SalesOrder" EntityType="S.A_SalesOrderType"/><FunctionImport Name="releaseApprovalRequest" m:HttpMethod="POST"'
    ' xmlns:m="m"/><FunctionImport Name="rejectApprovalRequest"/></EntityContainer></Schema>'
)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()


class Desk:
    """A host with one order, in V2 and in V4, that keeps what it executed. `token`: what it accepts; it gives none with a record when
    `root_only`, only at the service's root.
    """

    def __init__(self) -> None:
        self.host = Host()
        self.order: dict[str, Any] = {
            "SalesOrder": "4711", "DeliveryBlockReason": "01", "TotalCreditCheckStatus": "B", "OverallSDDocumentRejectionSts": "A",
            "SalesDocApprovalStatus": "A", "LastChangeDateTime": v2(NOW),
        }  # fmt: skip
        self.token = "t1"
        self.root_only = False
        self.executed: list[Asked] = []
        self.reply: Reply | None = None
        self.host.hook = self.answer

    def answer(self, asked: Asked) -> Reply | None:
        is_v4 = "/odata4/" in asked.path
        if asked.path.endswith("$metadata"):
            fields = "".join(f'<Property Name="{name}"/>' for name in (*self.order, "SoldToParty", "TotalNetAmount", "TransactionCurrency"))
            document = V2_METADATA.format(properties=fields)
            if is_v4:
                document = document.replace("A_SalesOrder", "SalesOrder").replace(
                    "<EntityContainer>", '<Action Name="ReleaseApprovalRequest"/><EntityContainer>'
                )
            return Reply(document.encode(), 200, "application/xml")
        if asked.method == "GET":
            held = {"@odata.etag": ETAG, **self.order} if is_v4 else {"d": {"__metadata": {"etag": ETAG}, **self.order}}
            shown = asked.headers.get("x-csrf-token") == "Fetch" and (not self.root_only or asked.path.endswith("/"))
            told = {"x-csrf-token": self.token, "set-cookie": "sap-XSRF_X=1; path=/; secure"} if shown else {}
            return reply_json(held, 200, **told)
        if asked.headers.get("x-csrf-token") != self.token or "sap-XSRF_X=1" not in asked.headers.get("cookie", ""):
            return Reply(b"CSRF token validation failed", 403, "text/plain", {"x-csrf-token": "Required"})
        if self.reply is not None and self.reply.status >= 400:
            return self.reply
        self.executed.append(asked)
        if asked.method == "PATCH":
            self.order |= json.loads(asked.body).get("d") or json.loads(asked.body)
        else:
            self.order["SalesDocApprovalStatus"] = "C" if "reject" in asked.path.lower() else "B"
        return self.reply or Reply(b"", 204, headers={"etag": ETAG.replace("47", "48")})

    def target(self, **options: Any) -> Any:
        return make_target(self.host.connection(**options), LANDSCAPE)


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    yield found
    found.host.server.close()


def order(kind: str, **payload: Any) -> Order:
    return Order(f"{kind}:sap-emea:4711:1", kind, "order:4711", {"order": "4711", **payload})


@pytest.mark.parametrize("services", [{}, V4])
def test_a_released_order_is_blocked_again_only_when_asked(desk: Desk, services: dict[str, Any]) -> None:
    """Release, then the compensation, each once, with the fresh ETag; what stands as wanted already is left alone."""
    target = desk.target(services=services)
    assert target.apply(order("release_order")).outcome == "applied"
    assert target.read(order("block_order")).outcome == "absent"
    assert target.apply(order("block_order", block_reason="01")).outcome == "applied"
    assert target.apply(order("block_order")).outcome == target.read(order("block_order")).outcome == "already"
    released, blocked = desk.executed
    wrapped = (lambda body: body) if services else (lambda body: {"d": body})
    assert [json.loads(one.body) for one in (released, blocked)] == [wrapped({"DeliveryBlockReason": b}) for b in ("", "01")]
    assert released.headers["if-match"] == ETAG
    assert released.headers["requestid"] != blocked.headers["requestid"]
    assert released.headers["repeatabilitycreation"].endswith("GMT")
    expected = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001/SalesOrder('4711')"
    assert released.path == (expected if services else "/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder('4711')")


def test_an_order_blocked_for_something_else_is_not_blocked_over(desk: Desk) -> None:
    """Another desk's block, or a rejected order, is none of ours."""
    desk.order["DeliveryBlockReason"] = "Z9"
    assert desk.target().apply(order("block_order")).outcome == "differs"
    desk.order.update(DeliveryBlockReason="", OverallSDDocumentRejectionSts="C")
    assert desk.target().apply(order("block_order")).outcome == "differs"
    assert desk.executed == []


@pytest.mark.parametrize(
    ("kind", "name", "status"), [("approve_order", "releaseApprovalRequest", "B"), ("reject_order", "rejectApprovalRequest", "C")]
)
def test_an_approval_request_is_answered_by_its_function(desk: Desk, kind: str, name: str, status: str) -> None:
    """A POST of the function with the order in the query, its token and ETag; answered already: nothing is sent."""
    target = desk.target()
    receipt = target.apply(order(kind))
    assert receipt.outcome == "applied"
    [write] = desk.executed
    assert (write.method, write.path, dict(write.query)) == (
        "POST",
        f"/sap/opu/odata/sap/API_SALES_ORDER_SRV/{name}",
        {"SalesOrder": "'4711'"},
    )
    assert write.headers["if-match"] == ETAG
    assert desk.order["SalesDocApprovalStatus"] == status
    assert target.apply(order(kind)).outcome == target.read(order(kind)).outcome == "already"
    other = "reject_order" if kind == "approve_order" else "approve_order"
    assert target.read(order(other)).outcome == "differs"
    desk.order["SalesDocApprovalStatus"] = ""
    assert target.apply(order(kind)).outcome == "differs"
    assert len(desk.executed) == 1


def test_an_approval_in_v4_is_an_action_of_the_order(desk: Desk) -> None:
    """The action is found under the name that the service's metadata has; one that is not there is refused in words."""
    assert desk.target(services=V4).apply(order("approve_order")).outcome == "applied"
    assert desk.executed[0].path.endswith("/SalesOrder('4711')/S.ReleaseApprovalRequest")
    desk.order["SalesDocApprovalStatus"] = "A"
    metadata = desk.answer
    desk.host.hook = lambda asked: (
        Reply(metadata(asked).body.replace(b"rejectApprovalRequest", b"other"), 200, "application/xml")  # type: ignore[union-attr]
        if asked.path.endswith("$metadata")
        else metadata(asked)
    )
    with pytest.raises(PermanentError, match="has no function rejectApprovalRequest"):
        desk.target().apply(order("reject_order"))


def test_a_host_that_gives_its_token_at_the_root_only(desk: Desk) -> None:
    """Where reading a record brings no token, the service's root does."""
    desk.root_only = True
    assert desk.target().apply(order("release_order")).outcome == "applied"
    assert len(desk.executed) == 1


def test_a_token_that_expires_between_reading_and_writing_is_fetched_once(desk: Desk) -> None:
    """The order is read anew with it, and changed once."""
    target = desk.target()
    first = desk.answer

    def expiring(asked: Asked) -> Reply | None:
        if asked.method == "PATCH" and desk.token == "t1":
            desk.token = "t2"
        return first(asked)

    desk.host.hook = expiring
    assert target.apply(order("release_order")).outcome == "applied"
    assert len(desk.executed) == 1
    assert desk.executed[0].headers["x-csrf-token"] == "t2"


@pytest.mark.parametrize("kind", ["release_order", "block_order", "approve_order"])
def test_a_lost_answer_is_read_before_anything_else(desk: Desk, kind: str) -> None:
    """Executed and not answered: unknown; reading shows that it is done, and it is not done again."""
    if kind == "block_order":
        desk.order["DeliveryBlockReason"] = ""
    desk.reply = Reply(raw=lambda _write: None)
    target = desk.target()
    with pytest.raises(UnknownOutcome):
        target.apply(order(kind))
    assert target.read(order(kind)).outcome == "already"
    assert target.apply(order(kind)).outcome == "already"
    assert len(desk.executed) == 1


@pytest.mark.parametrize("kind", ["release_order", "approve_order"])
def test_a_page_for_people_is_no_receipt(desk: Desk, kind: str) -> None:
    """A log-on page with status 200 in the place of an answer: nobody knows, and reading tells."""
    target, first = desk.target(), desk.answer
    page = Reply(b"<html><title>Logon</title></html>", 200, "text/html; charset=utf-8")
    desk.host.hook = lambda asked: page if asked.method in ("PATCH", "POST") else first(asked)
    with pytest.raises(UnknownOutcome, match="page for people"):
        target.apply(order(kind))
    assert target.read(order(kind)).outcome == "absent"


@pytest.mark.parametrize("status", [412, 428])
def test_an_approval_that_meets_a_changed_order_is_a_conflict(desk: Desk, status: int) -> None:
    """The world moved on: nothing was done, and it is decided again; V4's plain message is quoted."""
    desk.reply = reply_json({"error": {"code": "X", "message": "The order was changed"}}, status)
    for services in ({}, V4):
        with pytest.raises(ConflictError, match="The order was changed"):
            desk.target(services=services).apply(order("approve_order"))
    assert desk.executed == []


def test_what_it_does_not_take_is_refused(desk: Desk) -> None:
    """An effect of another kind never reaches the host."""
    with pytest.raises(PermanentError, match="takes no publish_forecast"):
        desk.target().apply(order("publish_forecast"))
    assert desk.host.server.asked == []
