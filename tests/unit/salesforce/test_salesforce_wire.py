"""Salesforce's words: limits in every form, errors by type, queries, and records in canonical words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.connections import ConfigError, Connection, Landscape, LegalEntity
from sync.errors import AuthError, DataError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Mapped, Page
from sync.systems.salesforce.answers import RowLocked, SessionExpired, explain, limit_of
from sync.systems.salesforce.mapping import map_page
from sync.systems.salesforce.settings import settings_of
from sync.systems.salesforce.wire import newest_stamp, readings, soql

LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),))


def connection(**options: Any) -> Connection:
    """A connection to an org."""
    return Connection(
        name="salesforce", system="salesforce", region="EMEA", options={"base_url": "https://example.my.salesforce.com", **options}
    )


def answer(status: int, body: bytes | list[Any] | dict[str, Any]) -> Answer:
    """An answer of the org."""
    return Answer(status, httpx.Headers(), body if isinstance(body, bytes) else json.dumps(body).encode(), "GET /x")


def mapped(stream: str, *records: dict[str, Any], asked: str = "", **options: Any) -> Mapped:
    """The page of these records, mapped."""
    head = {"SystemModstamp": "2026-05-01T07:25:37.000+0000", "IsDeleted": False}
    body = json.dumps({"totalSize": len(records), "done": True, "records": [{**head, **record} for record in records]}).encode()
    return map_page(
        stream, Page(body, "application/json", None, headers={"x-tidegate-fields": asked}), settings_of(connection(**options), LANDSCAPE)
    )


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("api-usage=10018/100000", (10018, 100000)),
        ("api-usage=18/5000; per-app-api-usage=17/250(appName=x)", (18, 5000)),
        ("per-app-api-usage=17/250(appName=x); api-usage=18/5000", (18, 5000)),
        ("api-usage=18/5000; api-bursts=1/750", (18, 5000)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("", None),
        (None, None),
    ],
)
def test_the_limit_header_is_read_in_all_its_forms(header: str | None, told: tuple[int, int] | None) -> None:
    """The org's own usage is found among the others, and nothing else is taken for it."""
    assert limit_of(header) == told


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], SessionExpired),
        (401, [{"message": "This session is not valid for use with the REST API", "errorCode": "INVALID_SESSION_ID"}], AuthError),
        (401, [{"message": "Connected app is not attached to Agent", "errorCode": "INVALID_SESSION_ID"}], AuthError),
        (403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], QuotaError),
        (400, [{"message": "\nSELECT Naem FROM Account\n  ^\nNo such column", "errorCode": "INVALID_FIELD"}], PermanentError),
        (400, [{"message": "unable to obtain exclusive access", "errorCode": "UNABLE_TO_LOCK_ROW"}], RowLocked),
        (400, [{"message": "too slow", "errorCode": "QUERY_TIMEOUT"}], TransientError),
        (503, [{"message": "busy", "errorCode": "SERVER_UNAVAILABLE"}], TransientError),
        (400, {"error": "invalid_grant", "error_description": "no client credentials user enabled"}, AuthError),
        (406, b"", TransientError),
    ],
)
def test_errors_are_read_by_their_code(status: int, body: bytes | list[Any] | dict[str, Any], kind: type[SourceError]) -> None:
    """The org's code decides, the words are kept on one line."""
    error = explain(answer(status, body))
    assert type(error) is kind
    assert "\n" not in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"<?xml version='1.0'?><Errors/>", b"[]", b"{}", b"5"])
def test_bodies_without_words_leave_it_to_the_status(body: bytes) -> None:
    """Empty, HTML and XML bodies explain nothing and break nothing."""
    assert explain(answer(500, body)) is None


def test_the_query_is_bounded_below_and_in_order() -> None:
    """Whole seconds in UTC, oldest change first, by id within one stamp."""
    reading = readings(settings_of(connection(), LANDSCAPE))["accounts"]
    since = datetime(2026, 5, 1, 9, 25, 37, 900000, tzinfo=UTC)
    assert soql(reading, ("Id", "Name"), since) == (
        "SELECT Id, Name FROM Account WHERE SystemModstamp >= 2026-05-01T09:25:37Z ORDER BY SystemModstamp, Id"
    )


@pytest.mark.parametrize("name", ["Id FROM User--", "Name'", "", "1abc", "a b"])
def test_a_field_name_that_is_none_is_refused(name: str) -> None:
    """What goes into queries comes from a list of names, and a name is letters, digits and underscores."""
    with pytest.raises(ConfigError, match="erp_number"):
        settings_of(connection(fields={"erp_number": name}), LANDSCAPE)


def test_the_newest_stamp_ignores_what_is_none() -> None:
    """A broken stamp does not move the cursor; both ways to write an offset are read."""
    body = b'[{"SystemModstamp":"2026-05-01T07:25:37.000+0000"},{"SystemModstamp":"2026-02-31T07:25:37.000+0000"},{"SystemModstamp":"2026-05-02T00:00:00Z"}]'
    assert newest_stamp(body) == datetime(2026, 5, 2, tzinfo=UTC)
    assert newest_stamp(b"[]") is None


