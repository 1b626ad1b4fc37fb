"""Cases 6, 7 and 10: what a page reads, what a refresh of touched groups costs, a full exposure pass; then the same at ten times the rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import UTC, date, datetime

import sqlalchemy as sa

from db.engine import driver, reading, writing
from metrics import reads, refresh
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SINCE = date(2025, 8, 25)
PAGE_MS, AD_HOC_MS, REFRESH_MS = 10, 100, 150
TOUCHED_GROUPS = 120

_WORLD = """
insert into canonical.party (id, name, number, country, region, recorded_at) overriding system value
  select n, 'P' || n, n::text, 'DE', (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], now() from generate_series(1, {customers}) n;
insert into canonical.customer (source, source_key, source_version, content_hash, region, changed_at, recorded_at, raw_record_id, contract_version, number, name)
  select 'erp', 'C' || n, 1, n, (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], '2026-01-01', '2026-01-01', 0, 1, n::text, 'P' || n from generate_series(1, {customers}) n;
insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, recorded_at)
  select 'erp', 'C' || n, n, (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], 'number', 1, now() from generate_series(1, {customers}) n;
insert into canonical.credit_limit (source, source_key, source_version, content_hash, region, changed_at, recorded_at, raw_record_id, contract_version, customer_key, limit_amount, currency)
  select 'erp', 'L' || n, 1, n, (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], '2026-01-01', '2026-01-01', 0, 1, 'C' || n, 1000, 'EUR' from generate_series(1, {customers}) n;
insert into canonical.invoice (source, source_key, source_version, content_hash, legal_entity, region, changed_at, recorded_at, raw_record_id, contract_version,
                               number, customer_key, issue_date, due_date, gross, currency, status)
  select 'erp', 'I' || n, 1, n, 'E' || n % 3, (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], '2026-01-01', '2026-01-01', 0, 1,
         n::text, 'C' || (1 + n % {customers}), date '2024-03-04' + (n % 728), date '2024-04-03' + (n % 728), 10 + n % 990, 'EUR', 'posted'
  from generate_series(1, {invoices}) n;
insert into canonical.payment_application (source, source_key, source_version, content_hash, region, changed_at, recorded_at, raw_record_id, contract_version,
                                           invoice_key, amount, currency, clearing_date)
  select 'erp', 'A' || n, 1, n, (array['EMEA','NA','LATAM','APAC'])[1 + n % 4], '2026-01-01', '2026-01-01', 0, 1,
         'I' || n, 10 + n % 990, 'EUR', date '2024-03-04' + (n % 728) + (n % 70 * 7919 % 70) from generate_series(1, {invoices}) n where n % 10 > 0;
analyze
"""
_OVER_FACTS = """
select date_trunc('week', i.issue_date) as week, i.region, i.legal_entity, i.currency, count(*), count(a.last_on),
       percentile_cont(array[0.5, 0.9, 0.95]) within group (order by a.last_on - i.issue_date)
from canonical.invoice i
left join (select source, invoice_key, max(clearing_date) as last_on from canonical.payment_application where not is_reversed group by 1, 2) a
  on a.source = i.source and a.invoice_key = i.source_key
