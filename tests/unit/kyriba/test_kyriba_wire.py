"""Kyriba's words: both names of an amount, windows, references, errors by type."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.connections import ConfigError, Connection, Landscape, LegalEntity
from sync.errors import AuthError, DataError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer
from sync.ports import Mapped, Page
from sync.systems.kyriba.answers import TokenExpired, explain
from sync.systems.kyriba.mapping import map_page
from sync.systems.kyriba.settings import settings_of
from sync.systems.kyriba.wire import BALANCE_HEADER, context, windows
from sync.watermark import Mark

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),))
HOSTS = {"base_url": "https://api.demo.kyriba.com/api", "auth_url": "https://auth.demo.kyriba.com/oauth/token"}
FLOW = {
    "uuid": "u1", "reference": "R1", "status": "CONFIRMED", "account": {"code": "US01-USD"}, "flowCode": {"code": "SUPPLIER"},
    "flowAmount": {"value": -12.5, "currency": {"code": "USD"}},
    "date": {"transactionDate": "2026-06-01", "valueDate": "2026-06-02", "updateDateTime": "2026-05-01T00:00:00Z", "creationDateTime": "2026-04-01T00:00:00Z"},
}  # fmt: skip


def connection(**options: Any) -> Connection:
    """A connection to a tenant."""
    return Connection(name="kyriba", system="kyriba", region="EMEA", options={**HOSTS, **options})


def mapped(stream: str, member: str, *records: dict[str, Any], accounts: dict[str, str | None] | None = None, **options: Any) -> Mapped:
    """The page of these records, mapped."""
    body = json.dumps({"metadata": {}, member: records}).encode()
    page = Page(body, "application/json", None, headers=context({"US01-USD": "US01"} if accounts is None else accounts, NOW))
    return map_page(stream, page, settings_of(connection(**options), LANDSCAPE))


@pytest.mark.parametrize(
    "amount",
    [{"value": 0.1, "currency": {"code": "USD"}}, {"amount": 0.1, "currency": {"code": "USD"}}, {"value": 1e-1, "currency": "USD"}],
)
def test_an_amount_is_found_under_both_of_its_names(amount: dict[str, Any]) -> None:
    """The field knows flowAmount.value and flowAmount.amount; either is exact."""
    frame = mapped("cash_flows", "results", {**FLOW, "flowAmount": amount}).frames["forecast_item"]
    assert frame.select("amount", "currency").rows() == [(Decimal("0.1"), "USD")]


def test_a_cash_flow_in_canonical_words() -> None:
    """Dates, stamps, confidence, account, and through the account its company and region."""
    (row,) = mapped("cash_flows", "results", FLOW).frames["forecast_item"].to_dicts()
    assert row["made_at"] == datetime(2026, 4, 1, tzinfo=UTC)
    assert row["expected_date"] == date(2026, 6, 2)
    assert (row["legal_entity"], row["region"], row["confidence"], row["account"], row["category"]) == (
        "US01",
        "NA",
        "confirmed",
        "US01-USD",
        "SUPPLIER",
    )
    assert row["source_version"] == int(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("change", "cause", "field"),
    [
        ({"status": "MAYBE"}, "bad_value", "status"),
        ({"status": {"code": "ACTUAL"}}, "schema_drift", "status"),
        ({"account": {"code": "NOWHERE"}}, "bad_value", "account.code"),
        ({"uuid": None}, "missing_field", "uuid"),
        ({"flowAmount": {"value": "n/a"}}, "bad_amount", "flowAmount"),
        ({"flowAmount": {"value": 1.0, "currency": {"code": "XXQ"}}}, "bad_currency", "flowAmount.currency"),
        ({"date": {**FLOW["date"], "valueDate": "2026-02-31"}}, "bad_date", "valueDate"),  # type: ignore[dict-item]
        ({"date": {**FLOW["date"], "updateDateTime": "2026-05-01T00:00:00"}}, "bad_time", "updateDateTime"),  # type: ignore[dict-item]
    ],
)
def test_a_flow_that_cannot_pass_says_why(change: dict[str, Any], cause: str, field: str) -> None:
    """One reject, with the cause and the field in the system's words."""
    page = mapped("cash_flows", "results", {**FLOW, **change})
    assert page.rejects.select("cause", "field").rows() == [(cause, field)]
    assert json.loads(page.rejects["evidence"][0])["date.creationDateTime"] == "2026-04-01T00:00:00Z"
    assert page.frames["forecast_item"].is_empty()


