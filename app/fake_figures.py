"""The invented company behind the fake desk: tiles, receivables, cash and exposure. Deterministic, no clock, no chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import exp, sin

import polars as pl

from app.desk import Amount, Case, Feed, HandItem, OrderKey, Tile

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
TODAY = NOW.date()
MONEY = pl.Decimal(19, 4)
REGIONS = ("EMEA", "NA", "LATAM", "APAC")
ENTITIES = {
    "DE01": ("EMEA", "EUR"),
    "GB01": ("EMEA", "GBP"),
    "US01": ("NA", "USD"),
    "JP01": ("APAC", "JPY"),
    "SG01": ("APAC", "SGD"),
    "MX01": ("LATAM", "MXN"),
}
CUSTOMERS = (
    ("10100017", "Nordwind Logistik GmbH", "EMEA", "DE01", "DE", "EUR"),
    ("10200042", "Harrow & Pike Ltd", "EMEA", "GB01", "GB", "GBP"),
    ("17100003", "Cascadia Medical Supply", "NA", "US01", "US", "USD"),
    ("17100088", "Tri-County Fabrication", "NA", "US01", "US", "USD"),
    ("29100011", "Hoshino Precision KK", "APAC", "JP01", "JP", "JPY"),
    ("29200005", "Straits Marine Pte", "APAC", "SG01", "SG", "SGD"),
    ("MX-00231", "Aceros del Norte SA", "LATAM", "MX01", "MX", "MXN"),
    ("10100093", "Brenner Anlagenbau AG", "EMEA", "DE01", "AT", "EUR"),
)


def money(text: str, currency: str = "EUR") -> Amount:
    """An amount in `currency`, converted at the rates of the last working day when it's the reporting currency."""
    return Amount(Decimal(text), currency, date(2026, 11, 20) if currency == "EUR" else None)


def tile(slug: str, title: str, value: str | None, unit: str, page: str, **more: object) -> Tile:
    """One figure; `more` overrides any field."""
    fields: dict[str, object] = {
        "slug": slug, "title": title, "value": None if value is None else Decimal(value), "unit": unit, "why_missing": None,
        "change": None, "change_words": None, "good_direction": "up", "target": None, "health": "good", "spark": (), "as_of": NOW,
        "oldest_feed": "sap-apac", "sync_share": None, "definition": title, "page": page,
    }  # fmt: skip
    return Tile(**{**fields, **more})  # type: ignore[arg-type]


def today_tiles() -> list[Tile]:
    """The five figures of Today."""
    wave = [12 + sin(day / 3) * 0.6 + day * 0.03 for day in range(30)]
    return [
        tile("cash_position", "Cash position", "12418230.55", "EUR", "cash", change=Decimal("310400.10"), change_words="since yesterday",
             target=Decimal(10000000), spark=wave, sync_share=Decimal("-184200.00"),
             definition="Closing booked balances of every account, in EUR at ECB reference rates.", second_line="18 accounts, 6 currencies"),
        tile("invoice_to_payment", "Invoice-to-payment latency", "41.5", "days", "receivables", change=Decimal("1.5"), good_direction="down",
             change_words="against 4 weeks ago", target=Decimal(38), health="warning", spark=[38 + sin(week / 2) * 2 + week / 6 for week in range(20)],
             sync_share=Decimal("0.5"), definition="Median days from issue to full clearing, cohorts of the last 13 weeks.", second_line="p90 74 days"),
        tile("forecast_accuracy", "Forecast accuracy", "86.2", "%", "cash", change=Decimal("-2.1"), change_words="against last week",
             target=Decimal(90), health="warning", spark=[88 + sin(week) * 3 for week in range(13)], sync_share=Decimal("-1.8"),
             definition="1 - WAPE of the one-week horizon."),
        tile("exposure_breaches", "Exposure breaches", "3", "count", "exposure", change=Decimal(-1), change_words="since yesterday",
             good_direction="down", target=Decimal(0), health="bad", spark=[5, 4, 4, 5, 6, 4, 4, 3], definition="Customers above their credit limit now.",
             second_line="1.9 M EUR above limits"),
        tile("open_exceptions", "Open exceptions", "10412", "count", "exceptions", change=Decimal(10214), change_words="since yesterday",
             good_direction="down", target=Decimal(25), health="bad", spark=[210, 190, 205, 198, 202, 198, 10412],
             definition="Records, files and writes that can't pass and need somebody.", second_line="4.3 M EUR at risk"),
    ]  # fmt: skip