where i.issue_date >= %s and not i.is_deleted group by 1, 2, 3, 4
"""
_TOUCH = """
insert into measure.touched (kind, source, key, marked_at)
select 'invoice', source, min(source_key), clock_timestamp() from measure.invoice_fact
group by source, week, region, legal_entity, currency order by week desc limit %s
"""


def run(bench: Bench) -> Iterator[Ratio]:
    """The measure cases at `rows` invoices and at ten times as many."""
    small, large = _world(bench, bench.rows), _world(bench, 10 * bench.rows)
    try:
        yield from _reads(bench, large)
        yield _refreshed(bench, large)
        yield _exposure(bench, large)
        yield _growth(bench, small, large)
    finally:
        small.dispose()
        large.dispose()


def _world(bench: Bench, invoices: int) -> sa.Engine:
    engine = bench.engine(bench.new_database())
    with writing(engine) as conn:
        for statement in _WORLD.format(invoices=invoices, customers=max(100, invoices // 30)).split(";"):
            driver(conn).execute(statement.encode())
    took = seconds(lambda: refresh.rebuild(engine, now=NOW, reporting_currency="EUR"))
    with writing(engine) as conn:
        driver(conn).execute("analyze")
    bench.notes.append(f"all measures of {invoices:,} invoices rebuilt from the facts in {took:.1f} s")
    return engine


def _page(engine: sa.Engine) -> None:
    with reading(engine) as conn:
        reads.cohort_slice(conn, since=SINCE)


def _ad_hoc(engine: sa.Engine) -> None:
    with reading(engine) as conn:
        reads.ledger(conn, reporting_currency="EUR", customer="C7")


def _over_facts(engine: sa.Engine) -> None:
    with reading(engine) as conn:
        driver(conn).execute(_OVER_FACTS, [SINCE]).fetchall()


def _reads(bench: Bench, engine: sa.Engine) -> Iterator[Ratio]:
    _page(engine)
    arms = {"page": lambda: seconds(lambda: _page(engine)), "facts": lambda: seconds(lambda: _over_facts(engine)),
            "ad hoc": lambda: seconds(lambda: _ad_hoc(engine))}  # fmt: skip
    took = rounds(bench.rounds, arms)
    yield Ratio("6 a page's slice, 26 weeks", "rollup", "SQL over facts", faster(took["page"], took["facts"]))
    yield _against("6 a page's slice, 26 weeks", took["page"], PAGE_MS)
    yield _against("6 ad-hoc filter", took["ad hoc"], AD_HOC_MS)


def _refreshed(bench: Bench, engine: sa.Engine) -> Ratio:
    """Marks in 120 groups; forecast and past figures are made once before, as they are not part of a touched group."""

    def touched() -> float:
        with writing(engine) as conn:
            driver(conn).execute(_TOUCH, [TOUCHED_GROUPS])
        return seconds(lambda: refresh.run(engine, now=NOW, reporting_currency="EUR"))

    touched()
    return _against(f"6 refresh of {TOUCHED_GROUPS} touched groups", rounds(bench.rounds, {"refresh": touched})["refresh"], REFRESH_MS)


def _exposure(bench: Bench, engine: sa.Engine) -> Ratio:
    """Every party at once against the same parties one by one, per party."""
    with reading(engine) as conn:
        parties = reads.exposures(conn, reporting_currency="EUR")["party_id"].to_list()
    some = parties[:50]

    def all_at_once() -> float:
        def work() -> None:
            with writing(engine) as conn:
                refresh.put_exposure(conn, None, now=NOW, reporting_currency="EUR")

        return seconds(work) / len(parties)

    def one_by_one() -> float:
        def work() -> None:
            for party in some:
                with writing(engine) as conn:
                    refresh.put_exposure(conn, [party], now=NOW, reporting_currency="EUR")

        return seconds(work) / len(some)

    took = rounds(bench.rounds, {"set": all_at_once, "each": one_by_one})
    rate = 1 / statistics.median(took["set"])
    return Ratio("7 exposure from facts", "one pass", "party by party", faster(took["set"], took["each"]), rate=rate, unit="parties/s")


def _growth(bench: Bench, small: sa.Engine, large: sa.Engine) -> Ratio:
    _page(small)
    took = rounds(max(bench.rounds, 9), {"small": lambda: seconds(lambda: _page(small)), "large": lambda: seconds(lambda: _page(large))})
    values = tuple(ours / theirs for ours, theirs in zip(took["large"], took["small"], strict=True))
    return Ratio("10 a page's slice at 10x the rows", "10x", "1x", values, 1.5, at_most=True)


def _against(case: str, took: list[float], goal_ms: int) -> Ratio:
    """Milliseconds as a share of the goal."""
    values = tuple(one * 1000 / goal_ms for one in took)
    return Ratio(case, "Tidegate", f"{goal_ms} ms", values, 1.0, at_most=True, rate=statistics.median(took) * 1000, unit="ms")