def test_balances_close_with_their_day() -> None:
    """Past days are closing balances, today's is intraday; the version is the day of asking, so that later asking wins."""
    rows = [{"account": {"code": "US01-USD"}, "date": day, "amount": 5.25, "currencyCode": "USD"} for day in ("2026-05-19", "2026-05-20")]
    frame = mapped("balances", "cashBalance", *rows).frames["bank_balance"]
    assert frame["balance_type"].to_list() == ["closing_booked", "intraday"]
    assert frame["source_key"].to_list() == ["US01-USD|2026-05-19|closing_booked", "US01-USD|2026-05-20|intraday"]
    assert frame["changed_at"].to_list() == [datetime(2026, 5, 20, tzinfo=UTC), NOW]
    assert set(frame["source_version"]) == {NOW.date().toordinal()}
    assert frame["region"].to_list() == ["NA", "NA"]


def test_a_page_that_cannot_be_dated_is_refused() -> None:
    """Balances carry no stamp of their own: without the moment of asking the page is not believed."""
    page = Page(b'{"cashBalance": []}', "application/json", None)
    with pytest.raises(DataError):
        map_page("balances", page, settings_of(connection(), LANDSCAPE))


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 800))
def test_windows_cover_every_day_once(first: date, days: int) -> None:
    """No day is left out, none is asked for twice, none of the windows is longer than 31 days."""
    last = first + timedelta(days=days)
    covered = [start + timedelta(days=n) for start, end in windows(first, last) for n in range((end - start).days + 1)]
    assert covered == [first + timedelta(days=n) for n in range(days + 1)]
    assert all((end - start).days < 31 for start, end in windows(first, last))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "invalid_token"}, TokenExpired),
        (401, {"error": "invalid_client", "error_description": "Bad client credentials"}, AuthError),
        (400, {"error": {"code": "InvalidPeriod", "message": "31 days at most", "target": "endDate", "details": []}}, PermanentError),
        (403, {"error": {"code": "AccessDenied", "message": "no function", "target": None, "details": []}}, PermanentError),
        (403, {"error": "insufficient_scope"}, PermanentError),
        (400, {"error": "unsupported_grant_type"}, AuthError),
        (401, {"error": {"code": "Unauthorized", "message": "no"}}, AuthError),
        (412, {"error": {"code": "Changed", "message": "no"}}, None),
        (500, {"error": {"code": "Oops", "message": "no"}}, TransientError),
        (429, {"error": {"code": "TooMany", "message": "no"}}, QuotaError),
        (502, b"<html>", None),
        (500, b"", None),
        (400, b'["no object"]', None),
        (400, {"error": None}, None),
        (400, {"error": {"code": "Invalid", "details": "no list"}}, PermanentError),
    ],
)
def test_errors_are_read_by_their_words(status: int, body: bytes | dict[str, Any], kind: type[SourceError] | None) -> None:
    """Their words where they decide, the status where they don't."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = explain(Answer(status, httpx.Headers(), text, "GET /x"))
    assert error is None if kind is None else type(error) is kind


def test_the_details_of_an_error_are_said() -> None:
    """Code, message and target of the error and of each detail, so that nobody has to ask for the answer's bytes."""
    detail = {"code": "NotBlank", "message": "must not be blank", "target": "flowCode"}
    body = {
        "error": {"code": "Invalid", "message": "invalid values", "target": "cashFlow", "details": [detail], "innererror": {"code": "x"}}
    }
    error = explain(Answer(400, httpx.Headers(), json.dumps(body).encode(), "POST /x"))
    assert str(error) == "POST /x: Invalid: invalid values (cashFlow); NotBlank: must not be blank (flowCode)"


