"""Known applications in the form that their public documentation describes, declared without code: paging and what is asked for."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import PermanentError, TransientError
from tests.contracts.rest_vendors import INVOICE, NOW, SECRETS, invoices, vendor
from tests.contracts.suite_server import Asked, Reply, reply_json

MINUTE = timedelta(minutes=1)
D = Decimal


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"VENDOR_{name.upper()}", f"its-{name}")


# --- the moment and the page in the words of a query ------------------------------------------------------------------------------


def test_quickbooks_query() -> None:
    """Paging and filter inside one query text, from 1 on; no list at all where nothing is found; Fault in the application's words."""
    options = """
    auth = { kind = "bearer" }
    [[streams]]
    stream = "invoices"
    path = "v3/company/123/query"
    records = "QueryResponse.Invoice"
    absent_is_empty = true
    paging = { style = "offset", first = 1, size = 2, short_ends = true }
    incremental = { column = "updated", initial = "2000-01-01T00:00:00Z" }
    [streams.params]
    minorversion = 75
    query = "select * from Invoice where MetaData.LastUpdatedTime >= '{since}' orderby MetaData.LastUpdatedTime startposition {offset} maxresults {size}"
    [streams.columns]
    Id = { required = true }
    DocNumber = {}
    customer = "CustomerRef.value"
    TxnDate = { type = "date" }
    TotalAmt = { type = "amount" }
    currency = "CurrencyRef.value"
    updated = { path = "MetaData.LastUpdatedTime", type = "time" }
    [[streams.entities]]
    entity = "invoice"
    key = "Id"
    [streams.entities.fields]
    number = "DocNumber"
    customer_key = "customer"
    issue_date = "TxnDate"
    gross = "TotalAmt"
    currency = "currency"
    status = { value = "posted" }
    """
    held: list[dict[str, Any]] = [
        {
            "Id": f"{n}", "DocNumber": f"10{n}", "CustomerRef": {"value": "7", "name": "Amy's"}, "TxnDate": "2026-05-01", "TotalAmt": n + 0.5,
            "CurrencyRef": {"value": "USD"}, "MetaData": {"LastUpdatedTime": f"2026-05-0{n}T10:00:00-07:00"},
        }
        for n in (1, 2, 3, 4)
    ]  # fmt: skip

    def answer(asked: Asked) -> Reply:
        if asked.headers["authorization"] != "Bearer its-token":
            return reply_json({"fault": {"error": [{"message": "AuthenticationFailed"}]}}, 401)
        wanted = re.fullmatch(
            r"select \* from Invoice where MetaData.LastUpdatedTime >= '(.+?)' orderby MetaData.LastUpdatedTime startposition (\d+) maxresults (\d+)",
            asked.query["query"],
        )
        assert wanted is not None
        since, start, size = datetime.fromisoformat(wanted[1]), int(wanted[2]), int(wanted[3])
        found = [one for one in held if datetime.fromisoformat(one["MetaData"]["LastUpdatedTime"]) >= since]
        page = found[start - 1 : start - 1 + size]
        inner = {"Invoice": page, "startPosition": start, "maxResults": len(page)} if page else {}
        return reply_json({"QueryResponse": inner, "time": "2026-05-20T12:00:00.000-07:00"})

    with vendor(options, answer) as qbo:
        qbo.pull()
        assert qbo.live("invoice", "gross") == {"1": D("1.5"), "2": D("2.5"), "3": D("3.5"), "4": D("4.5")}
        assert "startposition 3 " in str(qbo.asked("query")[1])
        assert qbo.asked("offset") == [None] * 3
        qbo.pull()
        assert "2026-05-04T16:50:00Z" in str(qbo.asked("query")[-1])
        fault = {"Fault": {"Error": [{"Message": "Error parsing query", "Detail": "QueryParserError: 'x'"}], "type": "ValidationFault"}}
        qbo.server.between = lambda _asked, _answer: reply_json(fault)
        with pytest.raises(PermanentError, match="QueryParserError"):
            qbo.pull()