def hand_items() -> list[HandItem]:
    """What needs a hand, ranked by money."""
    hours = timedelta(hours=1)
    return [
        HandItem("exceptions", "The customer is not known", "10,214 billing documents of sap-na name customer 17109999", money("3914200.00"),
                 NOW - 3 * hours, None, "exceptions", {"cause": "unknown_customer", "connection": "sap-na"}),
        HandItem("case", "Order 4500001877 held: Aceros del Norte SA", "Exposure would reach 131 % of the limit", money("1240000.00"), NOW - 26 * hours,
                 None, "exposure", {"case": "7"}),
        HandItem("breach", "Hoshino Precision KK is above its limit", "Utilisation 118 %, since 4 days", money("662000.00"), NOW - 96 * hours, "M. Sato",
                 "exposure", {"party": "5"}),
        HandItem("exceptions", "The statement does not balance", "camt.053 of DE01, account ending 4711", money("310000.00"), NOW - 2 * hours,
                 "O. Operator", "exceptions", {"cause": "balance_mismatch"}),
        HandItem("case", "Block order 4500001873 again: Hoshino Precision KK", "The customer has asked for a standstill agreement", money("95160.00"),
                 NOW - 2 * hours, None, "exposure", {"case": "8"}),
        HandItem("feed", "sap-apac billing is late", "Newest data 94 minutes old, target 30", None, NOW - hours, None, "connections", {"connection": "sap-apac"}),
    ]  # fmt: skip