def test_a_used_up_day_is_asked_again_in_an_hour() -> None:
    """A refusal that speaks of the day and names no end: no retry storm, and no day lost either."""
    body = json.dumps({"error": {"code": "Quota", "message": "Daily limit of calls reached"}}).encode()
    error = explain(Answer(429, httpx.Headers(), body, "GET /x"))
    assert isinstance(error, QuotaError)
    assert error.retry_at is not None
    assert timedelta(minutes=59) < error.retry_at - datetime.now(UTC) <= timedelta(hours=1)
    named = explain(Answer(429, httpx.Headers({"Retry-After": "30"}), body, "GET /x"))
    assert isinstance(named, QuotaError)
    assert named.retry_at is not None
    assert named.retry_at - datetime.now(UTC) < timedelta(seconds=31)


@pytest.mark.parametrize(
    ("base", "auth", "found"),
    [
        ("https://demo.kyriba.com/gateway/api", None, ("https://demo.kyriba.com/gateway/api", "https://demo.kyriba.com/gateway/oauth/token")),
        ("https://api.demo.kyriba.com/api/", None, ("https://api.demo.kyriba.com/api", "https://auth.demo.kyriba.com/oauth/token")),
        ("https://dc1-sandbox.treasury-factory.com/gateway/api/v1", None,
         ("https://dc1-sandbox.treasury-factory.com/gateway/api", "https://dc1-sandbox.treasury-factory.com/gateway/oauth/token")),
        ("https://a.example/api", "https://b.example/token", ("https://a.example/api", "https://b.example/token")),
    ],
)  # fmt: skip
def test_both_styles_of_address(base: str, auth: str | None, found: tuple[str, str]) -> None:
    """One host behind a gateway or two of their own; the token's address follows from the API's unless it is given."""
    options = {"base_url": base} if auth is None else {"base_url": base, "auth_url": auth}
    settings = settings_of(Connection(name="kyriba", system="kyriba", region="EMEA", options=options), LANDSCAPE)
    assert (settings.base_url, settings.auth_url) == found


def test_an_address_from_which_no_token_follows_must_be_named() -> None:
    """An API at an unusual place: the option that is missing is said."""
    with pytest.raises(ConfigError, match="auth_url"):
        settings_of(Connection(name="kyriba", system="kyriba", region="EMEA", options={"base_url": "https://x.example/rest"}), LANDSCAPE)


ACCOUNT = {"uuid": "u", "code": "A1", "company": {"code": "US01"}, "currency": {"code": "USD"}, "description": "Main"}


@pytest.mark.parametrize("stamp", ["2020-06-22", "2020-06-22T00:00:00Z", "2020-06-22T02:00:00+02:00"])
def test_an_account_is_stamped_by_a_date_or_a_moment(stamp: str) -> None:
    """The published schema has a date; some tenants give a moment."""
    (row,) = mapped("accounts", "results", {**ACCOUNT, "updateDate": stamp}).frames["bank_account"].to_dicts()
    assert row["changed_at"] == datetime(2020, 6, 22, tzinfo=UTC)


def test_an_account_from_its_details() -> None:
    """The details name its number otherwise; an IBAN is told from other numbers by its structure. A bare list is a page too."""
    details = [
        {**ACCOUNT, "bankAccountID": {"banStructure": "IBAN_STRUCTURE", "value": "DE89 3704"}},
        {**ACCOUNT, "code": "A2", "bankAccountID": {"banStructure": "LBAN_1_STRUCTURE", "value": "987"}, "branch": {"code": "CHAS"}},
    ]
    page = Page(json.dumps(details).encode(), "application/json", None, headers=context({}, NOW))
    rows = map_page("accounts", page, settings_of(connection(), LANDSCAPE)).frames["bank_account"].to_dicts()
    assert [(row["source_key"], row["iban"], row["other_id"], row["bank"]) for row in rows] == [
        ("A1", "DE893704", None, None),
        ("A2", None, "987", "CHAS"),
    ]


@pytest.mark.parametrize("day", [{"date": "2026-05-01"}, {"balanceDate": {"date": "2026-05-01"}}, {"balanceDate": "2026-05-01"}])
def test_a_cash_balance_names_its_day_in_three_ways(day: dict[str, Any]) -> None:
    """`date` by the schema, `balanceDate` by the vendor's own samples."""
    record = {"account": {"code": "US01-USD"}, "amount": 12.5, "currencyCode": "USD", **day}
    (row,) = mapped("balances", "cashBalance", record).frames["bank_balance"].to_dicts()
    assert (row["as_of_date"], row["amount"]) == (date(2026, 5, 1), Decimal("12.5"))