def test_netsuite_suiteql() -> None:
    """A query in the body, paging in the address, a header that has to be there, booleans T and F, local days."""
    options = """
    auth = { kind = "oauth1", realm = "1234567" }
    [[streams]]
    stream = "customers"
    path = "services/rest/query/v1/suiteql"
    method = "POST"
    headers = { Prefer = "transient" }
    params = { limit = "{size}", offset = "{offset}" }
    records = "items"
    paging = { style = "offset", size = 2, more = "hasMore" }
    [streams.incremental]
    column = "changed"
    format = "%Y-%m-%d %H:%M:%S"
    zone = "America/Los_Angeles"
    initial = "2000-01-01 00:00:00"
    [streams.body]
    q = "SELECT id, entityid, companyname, isinactive, lastmodifieddate FROM customer WHERE lastmodifieddate >= TO_DATE('{since}', 'YYYY-MM-DD HH24:MI:SS')"
    [streams.columns]
    id = { required = true }
    entityid = {}
    companyname = {}
    isinactive = { type = "flag", true = ["T"], false = ["F"] }
    changed = { path = "lastmodifieddate", type = "time", formats = ["%m/%d/%Y %H:%M:%S"], zone = "America/Los_Angeles" }
    [[streams.entities]]
    entity = "customer"
    key = "id"
    [streams.entities.fields]
    number = "entityid"
    name = "companyname"
    order_block = "isinactive"
    """
    rows: list[dict[str, Any]] = [
        {"links": [], "id": f"{n}", "entityid": f"C{n}", "companyname": f"Co {n}", "isinactive": "T" if n == 2 else "F",
         "lastmodifieddate": f"05/0{n}/2026 09:30:00"}
        for n in (1, 2, 3)
    ]  # fmt: skip

    def answer(asked: Asked) -> Reply:
        assert asked.headers["prefer"] == "transient"
        assert re.match(r'OAuth realm="1234567", oauth_consumer_key=".*oauth_signature="', asked.headers["authorization"])
        assert list(asked.json()) == ["q"]
        start = int(asked.query["offset"])
        return reply_json(
            {"links": [{"rel": "self", "href": "x"}], "count": 2, "hasMore": start + 2 < 3, "items": rows[start : start + 2], "offset": start,
             "totalResults": 3}
        )  # fmt: skip

    secrets = dict.fromkeys(("consumer_key", "consumer_secret", "token", "token_secret"), "env:VENDOR_KEY")
    with vendor(options, answer, secrets=secrets) as netsuite:
        netsuite.pull()
        assert netsuite.live("customer", "name", "order_block") == {"1": ("Co 1", False), "2": ("Co 2", True), "3": ("Co 3", False)}
        netsuite.pull()
        assert "TO_DATE('2026-05-03 09:20:00'" in netsuite.server.asked[-1].json()["q"]