def test_orders_are_left_to_the_erp_unless_asked_for() -> None:
    """A CRM order is not an ERP order: by default the stream isn't offered, "linkage" takes it without its value."""
    assert "orders" not in readings(settings_of(connection(), LANDSCAPE))
    order = {"Id": "801A", "OrderNumber": "7", "AccountId": "001A", "ContractId": "800A", "Contract": {"ContractNumber": "C-9"},
             "StatusCode": "Activated", "TotalAmount": 12.5, "CurrencyIsoCode": "EUR", "EffectiveDate": "2026-01-01"}  # fmt: skip
    linked = mapped("orders", order, orders_as="linkage").frames["sales_order"]
    assert "net_value" not in linked.columns
    assert linked["contract_number"].to_list() == ["C-9"]
    assert mapped("orders", order, orders_as="sales_order").frames["sales_order"]["net_value"].to_list() == [Decimal("12.5")]


def test_a_contract_is_mapped_by_its_status_code() -> None:
    """Labels are the org's to rename, codes are not; an unknown code is rejected."""
    base = {"AccountId": "001A", "Contract_Value__c": 1.0, "CurrencyIsoCode": "USD", "Legal_Entity__c": "US01"}
    page = mapped(
        "contracts",
        {"Id": "1", "ContractNumber": "1", "Status": "Signed by everyone", "StatusCode": "Activated", **base},
        {"Id": "2", "ContractNumber": "2", "StatusCode": "InApproval", **base},
        {"Id": "3", "ContractNumber": "3", "StatusCode": "Signed by everyone", **base},
        {"Id": "4", "ContractNumber": " ", "StatusCode": "Draft", **base},
    )
    assert page.frames["contract"].select("source_key", "status", "region").rows() == [("1", "activated", "NA"), ("2", "in_approval", "NA")]
    assert page.rejects.select("source_key", "cause", "field").rows() == [
        ("3", "bad_value", "StatusCode"),
        ("4", "missing_field", "ContractNumber"),
    ]
    assert page.rejects["amount"].to_list() == [Decimal(1), Decimal(1)]
    evidence = json.loads(page.rejects["evidence"][0])
    assert evidence["StatusCode"] == "Signed by everyone"
    assert {"status", "region", "source_key"}.isdisjoint(evidence)


def test_amounts_keep_to_their_currency() -> None:
    """Yen have no decimals, an amount needs a currency, and a single-currency org's is named once in the options."""
    base = {"AccountId": "001A", "StageName": "x", "CloseDate": "2026-01-01"}
    page = mapped(
        "opportunities",
        {"Id": "1", "Amount": 1234.0, "CurrencyIsoCode": "JPY", **base},
        {"Id": "2", "Amount": 1234.5, "CurrencyIsoCode": "JPY", **base},
        {"Id": "3", "Amount": 1.0, **base},
        {"Id": "4", "Amount": None, **base},
    )
    assert page.frames["opportunity"]["source_key"].to_list() == ["1", "4"]
    assert page.rejects.select("source_key", "cause").rows() == [("2", "bad_currency"), ("3", "bad_currency")]
    assert mapped("opportunities", {"Id": "3", "Amount": 1.0, **base}, currency="CHF").frames["opportunity"]["currency"].to_list() == [
        "CHF"
    ]


def test_the_loser_of_a_merge_is_deleted() -> None:
    """Two accounts became one: the other is gone, whatever its flag says."""
    page = mapped("accounts", {"Id": "1", "Name": "A", "MasterRecordId": "2"}, {"Id": "2", "Name": "A", "MasterRecordId": None})
    assert page.frames["customer"].select("source_key", "is_deleted").rows() == [("1", True), ("2", False)]


def test_accounts_take_their_region_from_their_country() -> None:
    """By option; where the country says nothing, the connection's region stands."""
    records = [{"Id": str(n), "Name": "A", "BillingCountryCode": code} for n, code in enumerate(("US", "DE", None))]
    page = mapped("accounts", *records, region_by_country={"US": "NA"})
    assert page.frames["customer"]["region"].to_list() == ["NA", "EMEA", "EMEA"]


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_limit_that_names_a_time_is_waited_for(status: int) -> None:
    """Where the org says how long, that is how long; the code it uses does not matter then."""
    said = json.dumps([{"message": "busy", "errorCode": "REQUEST_LIMIT_EXCEEDED" if status == 403 else "SERVER_UNAVAILABLE"}]).encode()
    error = explain(Answer(status, httpx.Headers({"Retry-After": "30"}), said, "GET /x"))
    assert isinstance(error, QuotaError)
    assert error.retry_at is not None


def sheet(text: bytes, stream: str = "opportunities", **options: Any) -> Mapped:
    """A job's page, mapped."""
    headers = {"x-tidegate-shape": "csv", "x-tidegate-fields": "Id,SystemModstamp,IsDeleted,AccountId,StageName,CloseDate,Name,Amount",
               "x-tidegate-kinds": "Amount=number,IsDeleted=flag", "x-tidegate-currency": "EUR"}  # fmt: skip
    return map_page(stream, Page(text, "text/csv", None, headers=headers), settings_of(connection(**options), LANDSCAPE))


