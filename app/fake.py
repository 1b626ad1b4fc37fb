"""A Desk with invented answers, for page tests and for looking at the pages without a database.

Moods: `full` (figures everywhere), `empty` (a fresh installation), `stale` (feeds late, figures settling), `failing` (an error nobody
foresaw), `refusing` (every question is answered by a DeskError). What is submitted is kept in `submitted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import polars as pl

from app import fake_figures as figures
from app import fake_queue as queue
from app.desk import (
    Cash,
    CashFilter,
    ConnectionView,
    DeskError,
    Evidence,
    ExceptionDetail,
    ExceptionFilter,
    Exceptions,
    Exposure,
    ExposureFilter,
    Intent,
    Journey,
    JourneyHit,
    NotAllowed,
    OrderKey,
    Person,
    Preview,
    PreviewLine,
    Receipt,
    Receivables,
    ReceivablesFilter,
    SalesOrder,
    Tile,
    Today,
    WhatIf,
)
from sync.commands import NEEDS_REASON

Mood = Literal["full", "empty", "stale", "failing", "refusing"]
SENTINEL = "SECRET-7f3a connection to server at 10.0.0.7 failed"
"""What a failing desk's error says: no page may ever show it."""

_PEOPLE: Mapping[str, Person] = {
    "leader": Person("leader", "Lena Leitner", "leader@tidegate.example", frozenset({"leader"}), None),
    "analyst": Person("analyst", "Amir Analyst", "analyst@tidegate.example", frozenset({"analyst"}), None),
    "analyst-emea": Person("analyst-emea", "Elif Emea", None, frozenset({"analyst"}), frozenset({"EMEA"})),
    "operator": Person("operator", "Oskar Operator", "operator@tidegate.example", frozenset({"operator"}), None),
    "admin": Person("admin", "Ada Admin", "admin@tidegate.example", frozenset({"admin"}), None),
    "auditor": Person("auditor", "Aud Auditor", "auditor@tidegate.example", frozenset({"auditor"}), None),
}
_RATE_DATE = date(2026, 11, 20)
_kept: dict[str, FakeDesk] = {}


def from_environment(words: str) -> FakeDesk:
    """The desk that `mood:persona` names (`full`, `empty:leader`); one per process, so that what was submitted stays."""
    mood, _, persona = words.partition(":")
    if words not in _kept:
        if mood not in ("full", "empty", "stale", "failing", "refusing"):
            raise ValueError(f"{mood!r} is no mood of the fake desk")
        _kept[words] = FakeDesk(mood, persona or "admin")  # type: ignore[arg-type]
    return _kept[words]


