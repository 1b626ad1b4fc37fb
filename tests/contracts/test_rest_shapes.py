"""Shapes of lists and of values that applications give, declared as a person writes it: where records stand, what is gone, days and hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.connections import ConfigError
from sync.errors import PermanentError, QuotaError, TransientError
from tests.contracts.rest_vendors import INVOICE, SECRETS, invoices, vendor
from tests.contracts.suite_server import Asked, Reply, reply_json

MINUTE = timedelta(minutes=1)
D = Decimal


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"VENDOR_{name.upper()}", f"its-{name}")


# --- other shapes of a list ----------------------------------------------------------------------------------------------------------


def test_woocommerce_counts_in_headers() -> None:
    """The number of pages stands in a header; a page past the end is an error that is never asked for."""
    options = (
        """
    auth = { kind = "basic" }
    [[streams]]
    stream = "invoices"
    path = "wp-json/wc/v3/orders"
    paging = { style = "page", size_param = "per_page", size = 2, pages = "header:X-WP-TotalPages" }
    incremental = { param = "modified_after", column = "updated", format = "%Y-%m-%dT%H:%M:%S" }
    """
        + INVOICE
    )
    held = invoices(4)

    def answer(asked: Asked) -> Reply:
        page = int(asked.query["page"])
        if page > 2:
            return reply_json({"code": "rest_post_invalid_page_number", "message": "The page number requested is larger"}, 400)
        return reply_json(held[page * 2 - 2 : page * 2], X_WP_Total="4", X_WP_TotalPages="2")

    with vendor(options, answer) as shop:
        shop.pull()
        assert len(shop.live("invoice", "gross")) == 4
        assert len(shop.server.asked) == 2


def test_a_page_past_the_end_may_be_no_page() -> None:
    """404 says that there is no such page, where it is declared so; elsewhere it is an error."""
    options = """
    [[streams]]
    stream = "invoices"
    path = "invoices/{page}"
    records = "items"
    empty_status = [404]
    paging = { style = "page", size = 2 }
    """ + INVOICE  # fmt: skip
    held = invoices(4)

    def answer(asked: Asked) -> Reply:
        page = int(asked.path.removeprefix("/invoices/"))
        return reply_json({"items": held[page * 2 - 2 : page * 2]}) if page < 3 else reply_json({"detail": "Invalid page."}, 404)

    with vendor(options, answer) as paged:
        paged.pull()
        assert len(paged.live("invoice", "gross")) == 4
        assert paged.asked("page") == [None] * 3
    with vendor(options.replace("empty_status = [404]", ""), answer) as strict, pytest.raises(PermanentError, match="Invalid page"):
        strict.pull()


def test_records_under_their_keys() -> None:
    """An object of records, each under its key, as accounting tools of the older kind give them."""
    options = """
    [[streams]]
    stream = "customers"
    path = "customers"
    records = "result.*"
    sweep_hours = 0
    [streams.columns]
    key = { path = "@key", required = true }
    name = {}
    country = { path = "^.defaults.country" }
    [[streams.entities]]
    entity = "customer"
    key = "key"
    [streams.entities.fields]
    number = "key"
    name = "name"
    """
    held: dict[str, Any] = {"17": {"name": "Acme"}, "18": {"name": "Bolt", "rate": 0.1}, "19": {"name": "Crux"}}
    with vendor(options.replace('country = { path = "^.defaults.country" }', ""), lambda _: reply_json({"result": held})) as keyed:
        keyed.pull()
        assert keyed.live("customer", "name") == {"17": "Acme", "18": "Bolt", "19": "Crux"}
        del held["18"]
        keyed.pull()
        assert sorted(keyed.live("customer", "name")) == ["17", "19"]
        held["20"] = "poison"
        with pytest.raises(AssertionError):
            keyed.pull()
        assert [reject["cause"] for reject in keyed.store.rejects] == ["malformed_record"]
        for body in (b'{"result":[]}', b'{"result":{"1":{},"1":{}}}', b'{"result":7}', b'{"other":{}}', b"[]"):
            keyed.server.between = lambda _asked, _answer, body=body: Reply(body)
            with pytest.raises(TransientError):
                keyed.pull()


def test_one_record_and_the_list_around_it() -> None:
    """A body that is one record, whose lists are records: the balance of an account by currency, the day in the body around them."""
    options = """
    [[streams]]
    stream = "balances"
    path = "v1/balance"
    records = "available"
    paging = { style = "none" }
    [streams.columns]
    account = { path = "^.account", required = true }
    currency = { upper = true, required = true }
    amount = { type = "amount", minor_units = "currency" }
    day = { path = "^.as_of", type = "date", epoch = "seconds", zone = "Asia/Tokyo" }
    [[streams.entities]]
    entity = "bank_balance"
    key = ["account", "currency"]
    [streams.entities.fields]
    account = "account"
    balance_type = { value = "available" }
    as_of_date = "day"
    amount = "amount"
    currency = "currency"
    [[streams]]
    stream = "account"
    path = "v1/account"
    records = "data"
    single = true
    columns = { id = { required = true }, name = "business.name" }
    entities = [{ entity = "bank_account", key = "id", fields = { name = "name", other_id = "id" } }]
    """

    def answer(asked: Asked) -> Reply:
        if asked.path == "/v1/account":
            return reply_json({"data": {"id": "acct_1", "business": {"name": "Meridian"}}})
        return reply_json(
            {
                "account": "acct_1",
                "as_of": 1778252400,
                "available": [{"amount": -250, "currency": "usd"}, {"amount": 500, "currency": "jpy"}],
            }
        )

    with vendor(options, answer) as stripe:
        stripe.pull()
        assert stripe.live("bank_balance", "amount", "as_of_date") == {
            "acct_1/JPY": (D(500), date(2026, 5, 9)), "acct_1/USD": (D("-2.50"), date(2026, 5, 9)),
        }  # fmt: skip
        assert stripe.live("bank_account", "name") == {"acct_1": "Meridian"}


def test_lists_within_lists() -> None:
    """Records two lists deep, with fields of each level above; one that is broken costs itself, an outer one its own."""
    options = """
    [[streams]]
    stream = "postings"
    path = "journals"
    records = "Journals[*].Groups.*.Lines"
    paging = { style = "cursor", of_record = "JournalID", param = "after", more = "more" }
    incremental = { column = "changed", param = "since" }
    [streams.columns]
    journal = { path = "^^.JournalID", required = true }
    group = { path = "^.@key", required = true }
    line = { path = "@index", required = true }
    account = { path = "code", required = true }
    net = { type = "amount", required = true }
    changed = { path = "^^.changed", type = "time" }
    [[streams.entities]]
    entity = "gl_posting"
    key = ["journal", "group", "line"]
    [streams.entities.fields]
    document = "journal"
    line = "line"
    account = "account"
    amount = "net"
    currency = { value = "USD" }
    status = { value = "posted" }
    """

    def journal(n: int) -> dict[str, Any]:
        groups = {"dr": {"Lines": [{"code": "1", "net": 1.1}, {"code": "2", "net": n}]}, "cr": {"Lines": None}, "x": {}}
        return {"JournalID": n, "changed": f"2026-05-0{n}T00:00:00Z", "Groups": groups if n != 3 else None}

    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("after", 0))
        return reply_json({"Journals": [journal(n) for n in (start + 1, start + 2) if n < 4], "more": start < 2})

    with vendor(options, answer) as ledger:
        [done] = ledger.pull()
        assert ledger.live("gl_posting", "amount") == {"1/dr/0": D("1.1"), "1/dr/1": D(1), "2/dr/0": D("1.1"), "2/dr/1": D(2)}
        assert done.cursor == {"since": "2026-05-03T00:00:00+00:00"}, "a journal without lines counts"
        assert done.mapped[0].fields_seen == {"code": "text", "net": "number"}
        odd = {
            "more": False,
            "Journals": [
                {"JournalID": 9, "Groups": {"a": {"Lines": [7, {"code": "1", "net": {}}, {"code": "3", "net": 5}]}, "b": {"Lines": 8}}}
            ],
        }
        ledger.server.between = lambda _asked, _answer: reply_json(odd)
        with pytest.raises(AssertionError):
            ledger.pull()
        assert ledger.live("gl_posting", "amount")["9/a/2"] == D(5)
        assert sorted(reject["cause"] for reject in ledger.store.rejects) == ["malformed_record", "malformed_record", "schema_drift"]


def test_a_list_of_what_is_gone() -> None:
    """A second list tells what was deleted: no more than the key is declared."""
    options = (
        """
    [[streams]]
    stream = "invoices"
    path = "invoices"
    records = "data"
    incremental = { param = "since", column = "updated" }
    """
        + INVOICE
        + """
    [[streams]]
    stream = "invoices_deleted"
    path = "invoices/deleted"
    records = "data"
    only_deleted = true
    columns = { id = "invoice.id" }
    entities = [{ entity = "invoice", key = "id" }]
    """
    )
    held = invoices(3)

    def answer(asked: Asked) -> Reply:
        gone = [{"invoice": {"id": "i2"}}, {"invoice": {"id": "i9"}}]
        return reply_json({"data": gone if asked.path.endswith("deleted") else held})

    with vendor(options, answer) as books:
        books.pull()
        assert sorted(books.live("invoice", "gross")) == ["i1", "i3"]


# --- times -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "stamp", "incremental", "asked"),
    [
        # local stamps of a zone east of Greenwich: the moment is the real one, in UTC or in the zone as it is asked for
        ('{ type = "time", zone = "Europe/Berlin" }', "2026-05-01T11:30:00", "", "2026-05-01T09:20:00Z"),
        ('{ type = "time", zone = "Europe/Berlin" }', "2026-05-01T11:30:00", 'format = "%Y-%m-%d %H:%M:%S"', "2026-05-01 11:20:00"),
        ('{ type = "time", zone = "Europe/Berlin" }', "2026-05-01T11:30:00", 'format = "%Y-%m-%dT%H:%M:%SZ"', "2026-05-01T09:20:00Z"),
        ('{ type = "time", formats = ["%d.%m.%Y %H:%M"], zone = "Europe/Berlin" }', "01.05.2026 11:30", "", "2026-05-01T09:20:00Z"),
        ('{ type = "time" }', "/Date(1777627800000+0200)/", 'format = "epoch"', "1777627200"),
        # days: the earlier of the two clocks that may be meant; after a day, not from it
        ('{ type = "date", formats = ["%d/%m/%Y"] }', "02/05/2026", 'format = "date"', "2026-05-01"),
        ('{ type = "time" }', "2026-05-02T09:30:00Z", 'format = "date"', "2026-05-02"),
        ('{ type = "time" }', "2026-05-02T09:30:00Z", 'format = "date", exclusive = true', "2026-05-01"),
        ('{ type = "time" }', "2026-05-02T03:30:00Z", 'format = "date", zone = "America/New_York"', "2026-05-01"),
        ('{ type = "time" }', "2026-05-02T09:30:00Z", "exclusive = true, look_back_minutes = 0", "2026-05-02T09:29:59Z"),
        # a moment that the clock change repeats is asked for from before it
        ('{ type = "time" }', "2026-10-25T01:40:00Z", 'format = "%Y-%m-%d %H:%M", zone = "Europe/Berlin"', "2026-10-25 01:30"),
        ('{ type = "time" }', "2026-05-02T09:30:00Z", """template = '{"gte":"{value}"}'""", '{"gte":"2026-05-02T09:20:00Z"}'),
    ],
)  # fmt: skip
def test_the_moment_is_asked_for_by_the_right_clock(column: str, stamp: str, incremental: str, asked: str) -> None:
    """Whatever form the stamps have, and whichever the question wants."""
    told = f", {incremental}" if incremental else ""
    options = f"""
    [[streams]]
    stream = "invoices"
    path = "invoices"
    incremental = {{ param = "since", column = "updated"{told} }}
    """ + INVOICE.replace('updated = { type = "time" }', f"updated = {column}")  # fmt: skip
    with vendor(options, lambda _: reply_json([{**invoices(1)[0], "updated": stamp}])) as one:
        later = datetime(2026, 12, 1, tzinfo=UTC)
        one.pull(now=later)
        one.pull(now=later)
        assert one.asked("since") == [None, asked]


def test_days_in_many_forms_and_hours_that_are_none() -> None:
    """The day of a moment is the day as it is written, or the day in the column's zone; an hour that is skipped or comes twice is refused."""
    told = {
        "2026-05-01": date(2026, 5, 1), "2026-05-01T00:00:00": date(2026, 5, 1), "2026-05-01T23:30:00-08:00": date(2026, 5, 1),
        "2026-05-01T22:30:00.1234567Z": date(2026, 5, 1), "/Date(1777593600000)/": date(2026, 5, 1),
    }  # fmt: skip
    options = '[[streams]]\nstream = "invoices"\npath = "invoices"\n' + INVOICE
    with vendor(options, lambda _: reply_json([{**invoices(1)[0], "id": text, "issued": text} for text in told])) as days:
        days.pull()
        assert days.live("invoice", "issue_date") == dict(sorted(told.items()))
    berlin = options.replace('issued = { type = "date" }', 'issued = { type = "date", zone = "Europe/Berlin" }')
    with vendor(berlin, lambda _: reply_json([{**invoices(1)[0], "issued": "2026-05-01T22:30:00Z"}])) as local:
        local.pull()
        assert local.live("invoice", "issue_date") == {"i1": date(2026, 5, 2)}
    naive = options.replace('updated = { type = "time" }', 'updated = { type = "time", zone = "Europe/Berlin" }')
    hours = ["2026-03-29T02:30:00", "2026-10-25T02:30:00", "0001-01-01T00:00:00+02:00", "2026-05-01T10:00:00"]
    with vendor(naive, lambda _: reply_json([{**invoices(1)[0], "id": text, "updated": text} for text in hours])) as clock:
        with pytest.raises(AssertionError):
            clock.pull()
        assert [reject["cause"] for reject in clock.store.rejects] == ["bad_time"] * 3
        assert list(clock.live("invoice", "gross")) == hours[3:]


