"""Accounting items that are there no more. Only settled ones are archived, of which what they said stays; an open one is gone. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sync.systems.sap_s4.lines import Items
from sync.systems.sap_s4.presence import Present, present

LOST_MAX, LOST_SHARE = 5, 0.05
"""More open items than so many, and than this share of them, are not believed to be gone at once: a user may have lost sight of them."""


def believed(lost: Collection[str], opened: Collection[str]) -> bool:
    """Whether so many of the items that were open may be gone."""
    return len(lost) <= max(LOST_MAX, LOST_SHARE * len(opened))


def all_there_are(items: Items, now: datetime, *, from_year: int | None) -> list[Present]:
    """After everything of a company, or of all, was read: what is held as open and is not among it is gone. Nothing is said where an item
    does not show its key, or where it can't be told which were not asked for.
    """
    company = items.company
    if any(key.startswith("?") for key in items.lines) or (company is None and from_year is not None):
        return []
    after, upto = (None, None) if company is None else (f"{company}/{from_year or ''}", f"{company}/~")
    return [present("gl_posting", items.lines, now, after=after, upto=upto, only={"status": ("open",)})]


def gone(items: Items, lost: Collection[str], now: datetime) -> list[Present]:
    """That these items are gone, with what they paid; and the payments of which nothing is left."""
    docs = {key.rpartition("/")[0] for key in lost} - {line.doc for line in items.lines.values()}
    words = [present(entity, (), now, among=lost) for entity in ("gl_posting", "payment_application")]
    return [*words, present("payment", (), now, among=docs)] if lost else []