def test_xero() -> None:
    """The moment in a header, dates of older .NET, 304 for nothing new, payments within the invoices and what is no longer there."""
    options = """
    auth = { kind = "oauth2", token_url = "{url}/connect/token", scope = "accounting.transactions.read" }
    [[streams]]
    stream = "invoices"
    path = "api.xro/2.0/Invoices"
    headers = { Xero-tenant-id = "t-1", If-Modified-Since = "{since}" }
    records = "Invoices"
    empty_status = [304]
    paging = { style = "page", size_param = "pageSize", size = 2, pages = "pagination.pageCount" }
    incremental = { column = "UpdatedDateUTC", format = "%Y-%m-%dT%H:%M:%S" }
    [streams.columns]
    InvoiceID = { required = true }
    InvoiceNumber = {}
    contact = "Contact.ContactID"
    Date = { path = "DateString", type = "date" }
    DueDate = { type = "date" }
    Total = { type = "amount" }
    CurrencyCode = {}
    Status = {}
    UpdatedDateUTC = { type = "time" }
    [[streams.entities]]
    entity = "invoice"
    key = "InvoiceID"
    [streams.entities.fields]
    number = "InvoiceNumber"
    customer_key = "contact"
    issue_date = "Date"
    due_date = "DueDate"
    gross = "Total"
    currency = "CurrencyCode"
    status = { column = "Status", values = { DRAFT = "draft", AUTHORISED = "posted", PAID = "cleared", VOIDED = "cancelled" } }

    [[streams]]
    stream = "payments"
    path = "api.xro/2.0/Invoices"
    headers = { Xero-tenant-id = "t-1", If-Modified-Since = "{since}" }
    records = "Invoices[*].Payments"
    parents_whole = true
    empty_status = [304]
    paging = { style = "page", size_param = "pageSize", size = 2, pages = "pagination.pageCount" }
    incremental = { column = "updated", format = "%Y-%m-%dT%H:%M:%S" }
    [streams.columns]
    invoice = { path = "^.InvoiceID", required = true }
    payment = { path = "PaymentID", required = true }
    customer = "^.Contact.ContactID"
    Date = { type = "date" }
    Amount = { type = "amount" }
    currency = "^.CurrencyCode"
    updated = { path = "^.UpdatedDateUTC", type = "time" }
    [[streams.entities]]
    entity = "payment_application"
    key = ["invoice", "payment"]
    [streams.entities.fields]
    invoice_key = "invoice"
    payment_key = "payment"
    customer_key = "customer"
    amount = "Amount"
    currency = "currency"
    clearing_date = "Date"
    """
    held: dict[str, Any] = {
        f"i{n}": {
            "InvoiceID": f"i{n}", "InvoiceNumber": f"INV-{n}", "Contact": {"ContactID": "c1"}, "Date": "/Date(1777593600000+0000)/",
            "DateString": "2026-05-01T00:00:00", "DueDate": "/Date(1780185600000+0000)/", "Total": 100.10 + n, "CurrencyCode": "USD",
            "Status": "AUTHORISED", "UpdatedDateUTC": f"/Date({1777593600000 + n * 60_000}+0000)/",
            "Payments": [{"PaymentID": f"p{n}{k}", "Date": "/Date(1778198400000+0000)/", "Amount": 10.5} for k in range(n - 1)],
        }
        for n in (1, 2, 3)
    }  # fmt: skip

    def answer(asked: Asked) -> Reply:
        if asked.path == "/connect/token":
            return reply_json({"access_token": "t", "expires_in": 1800, "token_type": "Bearer", "scope": "accounting.transactions.read"})
        since = asked.headers.get("if-modified-since")
        stamp = datetime.fromisoformat(f"{since}+00:00").timestamp() * 1000 if since else 0
        found = [one for one in held.values() if int(one["UpdatedDateUTC"][6:19]) >= stamp]
        if not found:
            return Reply(b"", 304)
        start = (int(asked.query["page"]) - 1) * 2
        counts = {"page": int(asked.query["page"]), "pageSize": 2, "pageCount": -(-len(found) // 2), "itemCount": len(found)}
        return reply_json({"Id": "x", "Status": "OK", "pagination": counts, "Invoices": found[start : start + 2]})

    with vendor(options, answer) as xero:
        xero.pull()
        assert xero.live("invoice", "gross", "issue_date", "due_date")["i1"] == (D("101.10"), date(2026, 5, 1), date(2026, 5, 31))
        assert sorted(xero.live("payment_application", "amount")) == ["i2/p20", "i3/p30", "i3/p31"]
        held["i3"]["Payments"].pop()
        held["i2"]["Payments"] = []
        held["i3"]["UpdatedDateUTC"] = held["i2"]["UpdatedDateUTC"] = f"/Date({int(NOW.timestamp() * 1000)}+0000)/"
        xero.pull()
        assert list(xero.live("payment_application", "currency").items()) == [("i3/p30", "USD")]
        assert xero.server.asked[-1].headers["if-modified-since"] == "2026-04-30T23:53:00"
        held.clear()
        assert [len(done.pages) for done in xero.pull()] == [1, 1]
        assert len(xero.live("invoice", "gross")) == 3


def test_hubspot_search_beyond_its_most() -> None:
    """A search shows 10,000 records of one question: the rest is asked for from the newest moment on."""
    options = (
        """
    auth = { kind = "bearer" }
    [[streams]]
    stream = "invoices"
    path = "crm/v3/objects/invoices/search"
    method = "POST"
    records = "results"
    paging = { style = "cursor", cursor = "paging.next.after", param = "after", size_param = "limit", size = 2, most = 4 }
    [streams.incremental]
    param = "filterGroups[0].filters[0].value"
    column = "updated"
    format = "epoch_ms"
    initial = "0"
    ordered = true
    [streams.body]
    filterGroups = [{ filters = [{ propertyName = "updated", operator = "GTE", value = "" }] }]
    sorts = ["updated"]
    """
        + INVOICE
    )
    held = invoices(11)

    def answer(asked: Asked) -> Reply:
        body = asked.json()
        since = int(body["filterGroups"][0]["filters"][0]["value"]) / 1000
        found = [one for one in held if datetime.fromisoformat(one["updated"]).timestamp() >= since]
        start = int(body.get("after", 0))
        if start + 2 > 4:
            return reply_json({"status": "error", "message": "ask for no more than 4"}, 400)
        paging = {"next": {"after": str(start + 2)}} if start + 2 < len(found) else None
        return reply_json({"total": len(found), "results": found[start : start + 2], **({"paging": paging} if paging else {})})

    with vendor(options, answer) as hubspot:
        hubspot.pull()
        assert len(hubspot.live("invoice", "gross")) == 11
        for one in held:
            one["updated"] = held[0]["updated"]
        hubspot.cursors.clear()
        with pytest.raises(TransientError, match="more than 4 records"):
            hubspot.pull()


def test_pipedrive_null_for_nothing() -> None:
    """`data: null` is an empty list where it is declared so; the next place in the body; local stamps that are UTC."""
    options = """
    auth = { kind = "query", name = "api_token" }
    [[streams]]
    stream = "deals"
    path = "api/v1/deals"
    records = "data"
    absent_is_empty = true
    null_values = ["0000-00-00"]
    paging = { style = "cursor", cursor = "additional_data.pagination.next_start", param = "start", more = "additional_data.pagination.more_items_in_collection", size_param = "limit", size = 2 }
    deleted = { column = "status", is = "equals", value = "deleted" }
    [streams.columns]
    id = { required = true }
    title = {}
    org = "org_id.value"
    value = { type = "amount" }
    currency = {}
    status = {}
    close_time = { type = "date", formats = ["%Y-%m-%d %H:%M:%S"] }
    [[streams.entities]]
    entity = "opportunity"
    key = "id"
    [streams.entities.fields]
    name = "title"
    customer_key = "org"
    amount = "value"
    currency = "currency"
    stage = "status"
    """
    deals: list[dict[str, Any]] = [
        {"id": n, "title": f"Deal {n}", "org_id": {"value": 5, "name": "x"}, "value": 1000.5, "currency": "EUR", "status": "open",
         "close_time": "0000-00-00"}
        for n in (1, 2, 3)
    ]  # fmt: skip

    def answer(asked: Asked) -> Reply:
        assert asked.query["api_token"] == "its-key"
        start = int(asked.query.get("start", 0))
        more = start + 2 < len(deals)
        counts = {"start": start, "limit": 2, "more_items_in_collection": more, **({"next_start": start + 2} if more else {})}
        return reply_json({"success": True, "data": deals[start : start + 2] or None, "additional_data": {"pagination": counts}})

    with vendor(options, answer) as pipedrive:
        pipedrive.pull()
        assert pipedrive.live("opportunity", "amount") == {"1": D("1000.5"), "2": D("1000.5"), "3": D("1000.5")}
        deals[0]["status"] = "deleted"
        pipedrive.pull()
        assert sorted(pipedrive.live("opportunity", "amount")) == ["2", "3"]
        deals.clear()
        assert len(pipedrive.pull()[0].pages) == 1
        pipedrive.server.between = lambda _asked, _answer: reply_json({"success": False, "data": None, "error": "scope and url mismatch"})
        with pytest.raises(PermanentError, match="scope and url mismatch"):
            pipedrive.pull()


def test_zuora_query_more() -> None:
    """The pages after the first are asked for elsewhere, by the locator alone; a flag that says when it is done."""
    options = (
        """
    auth = { kind = "oauth2", token_url = "{url}/oauth/token", client_in = "body" }
    [[streams]]
    stream = "invoices"
    path = "v1/action/query"
    method = "POST"
    body = { queryString = "select Id from Invoice where UpdatedDate >= '{since}'" }
    records = "records"
    paging = { style = "cursor", cursor = "queryLocator", param = "queryLocator", last = "done", next_path = "v1/action/queryMore" }
    incremental = { column = "updated", initial = "2000-01-01T00:00:00Z" }
    """
        + INVOICE
    )
    held = invoices(5)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/oauth/token":
            assert asked.form() == {"grant_type": "client_credentials", "client_id": "its-client_id", "client_secret": "its-client_secret"}
            return reply_json({"access_token": "t", "expires_in": 3598})
        body, start = asked.json(), 0
        if asked.path == "/v1/action/queryMore":
            assert list(body) == ["queryLocator"]
            start = int(body["queryLocator"].removeprefix("loc-"))
        else:
            assert "UpdatedDate >= '2000-01-01T00:00:00Z'" in body["queryString"]
        done = start + 2 >= len(held)
        return reply_json(
            {"size": 5, "records": held[start : start + 2], "done": done, **({} if done else {"queryLocator": f"loc-{start + 2}"})}
        )

    with vendor(options, answer) as zuora:
        zuora.pull()
        assert len(zuora.live("invoice", "gross")) == 5


def test_paddle_always_names_a_next_address() -> None:
    """A flag ends the list although an address is there; minor units as text, the same amounts in currencies of no and three decimals."""
    options = """
    auth = { kind = "bearer" }
    [[streams]]
    stream = "transactions"
    path = "transactions"
    params = { order_by = "updated_at[ASC]" }
    records = "data"
    paging = { style = "next_url", url = "meta.pagination.next", more = "meta.pagination.has_more", size_param = "per_page", size = 2 }
    incremental = { param = "updated_at[GTE]", column = "updated_at", ordered = true }
    [streams.columns]
    id = { required = true }
    invoice_number = {}
    customer_id = {}
    billed_at = { type = "date" }
    total = { path = "details.totals.grand_total", type = "amount", minor_units = "currency_code" }
    currency_code = {}
    updated_at = { type = "time" }
    [[streams.entities]]
    entity = "invoice"
    key = "id"
    [streams.entities.fields]
    number = { first = ["invoice_number", "id"] }
    customer_key = "customer_id"
    issue_date = "billed_at"
    gross = "total"
    currency = "currency_code"
    status = { value = "posted" }
    """
    held: list[dict[str, Any]] = [
        {"id": f"txn_{n}", "invoice_number": None, "customer_id": "ctm_1", "billed_at": "2026-05-01T10:00:00.123456Z", "currency_code": code,
         "updated_at": f"2026-05-0{n}T10:00:00.654321Z", "details": {"totals": {"grand_total": "12345"}}}
        for n, code in enumerate(("USD", "JPY", "BHD"), 1)
    ]  # fmt: skip

    def answer(asked: Asked) -> Reply:
        after = asked.query.get("after", "txn_0")
        page = [one for one in held if one["id"] > after][:2]
        following = f"https://127.0.0.1/transactions?after={page[-1]['id'] if page else after}"
        url = following.replace("https://127.0.0.1", f"http://{asked.headers['host']}")
        more = bool(page) and page[-1] is not held[-1]
        return reply_json({"data": page, "meta": {"request_id": "x", "pagination": {"per_page": 2, "next": url, "has_more": more}}})

    with vendor(options, answer) as paddle:
        paddle.pull()
        assert paddle.live("invoice", "gross") == {"txn_1": D("123.45"), "txn_2": D("12345"), "txn_3": D("12.345")}
        assert len(paddle.server.asked) == 2


def test_mollie_newest_first() -> None:
    """Nothing can be asked by what changed: the list comes newest first, and is read until it is known."""
    options = """
    auth = { kind = "bearer" }
    [[streams]]
    stream = "payments"
    path = "v2/payments"
    records = "_embedded.payments"
    paging = { style = "next_url", url = "_links.next.href", size_param = "limit", size = 2 }
    incremental = { column = "createdAt", newest_first = true, look_back_minutes = 60 }
    [streams.columns]
    id = { required = true }
    amount = { path = "amount.value", type = "amount" }
    currency = "amount.currency"
    status = {}
    createdAt = { type = "time" }
    [[streams.entities]]
    entity = "payment"
    key = "id"
    [streams.entities.fields]
    amount = "amount"
    currency = "currency"
    status = { column = "status", values = { open = "pending", pending = "pending", paid = "settled", failed = "failed" }, default = "failed" }
    """
    held = [
        {"id": f"tr_{n}", "amount": {"value": "10.00", "currency": "EUR"}, "status": "open", "createdAt": f"{NOW - n * timedelta(hours=1):%Y-%m-%dT%H:%M:%S+00:00}"}
        for n in range(9)
    ]  # fmt: skip

    def answer(asked: Asked) -> Reply:
        start = next((place for place, one in enumerate(held) if one["id"] == asked.query.get("from")), 0)
        page, rest = held[start : start + 2], held[start + 2 :]
        link = (
            {"href": f"http://{asked.headers['host']}/v2/payments?from={rest[0]['id']}&limit=2", "type": "application/hal+json"}
            if rest
            else None
        )
        return Reply(
            json.dumps({"count": len(page), "_embedded": {"payments": page}, "_links": {"next": link}}).encode(),
            content_type="application/hal+json",
        )

    with vendor(options, answer) as mollie:
        mollie.pull()
        assert len(mollie.live("payment", "amount")) == 9
        calls = len(mollie.server.asked)
        held[0]["status"] = "paid"
        mollie.pull()
        assert mollie.live("payment", "status")["tr_0"] == "settled"
        assert len(mollie.server.asked) - calls == 2


def test_adyen_windows_and_its_own_decimals() -> None:
    """No more than 30 days are shown at once; both ends are sent; three currencies have decimals of the application's own."""
    options = """
    auth = { kind = "header", name = "X-API-Key" }
    minor_digits = { ISK = 2, CLP = 2, IDR = 0 }
    [[streams]]
    stream = "transfers"
    path = "btl/v4/transfers"
    params = { balancePlatform = "P" }
    records = "data"
    paging = { style = "next_url", url = "_links.next.href", size_param = "limit", size = 100 }
    incremental = { param = "createdSince", until_param = "createdUntil", column = "createdAt", initial = "2026-02-01", window_days = 30 }
    [streams.columns]
    id = { required = true }
    amount = { path = "amount.value", type = "amount", minor_units = "currency" }
    currency = "amount.currency"
    createdAt = { type = "time" }
    [[streams.entities]]
    entity = "payment"
    key = "id"
    [streams.entities.fields]
    amount = "amount"
    currency = "currency"
    status = { value = "settled" }
    """
    moments = {"a": "2026-02-10T10:00:00+01:00", "b": "2026-04-20T10:00:00+02:00", "c": "2026-05-19T10:00:00+02:00"}
    codes = {"a": "ISK", "b": "IDR", "c": "EUR"}

    def answer(asked: Asked) -> Reply:
        assert asked.headers["x-api-key"] == "its-key"
        since, until = (datetime.fromisoformat(asked.query[name]) for name in ("createdSince", "createdUntil"))
        if until - since > timedelta(days=30):
            return reply_json({"title": "Invalid", "detail": "createdUntil must be within 30 days of createdSince", "status": 422}, 422)
        found = [key for key, at in moments.items() if since <= datetime.fromisoformat(at) < until]
        return reply_json(
            {"data": [{"id": key, "amount": {"value": 12345, "currency": codes[key]}, "createdAt": moments[key]} for key in found]}
        )

    with vendor(options, answer) as adyen:
        adyen.pull()
        assert adyen.live("payment", "amount") == {"a": D("123.45"), "b": D(12345), "c": D("123.45")}
        assert adyen.asked("createdSince") == [f"2026-{day}T00:00:00Z" for day in ("02-01", "03-03", "04-02", "05-02")]
        assert adyen.asked("createdUntil")[-1] == "2026-05-20T12:00:00Z"
        adyen.pull(now=NOW + timedelta(hours=1))
        assert adyen.asked("createdSince")[-1] == "2026-05-19T07:50:00Z"


def test_an_interrupted_window_is_read_again() -> None:
    """Windows that were read to their end are not read again after a crash; the one on the way is."""
    options = """
    [[streams]]
    stream = "invoices"
    path = "invoices"
    records = "data"
    paging = { style = "page", size = 1, short_ends = true }
    incremental = { param = "from", until_param = "to", column = "updated", initial = "2026-03-01", window_days = 40, look_back_minutes = 0 }
    """ + INVOICE  # fmt: skip
    held = invoices(4, every=timedelta(days=15))

    def answer(asked: Asked) -> Reply:
        found = [one for one in held if asked.query["from"] <= one["updated"] < asked.query["to"]]
        return reply_json({"data": found[int(asked.query["page"]) - 1 :][:1]})

    with vendor(options, answer) as windowed, closing(windowed.source()) as source:
        pages = source.pull("invoices", None, now=NOW)
        cursors = [page.cursor for page in pages]
        assert cursors[0] == {"since": None}
        assert cursors[-1] == {"since": "2026-05-20T00:00:00+00:00"}, "what changes in the window that is open may still come"
        middle = next(cursor for cursor in cursors if cursor and cursor.get("reach"))
        assert middle["reach"] == "2026-04-10T00:00:00+00:00"
