"""Exposure: who owes too much, and what did we decide?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from app.desk import Case, Exposure, ExposureFilter, OrderKey, Tile
from app.live.amounts import shown
from app.live.figures import answer_tile
from app.live.orders import TITLES
from app.live.receivables import where_of
from db.engine import Reading
from db.money import AMOUNT
from metrics import reads
from sync import process_facts
from sync.connections import Landscape
from sync.rules.facts import Rates

_DECISIONS = """
select d.id, d.decided_at, initcap(d.subject_kind) || ' ' || coalesce(o.number, d.subject_key) as subject, p.name as customer, d.outcome,
  d.amount, d.currency, d.rule || ' ' || d.rule_version as rule, d.reasons, d.region, d.decided_by, o.source, o.source_key as order_key
from process.decision d left join canonical.party p on p.id = d.party_id
left join canonical.sales_order o
  on d.subject_kind = 'order' and o.source = d.subject_source and o.source_key = d.subject_key and not o.is_deleted
where (cast(:regions as text[]) is null or d.region = any(:regions)) and (cast(:party as bigint) is null or d.party_id = :party)
  and d.decided_at <= :at and d.rule in ('order_to_cash', 'person')
order by d.decided_at desc, d.id desc limit 300
"""

_CASES = """
select c.*, d.subject_kind, d.subject_source, d.reasons, d.inputs, d.rule, d.rule_version, p.name as party_name,
  array(select e.kind || ' in ' || e.connection || ': ' || e.state from process.effect e where e.decision_id = d.id or e.case_id = c.id order by e.id) as effects
from (select c.*, row_number() over (partition by c.state = 'open' order by coalesce(c.closed_at, c.opened_at) desc) as place
      from process."case" c
      where (cast(:regions as text[]) is null or c.region = any(:regions)) and (cast(:party as bigint) is null or c.party_id = :party)
        and c.opened_at <= :at) c
join process.decision d on d.id = c.decision_id left join canonical.party p on p.id = c.party_id
where c.state = 'open' or c.place <= 60
order by (c.state = 'open') desc, c.place
"""
_COLUMNS = (
    "party_id", "number", "name", "region", "exposure", "credit_limit", "utilisation", "limit_state", "overdue", "open_orders",
    "open_receivables", "undelivered_contracts", "secured",
)  # fmt: skip


def answer(conn: Reading, landscape: Landscape, query: ExposureFilter, *, now: datetime, known_at: datetime | None) -> Exposure:
    """The page: everybody's exposure, the breaches, what was decided, and the cases that wait."""
    at = known_at or now
    currency = landscape.reporting_currency
    where = where_of(query.regions)
    everybody = reads.exposures(conn, reporting_currency=currency, known_at=known_at, where=where)
    state = pl.when(_breached()).then(pl.lit("breached")).otherwise(pl.col("limit_state")).alias("limit_state")
    customers = everybody.with_columns(state, pl.col("utilisation").cast(pl.Float64)).select(_COLUMNS)
    breaches = reads.breaches(conn, at=at, where=where, parties=[query.party] if query.party is not None else None)
    asked = {"regions": list(query.regions) or None, "party": query.party, "at": at}
    cases = [_case(row, currency) for row in conn.execute(sa.text(_CASES), asked)]
    return Exposure(
        as_of=at,
        currency=currency,
        rate_date=reads.rate_date(conn, at.date()),
        figures=_figures(customers, cases, at, process_facts.rates(conn, currency, at.date())),
        customers=customers.filter(pl.col("limit_state") == "breached") if query.only_breached else customers,
        breaches=breaches.select("party_id", "name", "region", "opened_at", "cleared_at", "peak", "latest", "limit_amount"),
        decisions=_decisions(conn, asked),
        cases=cases,
    )


def _breached() -> pl.Expr:
    return (pl.col("limit_state") == "valid") & (pl.col("exposure") > pl.col("credit_limit"))