HEADER = b'"Id","SystemModstamp","IsDeleted","AccountId","StageName","CloseDate","Name","Amount"\n'
GOOD = b'"006A","2026-05-01T07:25:37.000Z","false","001A","Won","2026-06-30","A ""deal"",\n\nin lines","1.25E3"\n'


def test_a_csv_page_is_read_to_the_last_sign() -> None:
    """Quotes, commas and lines within a cell, exponents, both forms of dates, empty cells, NUL and a byte order mark."""
    other = b'"006B","2026-05-01T07:25:38.000+0000","true","","Won","2026-06-30","B\x00","0.1"\n'
    page = sheet(b"\xef\xbb\xbf" + HEADER + GOOD + other)
    assert page.rejects.is_empty()
    rows = page.frames["opportunity"].to_dicts()
    assert [(row["name"], row["amount"], row["currency"], row["customer_key"], row["is_deleted"]) for row in rows] == [
        ('A "deal",\n\nin lines', Decimal(1250), "EUR", "001A", False),
        ("B", Decimal("0.1"), "EUR", None, True),
    ]
    assert rows[1]["source_version"] - rows[0]["source_version"] == 1000
    assert page.fields_seen == {**dict.fromkeys(("Id", "SystemModstamp", "AccountId", "StageName", "CloseDate", "Name"), "text"),
                                "Amount": "number", "IsDeleted": "flag"}  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        b'"006C","2026-05-01T07:25:37.000Z"\n',
        GOOD.replace(b"006A", b"006C").replace(b"Won", b"W\xffn"),
        GOOD.replace(b"006A", b"006C")[:-1] + b',"more"\n',
    ],
    ids=["too few", "no UTF-8", "too many"],
)
def test_a_broken_csv_record_costs_only_itself(bad: bytes) -> None:
    """Its neighbours land, its bytes are the evidence."""
    page = sheet(HEADER + GOOD + bad + GOOD.replace(b"006A", b"006D"))
    assert page.records == 3
    assert page.frames["opportunity"]["source_key"].to_list() == ["006A", "006D"]
    assert page.rejects.select("ordinal", "cause").rows() == [(1, "malformed_record")]
    assert json.loads(page.rejects["evidence"][0])["record"]


def test_a_csv_page_without_a_field_that_was_asked_for_is_drift() -> None:
    """An amount that is gone from the header rejects the records, as in JSON."""
    page = sheet(
        b'"Id","SystemModstamp","IsDeleted","AccountId","StageName","CloseDate","Name"\n"1","2026-05-01T07:25:37.000Z","false","a","b","2026-06-30","n"\n'
    )
    assert page.rejects.select("cause", "field").rows() == [("schema_drift", "Amount")]


@pytest.mark.parametrize("text", [b"", b"\n", HEADER])
def test_an_empty_csv_page_is_empty(text: bytes) -> None:
    """No rows are no error."""
    assert sheet(text).records == 0


@pytest.mark.parametrize("text", [b"<html>", b"{}", b'"a","b"\n', b'"Id","Id"\n1,2\n', b"\xff\xfe\x00"])
def test_what_is_no_csv_is_refused_whole(text: bytes) -> None:
    """A page whose first line names no columns of ours is not believed."""
    with pytest.raises(DataError):
        sheet(text)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([None, "csv", "deleted", "ids"]),
    st.sampled_from(["accounts", "contracts", "quotes", "orders"]),
)
def test_no_bytes_break_the_mapping(body: bytes, shape: str | None, stream: str) -> None:
    """Whatever a page holds, it is mapped, rejected or refused."""
    headers = {"x-tidegate-fields": "Id,SystemModstamp", "x-tidegate-range": "..", "x-tidegate-asked": "2026-05-01T00:00:00+00:00"}
    page = Page(body, "text/plain", None, headers={**headers, **({"x-tidegate-shape": shape} if shape else {})})
    prefix = {"csv": HEADER, "deleted": b'{"deletedRecords":[', "ids": b'{"records":['}.get(shape or "", b'{"records":[')
    for each in (page, replace(page, body=prefix + body), replace(page, body=prefix + body + b"]}")):
        with suppress(DataError):
            map_page(stream, each, settings_of(connection(), LANDSCAPE))


def test_deletions_carry_their_moment() -> None:
    """The org's list: ids and when; a line that can't be read is rejected by itself."""
    body = json.dumps({"deletedRecords": [{"id": "001A", "deletedDate": "2026-05-01T07:25:37.000+0000"}, {"id": "001B"}, 5]}).encode()
    page = map_page(
        "accounts", Page(body, "application/json", None, headers={"x-tidegate-shape": "deleted"}), settings_of(connection(), LANDSCAPE)
    )
    assert page.gone.select("source_key", "source_version").rows() == [("001A", 1777620337000)]
    assert page.rejects.select("ordinal", "cause").rows() == [(1, "missing_field"), (2, "malformed_record")]