def test_small_oddities_cost_nothing() -> None:
    """A byte order mark before the body, a whole number with a decimal, a wait in parts of a second."""
    options = """
    [[streams]]
    stream = "customers"
    path = "customers"
    columns = { id = { required = true }, terms = { type = "integer" } }
    entities = [{ entity = "customer", key = "id", fields = { payment_terms_days = "terms" } }]
    """
    with vendor(options, lambda _: Reply(b"\xef\xbb\xbf" + b'[{"id":1,"terms":30.0},{"id":2,"terms":"14"}]')) as odd:
        odd.pull()
        assert odd.live("customer", "payment_terms_days") == {"1": 30, "2": 14}
        odd.server.between = lambda _asked, _answer: reply_json({}, 429, Retry_After="2.0")
        with pytest.raises(QuotaError) as caught:
            odd.pull()
        assert caught.value.retry_at is not None


def test_a_sweep_that_would_delete_what_another_list_holds_is_refused() -> None:
    """Two lists of one entity: what is missing in the one may stand in the other. A list of what is gone beside it is none of that."""

    def invoices_of(name: str, more: str = "") -> str:
        return f'[[streams]]\nstream = "{name}"\npath = "x"\n{more}\n{INVOICE}'

    refused = {
        "sweep_hours = 24": "sweep_hours of invoices: credits feeds invoice too",
        "only_deleted = true\nsweep_hours = 1": "only_deleted says",
    }
    for first, words in refused.items():
        declared = invoices_of("invoices", first) + invoices_of("credits")
        with vendor(declared, lambda _: reply_json([])) as two, pytest.raises(ConfigError, match=words):
            two.pull()
    gone = '[[streams]]\nstream = "gone"\npath = "y"\nonly_deleted = true\ncolumns = { id = {} }\nentities = [{ entity = "invoice", key = "id" }]\n'
    with vendor(invoices_of("invoices", "sweep_hours = 24") + gone, lambda _: reply_json([])) as beside:
        beside.pull()
