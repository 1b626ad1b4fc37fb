"""Everything a page may ask or command: the `Desk` protocol and the view dataclasses it hands out.

Pages, charts and widgets know this module and nothing below it. A Desk speaks for one person: what it returns is already cut to
the regions that person may see, and every command is checked again where it is carried out. `known_at` (UTC) asks for the page as
it was known at that moment; None means now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import polars as pl

from app.queue_views import (
    ConnectionView,
    EventLine,
    Evidence,
    ExceptionDetail,
    ExceptionFilter,
    ExceptionGroup,
    ExceptionRow,
    Exceptions,
    HistoryLine,
    Hop,
    Intent,
    Journey,
    JourneyHit,
    OrderChange,
    OrderRequest,
    Preview,
    PreviewLine,
    Receipt,
    RunLine,
    SalesOrder,
)
from app.views import (
    Amount,
    Case,
    Cash,
    CashFilter,
    DeskError,
    Exposure,
    ExposureFilter,
    Feed,
    HandItem,
    Health,
    NotAllowed,
    OrderKey,
    Person,
    Receivables,
    ReceivablesFilter,
    Tile,
    Today,
    Trend,
    WhatIf,
)

__all__ = [
    "Amount",
    "Case",
    "Cash",
    "CashFilter",
    "ConnectionView",
    "Desk",
    "DeskError",
    "EventLine",
    "Evidence",
    "ExceptionDetail",
    "ExceptionFilter",
    "ExceptionGroup",
    "ExceptionRow",
    "Exceptions",
    "Exposure",
    "ExposureFilter",
    "Feed",
    "HandItem",
    "Health",
    "HistoryLine",
    "Hop",
    "Intent",
    "Journey",
    "JourneyHit",
    "NotAllowed",
    "OrderChange",
    "OrderKey",
    "OrderRequest",
    "Person",
    "Preview",
    "PreviewLine",
    "Receipt",
    "Receivables",
    "ReceivablesFilter",
    "RunLine",
    "SalesOrder",
    "Tile",
    "Today",
    "Trend",
    "WhatIf",
]


class Desk(Protocol):
    """What a page may ask and command. Raises DeskError with words fit for a person."""

    @property
    def person(self) -> Person: ...

    def now(self) -> datetime: ...

    def rehearsal(self) -> str | None:
        """Words on the rehearsal clock when the sandbox's compressed time is in force, else None."""
        ...

    def today(self, known_at: datetime | None = None) -> Today: ...

    def receivables(self, query: ReceivablesFilter, known_at: datetime | None = None) -> Receivables: ...

    def invoices(self, query: ReceivablesFilter, known_at: datetime | None = None) -> pl.DataFrame:
        """number, customer, legal_entity, region, issue_date, due_date, cleared_on, gross, open_amount, currency, days_to_pay, is_disputed, raw_record_id."""
        ...

    def cash(self, query: CashFilter, known_at: datetime | None = None) -> Cash: ...

    def exposure(self, query: ExposureFilter, known_at: datetime | None = None) -> Exposure: ...

    def what_if(self, party: int, amount: Decimal, currency: str) -> WhatIf: ...

    def exceptions(self, query: ExceptionFilter, page: int = 0, page_size: int = 50) -> Exceptions: ...

    def exception(self, exception_id: int) -> ExceptionDetail: ...

    def preview(self, ids: Sequence[int], query: ExceptionFilter | None) -> Preview: ...

    def search(self, text: str) -> Sequence[JourneyHit]: ...

    def journey(self, number: str, known_at: datetime | None = None) -> Journey | None: ...

    def order(self, order: OrderKey) -> SalesOrder:
        """The order with the changes that may be asked of it and what was asked before; DeskError when it is not there to be seen."""
        ...

    def connections(self) -> Sequence[ConnectionView]: ...

    def evidence(self, raw_record_id: int) -> Evidence: ...

    def submit(self, intent: Intent) -> Receipt: ...

    def receipt(self, command_id: int) -> Receipt: ...
