"""Today: is money moving as it should? Five figures, what needs a hand, and how fresh it all is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from app.desk import Amount, Feed, HandItem, Person, Tile, Today
from app.live import sources
from app.live.accuracy import accuracy_tile
from app.live.amounts import shown
from app.live.exceptions import title_of
from app.live.exposure import case_title
from app.live.figures import answer_tile, tile
from db.engine import Reading
from metrics import reads
from sync import exception_queries, process_facts
from sync.connections import Landscape
from sync.exception_filter import ExceptionFilter
from sync.rules.facts import Rates

_SLUGS = ("cash_position", "invoice_to_payment_p50", "invoice_to_payment_p90", "exposure_breaches", "exposure_total")

_OPEN_BY_DAY = """
select d.day, count(e.id) as n from generate_series(cast(:first as date), cast(:last as date), interval '1 day') as d(day)
left join process.exception e on e.first_seen < d.day + interval '1 day'
  and (e.resolved_at is null or e.resolved_at >= d.day + interval '1 day')
  and not (e.state = 'dismissed' and e.last_seen < d.day)
group by d.day order by d.day
"""

_CASES = """
select c.id, c.kind, c.customer_name, c.subject_key, c.party_id, c.amount, c.currency, c.opened_at, c.region, d.reasons, d.subject_kind,
  c.context ->> 'change' as change, c.context ->> 'number' as number
from process."case" c join process.decision d on d.id = c.decision_id where c.state = 'open' order by c.opened_at
"""


def today(conn: Reading, landscape: Landscape, person: Person, *, now: datetime, known_at: datetime | None) -> Today:
    """The page as it is, or as it was at `known_at`: figures of that day and what was open then."""
    at = known_at or now
    currency = landscape.reporting_currency
    headlines = reads.headlines(conn, _SLUGS, on=at.date(), regions=person.regions)
    p90 = headlines.get("invoice_to_payment_p90")
    accounts = headlines["cash_position"].count if "cash_position" in headlines else None
    tiles = [
        tile("cash_position", headlines.get("cash_position"), now=at, second_line=f"{accounts} accounts" if accounts else None),
        tile(
            "invoice_to_payment_p50",
            headlines.get("invoice_to_payment_p50"),
            now=at,
            second_line=f"p90 {p90.value:.0f} days" if p90 is not None and p90.value is not None else None,
        ),
        accuracy_tile(conn, at=at, currency=currency, regions=person.regions),
        tile("exposure_breaches", headlines.get("exposure_breaches"), now=at, second_line=_above_limits(conn, currency, known_at)),
        _open_exceptions(conn, at, currency),
    ]
    feeds = sources.feeds(conn, landscape, now=now)
    oldest = sources.oldest(feeds)
    return Today(
        as_of=at,
        tiles=[replace(one, oldest_feed=oldest) for one in tiles],
        needs_a_hand=_hand(conn, person, feeds, now=now, currency=currency),
        feeds=feeds,
    )


def _above_limits(conn: Reading, currency: str, known_at: datetime | None) -> str | None:
    if known_at is not None:
        return None
    above = conn.execute(
        sa.text("select sum(exposure - credit_limit) from measure.exposure where limit_state = 'valid' and exposure > credit_limit")
    ).scalar_one()
    return f"{above / 1_000_000:,.1f} M {currency} above limits" if above else None


def _open_exceptions(conn: Reading, at: datetime, currency: str) -> Tile:
    count, money = exception_queries.total(conn, ExceptionFilter())
    days = conn.execute(sa.text(_OPEN_BY_DAY), {"first": at.date() - timedelta(days=13), "last": at.date()}).all()
    before = days[-2].n if len(days) > 1 else None
    return answer_tile(
        "open_exceptions",
        Decimal(days[-1].n if days else count),
        "count",
        page="exceptions",
        now=at,
        title="Open exceptions",
        second_line=f"{money / 1000:,.0f} k {currency} at risk" if money else "no money at risk",
        health="good" if count == 0 else "warning",
        target=Decimal(0),
        spark=[float(day.n) for day in days],
        change=Decimal((days[-1].n if days else count) - before) if before is not None else None,
        change_words="since yesterday",
        good="down",
        definition="Records, files, writes and streams that could not pass and wait for somebody.",
    )


def _hand(conn: Reading, person: Person, feeds: Sequence[Feed], *, now: datetime, currency: str) -> list[HandItem]:
    """What needs somebody, ranked by money; what has no price comes last, oldest first."""
    items: list[HandItem] = []
    if person.may("operator") or person.may("auditor"):
        items += _exception_items(conn, now, currency)
    cases = conn.execute(sa.text(_CASES)).all()
    items += _case_items(cases, process_facts.rates(conn, currency, now.date())) + _breach_items(
        conn, now, currency, without={row.party_id for row in cases if row.subject_kind == "customer"}
    )
    items += [
        HandItem("feed", f"{feed.connection}: {feed.stream}", feed.words, None, feed.last_success_at or now, None, "connections",
                 {"connection": feed.connection})
        for feed in feeds
        if feed.health == "bad"
    ]  # fmt: skip
    return sorted(items, key=lambda item: (-(item.money.value if item.money else Decimal(0)), item.since))


def _exception_items(conn: Reading, now: datetime, currency: str) -> list[HandItem]:
    return [
        HandItem(
            kind="exceptions",
            title=f"{title_of(group.cause)} ({group.count:,})",
            detail=f"{group.connection}{' · ' + group.entity.replace('_', ' ') if group.entity else ''}",
            money=shown(group.money, currency) if group.money is not None else None,
            since=group.first_seen,
            owner=None,
            page="exceptions",
            params={"cause": group.cause, "connection": group.connection, "fingerprint": group.fingerprint},
        )
        for group in exception_queries.groups(conn, ExceptionFilter(), now=now, limit=200)
    ]


def _case_items(cases: Sequence[Any], rates: Rates) -> list[HandItem]:
    """The open cases, their money in the reporting currency, as only that can be ranked; an amount without a rate is worth no place."""
    return [
        HandItem(
            kind="case",
            title=case_title(row.subject_kind, row.number or row.subject_key, row.customer_name, change=row.change),
            detail="; ".join(reason.partition(": ")[2] or reason for reason in row.reasons)
            if row.reasons
            else f"order {row.subject_key} waits for a decision",
            money=_converted(row.amount, row.currency, rates),
            since=row.opened_at,
            owner=None,
            page="exposure",
            params={"case": str(row.id)},
        )
        for row in cases
    ]


def _converted(amount: Decimal | None, currency: str | None, rates: Rates) -> Amount | None:
    value = rates.convert(amount, currency) if amount is not None and currency else None
    return shown(value, rates.reporting) if value is not None else None


def _breach_items(conn: Reading, now: datetime, currency: str, *, without: Collection[int]) -> list[HandItem]:
    """Open breaches that no case stands for already."""
    frame = reads.breaches(conn, at=now).filter(pl.col("cleared_at").is_null() & ~pl.col("party_id").is_in(list(without)))
    return [
        HandItem(
            kind="breach",
            title=f"Over its limit: {row['name']}",
            detail=f"limit {row['limit_amount']:,.0f} {currency}, peak {row['peak']:,.0f} {currency}",
            money=shown(row["latest"] - row["limit_amount"], currency),
            since=row["opened_at"],
            owner=None,
            page="exposure",
            params={"party": str(row["party_id"])},
        )
        for row in frame.iter_rows(named=True)
        if row["limit_amount"] is not None and row["latest"] > row["limit_amount"]
    ]