class FakeDesk:
    """The Desk over the invented company. `steps`: how many looks at a receipt a command takes until it is done."""

    def __init__(self, mood: Mood = "full", persona: str = "admin", *, steps: int = 3) -> None:
        self.mood = mood
        self.submitted: list[Intent] = []
        self._person = _PEOPLE[persona]
        self._steps = steps
        self._looks: dict[int, int] = {}

    @property
    def person(self) -> Person:
        return self._person

    def now(self) -> datetime:
        return figures.NOW

    def rehearsal(self) -> str | None:
        return "Rehearsal clock: one day takes 5 minutes" if self.mood == "full" else None

    def today(self, known_at: datetime | None = None) -> Today:
        self._mood_check()
        if self._is_empty:
            return Today(figures.NOW, _missing(figures.today_tiles()), [], [])
        feeds = [feed for feed in figures.feeds(stale=self.mood == "stale") if self._sees(feed.region)]
        return Today(self._as_of(known_at), self._cut_tiles(figures.today_tiles()), figures.hand_items(), feeds)

    def receivables(self, query: ReceivablesFilter, known_at: datetime | None = None) -> Receivables:
        self._mood_check()
        tables = [figures.cohorts(), figures.breakdown(query.dimension), figures.aging(), figures.survival()]
        tiles: Sequence[Tile] = figures.receivables_figures()
        if self._is_empty:
            tables, tiles = [frame.clear() for frame in tables], _missing(tiles)
        entities = [code for code, (region, _) in figures.ENTITIES.items() if self._sees(region)]
        regions = [region for region in figures.REGIONS if self._sees(region)]
        cohorts, breakdown, aging, survival = tables
        return Receivables(
            self._as_of(known_at), "EUR", _RATE_DATE, self.mood == "stale", tiles, cohorts, breakdown, aging, survival, regions, entities
        )

    def invoices(self, query: ReceivablesFilter, known_at: datetime | None = None) -> pl.DataFrame:  # noqa: ARG002 - the invented facts never change
        self._mood_check()
        frame = self._cut(figures.invoices())
        if query.regions:
            frame = frame.filter(pl.col("region").is_in(list(query.regions)))
        if query.legal_entities:
            frame = frame.filter(pl.col("legal_entity").is_in(list(query.legal_entities)))
        if query.customer:
            frame = frame.filter(pl.col("customer").str.contains(query.customer, literal=True))
        if query.week:
            frame = frame.filter(pl.col("issue_date").is_between(query.week, query.week + timedelta(days=6)))
        return frame

    def cash(self, query: CashFilter, known_at: datetime | None = None) -> Cash:
        self._mood_check()
        items = figures.bridge_items(query.cause) if query.cause else figures.bridge_items("").clear()
        tables = [figures.positions(), figures.fan(), figures.bridge(), items, figures.accuracy()]
        tiles: Sequence[Tile] = figures.cash_figures()
        if self._is_empty:
            tables, tiles = [frame.clear() for frame in tables], _missing(tiles)
        tables[0] = self._cut(tables[0])
        if query.currency:
            tables[0] = tables[0].filter(pl.col("currency") == query.currency)
        if query.legal_entity:
            tables[0] = tables[0].filter(pl.col("legal_entity") == query.legal_entity)
        window = None if self._is_empty else (date(2026, 11, 16), date(2026, 11, 22))
        notes = [] if self._is_empty else ["Disputed receivables of 567,400.00 EUR are not in the forecast."]
        positions, fan, bridge, items, accuracy = tables
        return Cash(
            self._as_of(known_at), "EUR", _RATE_DATE, self.mood == "stale", tiles, positions, fan, bridge, items, accuracy, window, notes
        )

    def exposure(self, query: ExposureFilter, known_at: datetime | None = None) -> Exposure:
        self._mood_check()
        tables = [self._cut(frame) for frame in (figures.credit_customers(), figures.breaches(), figures.decisions())]
        if query.only_breached:
            tables[0] = tables[0].filter(pl.col("limit_state") == "breached")
        cases = [case for case in figures.cases() if self._sees(case.region)]
        tiles: Sequence[Tile] = figures.exposure_figures()
        if self._is_empty:
            tables, cases, tiles = [frame.clear() for frame in tables], [], _missing(tiles)
        customers, breaches, decisions = tables
        return Exposure(self._as_of(known_at), "EUR", _RATE_DATE, tiles, customers, breaches, decisions, cases)

    def what_if(self, party: int, amount: Decimal, currency: str) -> WhatIf:  # noqa: ARG002 - one invented policy for all
        self._mood_check()
        held = amount > 400_000
        return WhatIf("hold" if held else "release", ["Exposure would reach 131 % of the limit"] if held else ["Within policy"],
                      {"utilisation": "84 %"}, {"utilisation": "131 %" if held else "92 %"})  # fmt: skip

    def exceptions(self, query: ExceptionFilter, page: int = 0, page_size: int = 50) -> Exceptions:
        self._mood_check()
        if self._is_empty:
            return Exceptions(figures.NOW, 0, None, [], [], 0, page_size)
        rows = [row for row in queue.matching(query) if self._sees(row.region)]
        keys = {row.fingerprint for row in rows}
        groups = [group for group in queue.groups() if group.fingerprint in keys]
        total = sum(group.count for group in groups) if not (query.text or query.owner or query.state not in ("open", "any")) else len(rows)
        start = page * page_size
        return Exceptions(figures.NOW, total, figures.money("4347440.00"), groups, rows[start : start + page_size], page, page_size)

    def exception(self, exception_id: int) -> ExceptionDetail:
        self._mood_check()
        row = next((row for row in queue.rows() if row.id == exception_id and self._sees(row.region)), None)
        if row is None or self._is_empty:
            raise DeskError(f"There is no exception {exception_id} that you may see.")
        return queue.detail(row)

    def preview(self, ids: Sequence[int], query: ExceptionFilter | None) -> Preview:
        self._mood_check()
        rows = [row for row in queue.rows() if row.id in set(ids)] if ids else queue.matching(query or ExceptionFilter())
        lines = [PreviewLine(row.id, f"Invoice {row.source_key}", "insert into receivables of US01", f"promote:{row.source_key}:7", at == 1,
                             "customer's credit limit changed since" if at == 2 else None, row.money) for at, row in enumerate(rows[:8])]  # fmt: skip
        total = len(ids) or self.exceptions(query or ExceptionFilter()).total
        already = min(total, 1)
        return Preview(total, max(total - already - 2, 0), min(2, total - already), already, lines)

    def search(self, text: str) -> Sequence[JourneyHit]:
        self._mood_check()
        if self._is_empty or not text.strip():
            return []
        return [JourneyHit("90000003", "Invoice", "Cascadia Medical Supply", date(2026, 10, 14), figures.money("91000.40", "USD")),
                JourneyHit("4500001802", "Order", "Cascadia Medical Supply", date(2026, 10, 7), figures.money("91000.40", "USD"))]  # fmt: skip

    def journey(self, number: str, known_at: datetime | None = None) -> Journey | None:  # noqa: ARG002 - the invented facts never change
        self._mood_check()
        return None if self._is_empty else queue.journey(number)

    def order(self, order: OrderKey) -> SalesOrder:
        self._mood_check()
        region, customer, amount = queue.orders().get(order, ("", "", None))
        if self._is_empty or not region or not self._sees(region):
            raise DeskError(f"There is no order {order.key} of {order.source} that you may see.")
        return queue.order(order, region, customer, amount, self.submitted)

    def connections(self) -> Sequence[ConnectionView]:
        self._mood_check()
        views = [] if self._is_empty else queue.connections(figures.feeds(stale=self.mood == "stale"))
        return [view for view in views if self._sees(view.region)]

    def evidence(self, raw_record_id: int) -> Evidence:
        self._mood_check()
        return Evidence(raw_record_id, "sap-na", "billing_documents", "page 4121", figures.NOW - timedelta(hours=3), "sha256:9f2c", raw_record_id % 2**24,
                        queue.detail(queue.rows()[0]).record or "")  # fmt: skip

    def submit(self, intent: Intent) -> Receipt:
        self._mood_check()
        if not self._person.may("operator"):
            raise NotAllowed("Only operators may do that.")
        if intent.kind in NEEDS_REASON and not (intent.reason or "").strip():
            raise DeskError("Say why: this action is kept with its reason.")
        known = next((at for at, kept in enumerate(self.submitted) if kept.key == intent.key), None)
        if known is None:
            self.submitted.append(intent)
            known = len(self.submitted) - 1
        return self._receipt(known + 1)

    def receipt(self, command_id: int) -> Receipt:
        self._mood_check()
        if not 1 <= command_id <= len(self.submitted):
            raise DeskError(f"There is no command {command_id} that you may see.")
        self._looks[command_id] = self._looks.get(command_id, 0) + 1
        return self._receipt(command_id)

    @property
    def _is_empty(self) -> bool:
        return self.mood == "empty"

    def _receipt(self, command_id: int) -> Receipt:
        intent = self.submitted[command_id - 1]
        total = len(intent.payload.get("ids", ())) or (1_000 if "filter" in intent.payload else 1)
        looks = self._looks.get(command_id, 0)
        if intent.kind == "test_connection":
            return self._proof(command_id, intent, looks)
        if looks >= self._steps:
            return Receipt(command_id, intent.kind, "done", total, total, {"resolved": total}, "Done")
        return Receipt(command_id, intent.kind, "running" if looks else "queued", total, total * looks // self._steps, {}, "Working")

    def _proof(self, command_id: int, intent: Intent, looks: int) -> Receipt:
        every = queue.findings()
        if looks >= self._steps:
            words = f"{intent.payload['connection']}: 1 of {len(every)} not well"
            return Receipt(command_id, intent.kind, "done", 1, 1, {"findings": every, "ok": False}, words)
        found = every[: len(every) * looks // self._steps]
        return Receipt(command_id, intent.kind, "running" if looks else "queued", 1, 0, {"findings": found}, "Working")

    def _mood_check(self) -> None:
        if self.mood == "failing":
            raise RuntimeError(SENTINEL)
        if self.mood == "refusing":
            raise DeskError("The database is being restarted. This page comes back by itself.", reference="ref-refused")

    def _as_of(self, known_at: datetime | None) -> datetime:
        return known_at or (figures.NOW - timedelta(hours=3) if self.mood == "stale" else figures.NOW)

    def _sees(self, region: str) -> bool:
        return self._person.regions is None or region in self._person.regions

    def _cut(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame if self._person.regions is None else frame.filter(pl.col("region").is_in(sorted(self._person.regions)))

    def _cut_tiles(self, tiles: Sequence[Tile]) -> Sequence[Tile]:
        if self.mood != "stale":
            return tiles
        return [
            replace(tile, as_of=figures.NOW - timedelta(hours=3), health="unknown", oldest_feed="sap-apac, 94 min late") for tile in tiles
        ]


def _missing(tiles: Sequence[Tile]) -> Sequence[Tile]:
    return [replace(tile, value=None, change=None, change_words=None, spark=(), sync_share=None, second_line=None, oldest_feed=None, health="unknown",
                    why_missing="no data has arrived yet") for tile in tiles]  # fmt: skip