def bank_page(balance: Any, kind: str = "END_OF_DAY") -> Page:
    """A bank balance's answer as a page."""
    body = json.dumps({"account": {"code": "US01-USD", "uuid": "u"}, "bankBalance": balance}).encode()
    return Page(body, "application/json", None, headers=context({"US01-USD": "US01"}, NOW) | {BALANCE_HEADER: f"{kind} US01-USD"})


@pytest.mark.parametrize(
    ("balance", "kind", "found"),
    [
        ({"amount": -1.5, "balanceDate": "2026-05-18", "currencyCode": "USD"}, "END_OF_DAY",
         ("bank|US01-USD|2026-05-18|closing_booked", Decimal("-1.5"))),
        ({"amount": 7, "balanceDate": "2026-05-17", "currencyCode": "USD", "lastKnownBalanceDate": "2026-05-15"}, "END_OF_DAY",
         ("bank|US01-USD|2026-05-15|closing_booked", Decimal(7))),
        ({"amount": 7, "balanceDate": "2026-05-20", "currencyCode": "USD", "lastKnownBalanceDate": None}, "INTRADAY",
         ("bank|US01-USD|2026-05-20|intraday", Decimal(7))),
    ],
)  # fmt: skip
def test_a_bank_balance_in_canonical_words(balance: dict[str, Any], kind: str, found: tuple[str, Decimal]) -> None:
    """A day without a statement repeats the last one's balance: that day counts, so that no balance is claimed which no bank told."""
    (row,) = map_page("bank_balances", bank_page(balance, kind), settings_of(connection(), LANDSCAPE)).frames["bank_balance"].to_dicts()
    assert (row["source_key"], row["amount"]) == found
    assert row["legal_entity"] == "US01"


@pytest.mark.parametrize("silent", [None, {"amount": None, "balanceDate": "2026-05-18", "currencyCode": "USD"}])
def test_a_bank_that_says_nothing_is_no_record(silent: Any) -> None:
    """No balance of that day is neither a row nor a reject."""
    found = map_page("bank_balances", bank_page(silent), settings_of(connection(), LANDSCAPE))
    assert (found.records, found.rejects.height) == (0, 0)


@pytest.mark.parametrize(
    ("balance", "cause"),
    [("12", "schema_drift"), ({"amount": "n/a", "balanceDate": "2026-05-18", "currencyCode": "USD"}, "bad_amount"),
     ({"amount": 1.0, "balanceDate": "2026-02-31", "currencyCode": "USD"}, "bad_date"),
     ({"amount": 1.0, "balanceDate": "2026-05-18", "currencyCode": "XXQ"}, "bad_currency"),
     ({"amount": 1.0, "currencyCode": "USD"}, "missing_field")],
)  # fmt: skip
def test_a_bank_balance_that_cannot_pass_says_why(balance: Any, cause: str) -> None:
    """One reject with its cause."""
    found = map_page("bank_balances", bank_page(balance), settings_of(connection(), LANDSCAPE))
    assert found.rejects["cause"].to_list() == [cause]


def test_an_option_that_is_wrong_is_named() -> None:
    """The connection, the option and what is wrong with it."""
    with pytest.raises(ConfigError, match=r"kyriba.*page_size"):
        settings_of(connection(page_size=100_000), LANDSCAPE)


@given(st.lists(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)), max_size=8))
def test_a_mark_never_goes_back_and_never_beyond_now(stamps: list[datetime]) -> None:
    """Whatever stamps come, the cursor only moves on, and never into the future."""
    mark = Mark.of(None, NOW)
    last: datetime | None = None
    for stamp in stamps:
        mark.advance(stamp, NOW)
        assert mark.reach is not None
        assert mark.reach <= NOW
        assert last is None or mark.reach >= last
        last = mark.reach
        assert Mark.of(mark.cursor(), NOW).start(timedelta()) == mark.reach