def feeds(*, stale: bool = False) -> list[Feed]:
    """Every stream of every connection."""
    listed = []
    streams = {
        "sap-emea": ("sap_s4", "EMEA", ("business_partners", "sales_orders", "billing_documents", "accounting_items", "credit_accounts")),
        "sap-na": ("sap_s4", "NA", ("sales_orders", "billing_documents", "accounting_items")),
        "sap-apac": ("sap_s4", "APAC", ("sales_orders", "billing_documents", "accounting_items")),
        "salesforce": ("salesforce", "EMEA", ("accounts", "contracts", "opportunities")),
        "kyriba": ("kyriba", "EMEA", ("balances", "cash_flows")),
        "bank-emea": ("bank_files", "EMEA", ("statements",)),
        "legacy-latam": ("flat_files", "LATAM", ("open_items",)),
    }
    for at, (connection, (system, region, names)) in enumerate(streams.items()):
        for index, stream in enumerate(names):
            late = stale or (connection == "sap-apac" and stream == "billing_documents")
            age = 5640 if late else 25 + 31 * at + 7 * index
            limit = 100000 if system in ("salesforce", "kyriba") else None
            listed.append(Feed(
                connection=connection, system=system, stream=stream, region=region, health="bad" if late else "warning" if age > 200 else "good",
                words="The system does not answer; tried 6 times" if late else "fresh", newest_data_at=NOW - timedelta(seconds=age),
                last_success_at=NOW - timedelta(seconds=age // 2), next_attempt_at=NOW + timedelta(seconds=40), age_seconds=age, target_seconds=1800,
                lag_p50_seconds=14.0 + at, lag_p95_seconds=61.0 + 9 * at, records_total=18240 + 977 * at * (index + 1), failures=6 if late else 0,
                breaker_open=late, is_paused=False, last_error="No answer within 30 s from the S/4HANA host" if late else None,
                budget_used=41822 if limit else None, budget_limit=limit, open_exceptions=10214 if (connection, stream) == ("sap-na", "billing_documents") else index,
            ))  # fmt: skip
    return listed


def cohorts() -> pl.DataFrame:
    """Weekly percentiles, all and by region."""
    rows = []
    for week in range(26):
        start = date(2026, 11, 16) - timedelta(weeks=25 - week)
        for shift, group in enumerate(("all", *REGIONS)):
            base = 38 + sin(week / 4 + shift) * 3 + (shift * 2 if shift else 0)
            settled = 1.0 if week < 16 else max(0.05, 1 - (week - 15) * 0.095)
            rows.append((start, base, base * 1.7 + 2, base * 2.1 + 3, 310 - shift * 40, int((310 - shift * 40) * settled), settled, group))
    return pl.DataFrame(rows, ("week", "p50", "p90", "p95", "invoices", "cleared", "settled_share", "group"), orient="row")


def breakdown(dimension: str) -> pl.DataFrame:
    """One line per value of the dimension."""
    pick = {"region": 2, "legal_entity": 3, "customer": 0, "country": 4, "currency": 5}[dimension]
    seen: dict[str, tuple[object, ...]] = {}
    for at, customer in enumerate(CUSTOMERS):
        key = customer[pick]
        name = customer[1] if dimension == "customer" else key
        seen[key] = (key, name, 420 - 37 * at, 36.0 + at * 2.5, 61.0 + at * 4, 78.0 + at * 5, 0.11 + at * 0.04,
                     Decimal(2_840_000 - 211_350 * at), Decimal(412_000 - 21_000 * at))  # fmt: skip
    return pl.DataFrame(list(seen.values()), {"key": pl.String, "name": pl.String, "invoices": pl.Int64, "p50": pl.Float64, "p90": pl.Float64, "p95": pl.Float64,
                                              "late_share": pl.Float64, "open": MONEY, "overdue": MONEY}, orient="row")  # fmt: skip


def aging() -> pl.DataFrame:
    """Open receivables by days past due."""
    rows = [("not due", "8412300.10", "120000", 1912), ("1-30", "2310450.00", "84000", 512), ("31-60", "910220.40", "61000", 201),
            ("61-90", "402118.00", "92000", 88), ("90+", "611900.75", "210400", 61), ("credits", "-181200.00", "0", 34)]  # fmt: skip
    return pl.DataFrame([(bucket, Decimal(amount), Decimal(disputed), count) for bucket, amount, disputed, count in rows],
                        {"bucket": pl.String, "amount": MONEY, "disputed": MONEY, "count": pl.Int64}, orient="row")  # fmt: skip


def survival() -> pl.DataFrame:
    """Share paid by day n, open invoices counted too."""
    return pl.DataFrame({"day": list(range(0, 121, 3)), "share_paid": [1 - exp(-((day / 48) ** 2.1)) for day in range(0, 121, 3)],
                         "share_amount_paid": [1 - exp(-((day / 55) ** 1.9)) for day in range(0, 121, 3)]})  # fmt: skip


def receivables_figures() -> list[Tile]:
    """The DSO family."""
    return [
        tile("dso_countback", "DSO, count-back", "44.0", "days", "receivables", change=Decimal("-0.8"), change_words="against last month",
             good_direction="down", definition="Months of sales that the open receivables amount to, latest first."),
        tile("best_possible_dso", "Best possible DSO", "31.2", "days", "receivables", definition="The same with receivables that are not due yet.", good_direction="down"),
        tile("late_share", "Late share", "28.4", "%", "receivables", change=Decimal("1.9"), change_words="against last month", good_direction="down",
             health="warning", definition="Invoices cleared after their due date, of all cleared.", sync_share=Decimal("0.3")),
        tile("cei", "Collection effectiveness", None, "%", "receivables", why_missing="needs 3 months of sales", definition="(AR0 + S - AR1) / (AR0 + S - current AR1)"),
    ]  # fmt: skip


def cash_figures() -> list[Tile]:
    """The tiles of Cash & forecast."""
    kept = [figure for figure in today_tiles() if figure.page == "cash"]
    return [
        *kept,
        tile("minimum_headroom", "Headroom over the minimum", "180240.00", "EUR", "cash", health="warning", good_direction="up", target=Decimal(500000),
             definition="The smallest gap between the p10 of the forecast and the minimum, over 13 weeks.", second_line="week of 2027-01-04"),
        tile("forecast_bias", "Forecast bias", "-3.4", "%", "cash", change=Decimal("0.6"), change_words="against last week", definition="Sum of F - A over sum of |A|."),
    ]  # fmt: skip


def exposure_figures() -> list[Tile]:
    """The tiles of Exposure."""
    kept = [figure for figure in today_tiles() if figure.page == "exposure"]
    return [
        *kept,
        tile("exposure_total", "Exposure", "8476000.00", "EUR", "exposure", good_direction="down", change=Decimal(118000), change_words="since yesterday",
             definition="Open orders, deliveries, unposted billing and open receivables, less secured.", spark=[8.1, 8.2, 8.15, 8.3, 8.4, 8.48]),
        tile("held_orders", "Held orders", "1", "count", "exposure", good_direction="down", definition="Cases that wait for a decision.", second_line="1.2 M EUR held"),
        tile("undelivered_contracts", "Undelivered contracts", "2000000.00", "EUR", "exposure", definition="Contract value that no order has drawn yet; not in exposure."),
    ]  # fmt: skip


def invoices() -> pl.DataFrame:
    """The invoices behind the percentiles."""
    rows = []
    for at in range(60):
        number, name, region, entity, _, currency = CUSTOMERS[at % len(CUSTOMERS)]
        issued = date(2026, 9, 7) + timedelta(days=at % 21)
        days = None if at % 4 == 0 else 22 + at
        gross = Decimal(1840 + 977 * at) + Decimal("0.50")
        rows.append((f"90{at:06d}", f"{name} ({number})", entity, region, issued, issued + timedelta(days=30),
                     issued + timedelta(days=days) if days else None, gross, gross if days is None else Decimal(0), currency, days, at % 11 == 0, (77 << 24) + at))  # fmt: skip
    return pl.DataFrame(rows, {"number": pl.String, "customer": pl.String, "legal_entity": pl.String, "region": pl.String, "issue_date": pl.Date,
                               "due_date": pl.Date, "cleared_on": pl.Date, "gross": MONEY, "open_amount": MONEY, "currency": pl.String,
                               "days_to_pay": pl.Int64, "is_disputed": pl.Boolean, "raw_record_id": pl.Int64}, orient="row")  # fmt: skip


def positions() -> pl.DataFrame:
    """Balances by account."""
    rows = []
    for at, (entity, (region, currency)) in enumerate(ENTITIES.items()):
        for account in range(3):
            local = Decimal(2_410_000 - at * 301_250 + account * 97_113) * (150 if currency == "JPY" else 1)
            rows.append((f"{entity}-{4711 + account}", entity, region, currency, local, Decimal(1_050_000 - at * 92_000 + account * 41_000),
                         TODAY - timedelta(days=1 if at else 0), "closing booked", "bank-emea" if region == "EMEA" else "kyriba"))  # fmt: skip
    return pl.DataFrame(rows, {"account": pl.String, "legal_entity": pl.String, "region": pl.String, "currency": pl.String, "amount": MONEY,
                               "amount_reporting": MONEY, "as_of_date": pl.Date, "balance_type": pl.String, "source": pl.String}, orient="row")  # fmt: skip


def fan() -> pl.DataFrame:
    """Thirteen weeks ahead."""
    rows = []
    for week in range(14):
        middle = 12_418_230 + week * 90_000 - 2_600_000 * sin(week / 3.2)
        rows.append(
            (
                date(2026, 11, 23) + timedelta(weeks=week),
                *(Decimal(round(middle + side * week * 320_000)) for side in (-1, 0, 1)),
                Decimal(8_500_000),
            )
        )
    return pl.DataFrame(rows, {"week": pl.Date, "p10": MONEY, "p50": MONEY, "p90": MONEY, "minimum": MONEY}, orient="row")


def bridge() -> pl.DataFrame:
    """From forecast to actual, the sync share apart."""
    rows = [("Forecast", "4810000", "total"), ("Timing", "-612000", "cause"), ("Amount", "-88400", "cause"), ("Currency", "21300", "cause"),
            ("Unforecast", "144000", "cause"), ("Missed", "-97500", "cause"), ("Sync delay", "-184200", "sync"), ("Actual", "3993200", "total")]  # fmt: skip
    return pl.DataFrame(
        [(step, Decimal(amount), kind) for step, amount, kind in rows],
        {"step": pl.String, "amount": MONEY, "kind": pl.String},
        orient="row",
    )


def bridge_items(cause: str) -> pl.DataFrame:
    """What lies behind one bar."""
    rows = [(f"90{at:06d}", CUSTOMERS[at % 8][1], TODAY - timedelta(days=9 - at), TODAY + timedelta(days=at), Decimal(-15_300 * (at + 1)), cause, "sap-apac",
             f"{at + 2} h: breaker open", (77 << 24) + at) for at in range(9)]  # fmt: skip
    return pl.DataFrame(rows, {"number": pl.String, "customer": pl.String, "expected": pl.Date, "actual": pl.Date, "amount": MONEY, "cause": pl.String,
                               "connection": pl.String, "late_by": pl.String, "raw_record_id": pl.Int64}, orient="row")  # fmt: skip


def accuracy() -> pl.DataFrame:
    """Forecast errors by horizon."""
    return pl.DataFrame([(horizon, 0.10 + weeks * 0.03, -0.02 * weeks, inflow) for weeks, horizon in enumerate(("1 week", "4 weeks", "13 weeks")) for inflow in (True, False)],
                        ("horizon", "wape", "bias", "inflow"), orient="row")  # fmt: skip


def credit_customers() -> pl.DataFrame:
    """Exposure against limits."""
    rows: list[tuple[object, ...]] = []
    for at, (number, name, region, *_rest) in enumerate(CUSTOMERS):
        limit = None if at == 6 else Decimal(900_000 + 150_000 * ((at * 5) % 8))
        exposed = Decimal(1_420_000 - at * 103_000)
        used = None if limit is None else float(exposed / limit)
        state = "no limit" if used is None else "breached" if used > 1 else "near" if used > 0.9 else "within"
        rows.append(
            (
                at + 1,
                number,
                name,
                region,
                exposed,
                limit,
                used,
                state,
                Decimal(90_000 + 11_000 * at),
                exposed * 4 / 10,
                exposed * 6 / 10,
                Decimal(250_000),
                Decimal(0),
            )
        )
    return pl.DataFrame(rows, {"party_id": pl.Int64, "number": pl.String, "name": pl.String, "region": pl.String, "exposure": MONEY, "credit_limit": MONEY,
                               "utilisation": pl.Float64, "limit_state": pl.String, "overdue": MONEY, "open_orders": MONEY, "open_receivables": MONEY,
                               "undelivered_contracts": MONEY, "secured": MONEY}, orient="row")  # fmt: skip


def breaches() -> pl.DataFrame:
    """Episodes above a limit."""
    rows = [(5, "Hoshino Precision KK", "APAC", NOW - timedelta(days=4), None, Decimal(1_180_000), Decimal(1_118_000), Decimal(1_000_000)),
            (1, "Nordwind Logistik GmbH", "EMEA", NOW - timedelta(days=41), NOW - timedelta(days=30), Decimal(1_520_000), Decimal(880_000), Decimal(1_400_000))]  # fmt: skip
    stamp = pl.Datetime("us", "UTC")
    return pl.DataFrame(rows, {"party_id": pl.Int64, "name": pl.String, "region": pl.String, "opened_at": stamp, "cleared_at": stamp, "peak": MONEY, "latest": MONEY,
                               "limit_amount": MONEY}, orient="row")  # fmt: skip


def decisions() -> pl.DataFrame:
    """What was decided, by rule or person."""
    rows = [(31 - at, NOW - timedelta(minutes=11 + 47 * at), f"Order 45000018{77 - at}", CUSTOMERS[at % 8][1], "release" if at % 3 else "hold",
             Decimal(118_000 + 9_500 * at), CUSTOMERS[at % 8][5], "order_to_cash 3", "within policy" if at % 3 else "exposure above limit", CUSTOMERS[at % 8][2],
             "the rule", f"sap-{CUSTOMERS[at % 8][2].lower()}", f"45000018{77 - at}")
            for at in range(12)]  # fmt: skip
    return pl.DataFrame(rows, {"id": pl.Int64, "decided_at": pl.Datetime("us", "UTC"), "subject": pl.String, "customer": pl.String, "outcome": pl.String,
                               "amount": MONEY, "currency": pl.String, "rule": pl.String, "reasons": pl.String, "region": pl.String,
                               "decided_by": pl.String, "source": pl.String, "order_key": pl.String}, orient="row")  # fmt: skip


def cases() -> list[Case]:
    """Held orders."""
    inputs = {"customer": "MX-00231", "credit_limit": "950000.00 EUR", "exposure_before": "1002000.00 EUR", "order_amount": "1240000.00 EUR",
              "overdue_share": "0.18", "p90_days_to_pay": "81", "facts_as_of": "2026-11-22T07:30:00+00:00"}  # fmt: skip
    effects: Sequence[str] = ("On approval: the order's block is removed in sap-emea", "A forecast event is published to kyriba")
    return [
        Case(7, "Order 4500001877", "Aceros del Norte SA", "LATAM", money("1240000.00"), "open", NOW - timedelta(hours=26), None, None, None,
             ("Exposure would reach 131 % of the limit", "18 % of receivables are overdue"), inputs, "order_to_cash", "3", effects,
             order=OrderKey("sap-latam", "4500001877")),
        Case(8, "Block order 4500001873 again", "Hoshino Precision KK", "APAC", money("15600000", "JPY"), "open", NOW - timedelta(hours=2), None, None, None,
             ("The customer has asked for a standstill agreement",), {"order": {"number": "4500001873", "delivery_block": None}, "change": "block_order"}, "person", "1", (), "Approve", "analyst", OrderKey("sap-apac", "4500001873")),
        Case(6, "Order 4500001802", "Harrow & Pike Ltd", "EMEA", money("96400.00", "GBP"), "approved", NOW - timedelta(days=3), "Oskar Operator",
             NOW - timedelta(days=2), "Bank guarantee received", ("Exposure would reach 104 % of the limit",), inputs, "order_to_cash", "3", effects,
             order=OrderKey("sap-emea", "4500001802")),
    ]  # fmt: skip