def _decisions(conn: Reading, asked: dict[str, Any]) -> pl.DataFrame:
    schema: dict[str, Any] = {
        "id": pl.Int64, "decided_at": pl.Datetime("us", "UTC"), "subject": pl.String, "customer": pl.String, "outcome": pl.String,
        "amount": AMOUNT, "currency": pl.String, "rule": pl.String, "reasons": pl.String, "region": pl.String,
        "decided_by": pl.String, "source": pl.String, "order_key": pl.String,
    }  # fmt: skip
    rows = [
        {**row, "reasons": "; ".join(_words(reason) for reason in row["reasons"]), "decided_by": _who(row["decided_by"])}
        for row in conn.execute(sa.text(_DECISIONS), asked).mappings()
    ]
    return pl.DataFrame(rows, schema=schema)


def _words(reason: str) -> str:
    """A stored reason is `code: words`; people read the words."""
    code, sign, words = reason.partition(": ")
    return words if sign else code


def _who(decided_by: str) -> str:
    """A rule decides as `rule:NAME`; a person by name."""
    return "the rule" if decided_by.startswith("rule:") else decided_by


def case_title(subject_kind: str, subject_key: str, customer: str | None, *, change: str | None = None) -> str:
    """What a case is about, in words; `change`: what a person asked of the order."""
    of = f": {customer}" if customer else ""
    if change in TITLES:
        return f"{TITLES[change].format(subject_key)}{of}"
    return f"Limit exceeded{of}" if subject_kind == "customer" else f"Order {subject_key} held{of}"


def _case(row: Any, currency: str) -> Case:
    change = (row.context or {}).get("change")
    return Case(
        id=row.id,
        title=case_title(row.subject_kind, (row.context or {}).get("number") or row.subject_key, None, change=change),
        customer=row.party_name or row.customer_name,
        region=row.region,
        amount=shown(row.amount, row.currency or currency) if row.amount is not None else None,
        state=row.state,
        opened_at=row.opened_at,
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        reason=row.reason,
        reasons=tuple(_words(reason) for reason in row.reasons),
        inputs=row.inputs or {},
        rule=row.rule,
        rule_version=row.rule_version,
        effects=tuple(row.effects),
        approval="Approve" if change else "Approve and release",
        asked_by=row.opened_by if change else None,
        order=OrderKey(row.subject_source, row.subject_key) if row.subject_kind == "order" else None,
    )


def _figures(customers: pl.DataFrame, cases: Sequence[Case], at: datetime, rates: Rates) -> list[Tile]:
    currency = rates.reporting
    breached = customers.filter(pl.col("limit_state") == "breached")
    total = Decimal(customers["exposure"].sum() or 0) if customers.height else None
    undelivered = Decimal(customers["undelivered_contracts"].sum() or 0) if customers.height else None
    waiting = [case for case in cases if case.state == "open"]
    converted = [rates.convert(case.amount.value, case.amount.currency) for case in waiting if case.amount]
    held = sum((value for value in converted if value is not None), Decimal(0))
    unrated = sum(value is None for value in converted)
    over = Decimal((breached["exposure"] - breached["credit_limit"]).sum() or 0) if breached.height else Decimal(0)
    missing = "no customers are linked yet"
    return [
        answer_tile("exposure_total", total, currency, page="exposure", now=at, missing=missing, health="good",
                    second_line=f"{customers.height} customers"),
        answer_tile("exposure_breaches", Decimal(breached.height) if customers.height else None, "count", page="exposure", now=at,
                    missing=missing, health="warning" if breached.height else "good", target=Decimal(0),
                    second_line=f"{over / 1_000_000:,.2f} M {currency} above limits" if breached.height else "all within limits"),
        answer_tile("open_cases", Decimal(len(waiting)), "count", page="exposure", now=at, title="Cases waiting for a decision", good="down",
                    health="warning" if waiting else "good", second_line=_held(held, currency, unrated),
                    definition="Cases that a rule opened for finance operations and nobody has decided yet."),
        answer_tile("undelivered_contracts", undelivered, currency, page="exposure", now=at, title="Undelivered contract value",
                    missing=missing, health="good", good="down", second_line="beside exposure, never inside",
                    definition="Value of activated contracts not yet ordered: a named extra."),
    ]  # fmt: skip


def _held(held: Decimal, currency: str, unrated: int) -> str | None:
    """What waits, in the reporting currency; amounts without a reference rate are said to be left out."""
    left_out = f", {unrated} without a rate left out" if unrated else ""
    return f"{held / 1_000_000:,.2f} M {currency}{left_out}" if held or unrated else None
