"""The invented exceptions, journeys and runs behind the fake desk. Deterministic, no clock, no chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from app.desk import (
    Amount,
    ConnectionView,
    EventLine,
    ExceptionDetail,
    ExceptionFilter,
    ExceptionGroup,  # noqa: A004 - the field's own word
    ExceptionRow,
    Feed,
    HistoryLine,
    Hop,
    Intent,
    Journey,
    OrderChange,
    OrderKey,
    OrderRequest,
    RunLine,
    SalesOrder,
)
from app.fake_figures import CUSTOMERS, NOW, cases, decisions, money

_KINDS = (
    ("unknown_customer", "The customer is not known", "high", "sap-na", "NA", "invoice", "Create or link the customer, then replay the group.", 10_214, "3914200.00"),
    ("balance_mismatch", "The statement does not balance", "critical", "bank-emea", "EMEA", "bank_statement", "Ask the bank for a complete statement.", 1, "310000.00"),
    ("bad_currency", "The currency is not an ISO 4217 code, or the amount has too many decimals for it", "high", "legacy-latam", "LATAM", "invoice",
     "Correct the currency in the source, or edit it here, then replay.", 186, "81240.00"),
    ("effect_unknown", "A write may or may not have happened", "critical", "salesforce", "EMEA", None,
     "The target is read before any retry; replay does that now.", 11, "42000.00"),
)  # fmt: skip


def groups() -> list[ExceptionGroup]:
    """The queue by cause, most money first."""
    return [
        ExceptionGroup(
            cause=cause, title=title, fingerprint=f"v1:{cause}:{connection}", severity=severity, connection=connection, entity=entity,  # type: ignore[arg-type]
            count=count, money=money(amount), first_seen=NOW - timedelta(hours=3 + at), last_seen=NOW - timedelta(minutes=4 + at),
            due_at=NOW + timedelta(hours=5 - 3 * at), hint=hint, states={"new": count},
        )
        for at, (cause, title, severity, connection, _region, entity, hint, count, amount) in enumerate(_KINDS)
    ]  # fmt: skip


def rows() -> list[ExceptionRow]:
    """Some of the exceptions of every group, enough for several pages."""
    listed: list[ExceptionRow] = []
    for at, (cause, title, severity, connection, region, entity, _hint, count, _money) in enumerate(_KINDS):
        for index in range(min(count, 70)):
            number, name, *_rest = CUSTOMERS[(at + index) % len(CUSTOMERS)]
            listed.append(ExceptionRow(
                id=1000 * (at + 1) + index, cause=cause, title=title, fingerprint=f"v1:{cause}:{connection}", severity=severity,
                state="regressed" if index == 3 else "acknowledged" if index == 5 else "new", connection=connection, region=region, entity=entity,
                source_key=f"90{at}{index:05d}", customer=f"{name} ({number})", money=Amount(money(f"{91_000 - 311 * index}.40").value, "EUR"),
                message=f"Billing document 90{at}{index:05d} names customer 17109999, which no system knows", first_seen=NOW - timedelta(hours=3, minutes=index),
                last_seen=NOW - timedelta(minutes=4 + index), occurrences=1 + index % 3, attempts=index % 4, next_retry_at=None,
                due_at=NOW + timedelta(hours=5 - 3 * at, minutes=index), owner="Oskar Operator" if index == 5 else None, dismissed_until=None,
                regressed_from="replayed by Oskar Operator, 2026-11-20" if index == 3 else None,
            ))  # fmt: skip
    return listed


def matching(query: ExceptionFilter) -> list[ExceptionRow]:
    """The exceptions that the filter selects."""

    def fits(row: ExceptionRow) -> bool:
        states = query.state in ("any", row.state) or (query.state == "open" and row.state not in ("resolved", "dismissed"))
        pairs = ((query.cause, row.cause), (query.connection, row.connection), (query.region, row.region), (query.entity, row.entity),
                 (query.fingerprint, row.fingerprint), (query.owner, row.owner))  # fmt: skip
        words = f"{row.message} {row.customer} {row.source_key}".lower()
        return states and all(want is None or want == has for want, has in pairs) and (query.text or "").lower() in words

    return [row for row in rows() if fits(row)]


def detail(row: ExceptionRow) -> ExceptionDetail:
    """One exception with its evidence."""
    record = {"BillingDocument": row.source_key, "SoldToParty": "17109999", "TotalNetAmount": "91000.40", "TransactionCurrency": "USD",
              "BillingDocumentDate": "/Date(1795132800000)/", "CompanyCode": "1710"}  # fmt: skip
    return ExceptionDetail(
        row=row, hint=next(kind[6] for kind in _KINDS if kind[0] == row.cause),
        evidence={"field": "SoldToParty", "value": "17109999", "expected": "a customer of sap-na", "contract": "invoice 1"},
        record=json.dumps(record, indent=2), page_name="sap-na/billing_documents/page 4121", received_at=NOW - timedelta(hours=3),
        editable={"SoldToParty": "17109999", "TransactionCurrency": "USD"},
        history=[HistoryLine(NOW - timedelta(hours=3), "tidegate", "quarantined", None, "promotion of page 4121"),
                 HistoryLine(NOW - timedelta(hours=2), "Oskar Operator", "acknowledged", "asked master data", "")],
    )  # fmt: skip


def journey(number: str) -> Journey:
    """One deal from quote to cash, with a gap."""

    def at(days: float) -> datetime:
        return NOW - timedelta(days=days)

    hops = [
        Hop("Contract activated", "salesforce", "Contract 00000871", at(49), at(48.999), None, 74.0, None, False, "Signed and activated", (71 << 24) + 1),
        Hop("Order created", "sap-na", "Order 4500001802", at(47), at(46.998), 172_800.0, 130.0, None, False, "Waits for the credit check", (72 << 24) + 9),
        Hop("Order released", "tidegate", "Decision 22", at(46.5), at(46.5), 0.0, 21.0, 41_000.0, False, "Approved by Oskar Operator", None),
        Hop("Invoice posted", "sap-na", f"Invoice {number}", at(40), at(39.96), 561_600.0, 3_460.0, None, False, "Posted", (77 << 24) + 3),
        Hop("Payment received", "bank-emea", "Statement 2026-210", date(2026, 11, 19), at(3.2), 3_196_800.0, 29_000.0, None, False, "Value date 2026-11-19", (78 << 24) + 2),
        Hop("Collections status written back", "salesforce", "Account", None, None, None, None, None, True, "Expected within 1 h of the payment", None),
    ]  # fmt: skip
    ocel = {
        "objectTypes": [],
        "eventTypes": [],
        "objects": [],
        "events": [{"id": str(index), "type": hop.name} for index, hop in enumerate(hops)],
    }
    return Journey(
        number,
        f"Invoice {number}",
        "Cascadia Medical Supply (17100003)",
        "NA",
        money("91000.40", "USD"),
        hops,
        "Payment received",
        json.dumps(ocel).encode(),
        [_JOURNEYS],
    )


_JOURNEYS = OrderKey("sap-na", "4500001802")
"""The order of the one journey."""

_ASKED = {
    "block_order": ("Block again", "Block order {} again", "{} sets the delivery block of order {} again: nothing more of it is delivered until somebody releases it."),
    "approve_order": ("Release its approval request", "Release the approval request of order {}", "{} releases the approval request of order {}."),
    "reject_order": ("Reject its approval request", "Reject the approval request of order {}", "{} rejects the approval request of order {}."),
}  # fmt: skip


def orders() -> Mapping[OrderKey, tuple[str, str | None, Amount | None]]:
    """Every order that a decision, a case or a journey names: its region, customer and amount."""
    decided = {
        OrderKey(row["source"], row["order_key"]): (row["region"], row["customer"], Amount(row["amount"], row["currency"]))
        for row in decisions().iter_rows(named=True)
    }
    held = {case.order: (case.region, case.customer, case.amount) for case in cases() if case.order}
    return {**decided, **held, _JOURNEYS: ("NA", "Cascadia Medical Supply", money("91000.40", "USD"))}


def order(order: OrderKey, region: str, customer: str | None, amount: Amount | None, submitted: Sequence[Intent]) -> SalesOrder:
    """An order with all three changes, and the requests for it among what was submitted; blocked when its number ends with 7."""
    held = order.key.endswith("7")
    changes = [
        OrderChange(kind, label, effect.format(order.source, order.key))  # type: ignore[arg-type]
        for kind, (label, _, effect) in _ASKED.items()
        if not (held and kind == "block_order")
    ]
    requests = [
        OrderRequest(at, _ASKED[intent.payload["change"]][1].format(order.key), "Oskar Operator", NOW, intent.reason or "",
                     "waits for another person's approval", "warning", settled=False)
        for at, intent in enumerate(submitted, start=1)
        if intent.kind == "request_order_change" and (intent.payload["source"], intent.payload["order"]) == (order.source, order.key)
    ]  # fmt: skip
    state = "delivery block 01" if held else "no delivery block"
    return SalesOrder(order, order.key, customer, region, amount, state, changes, requests)


_SYSTEMS = {
    "sap_s4": "SAP S/4HANA",
    "salesforce": "Salesforce",
    "kyriba": "Kyriba",
    "bank_files": "Bank files",
    "flat_files": "Legacy drop",
}


def findings() -> list[dict[str, Any]]:
    """What a test of a connection finds: an address and credentials that are well, and a field that may not be read."""
    return [
        {"what": "configuration", "ok": True, "words": "sap_s4 in APAC, secrets found"},
        {"what": "credentials", "ok": True, "words": "TIDEGATE_READ may log in; the host's clock is 2 s ahead"},
        {
            "what": "sales orders",
            "ok": False,
            "words": "the field TotalCreditCheckStatus is not offered: ask the administrator to release it",
        },
    ]


def connections(feeds: Sequence[Feed]) -> list[ConnectionView]:
    """Every connection with its feeds, runs and files."""
    views = []
    for name in dict.fromkeys(feed.connection for feed in feeds):
        own = [feed for feed in feeds if feed.connection == name]
        runs = [RunLine(feed.stream, "schedule", NOW - timedelta(minutes=2 * at + 1), NOW - timedelta(minutes=2 * at), "failed" if feed.failures else "done",
                        3, 612 + at, feed.open_exceptions, feed.last_error) for at, feed in enumerate(own)]  # fmt: skip
        files: list[dict[str, Any]] = []
        if own[0].system in ("bank_files", "flat_files"):
            due = NOW - timedelta(hours=2, minutes=30)
            nothing = dict.fromkeys(("received_at", "bytes", "records", "totals_agree"))
            files = [{"file": f"{own[0].stream} of 2026-11-23", "state": "missing", **nothing, "due": due, "verdict": "Due at 08:00 Europe/Berlin; its grace is over"},
                     {"file": f"{own[0].stream} of 2026-11-24", "state": "expected", **nothing, "due": due + timedelta(days=1), "verdict": "due by 08:00 Europe/Berlin"},
                     {"file": f"{name}_20261122.xml", "state": "received", "due": None, "received_at": NOW - timedelta(hours=8), "bytes": 88_412, "records": 412,
                      "totals_agree": True, "verdict": "accepted"}]  # fmt: skip
        views.append(
            ConnectionView(
                name,
                _SYSTEMS[own[0].system],
                own[0].region,
                "Finance systems",
                "critical" if name.startswith("sap") else "important",
                own,
                runs,
                files,
                [EventLine("billing_documents", NOW - timedelta(minutes=3), 2)] if own[0].system == "sap_s4" else [],
            )
        )
    return views
