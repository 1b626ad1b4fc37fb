"""Several JSON pages mapped as if they were one, and each one's part of the result. Pure.

An expression costs as much to set up as to apply to hundreds of rows: a mapping of five pages at once takes half of what five mappings
take. Only pages whose records are all alike go together; all others are mapped as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import overload

import msgspec
import polars as pl

from sync.ports import Mapped
from sync.wire_alike import Alike
from sync.wire_rows import Rows

Raw = msgspec.Raw | bytes


def together(pages: Sequence[Rows], mapping: Callable[[Rows], Mapped]) -> list[Mapped]:
    """What `mapping` makes of each page. It must treat every record by itself, and claim nothing of a page as a whole."""
    alike = [page for page in pages if page.alike is not None]
    joined = _joined(alike)
    if joined is None:
        return [mapping(page) for page in pages]
    whole = mapping(joined)
    parts: list[Mapped] = []
    start = 0
    for page in pages:
        if page.alike is None:
            parts.append(mapping(page))
        else:
            parts.append(_part(whole, start, page.total))
            start += page.total
    return parts


def _joined(pages: Sequence[Rows]) -> Rows | None:
    alikes = [page.alike for page in pages if page.alike is not None]
    alike = Alike.joined(alikes) if len(alikes) > 1 else None
    return None if alike is None else Rows(range(alike.total), None, {}, _Chain([page.raw for page in pages]), alike)


def _part(whole: Mapped, start: int, count: int) -> Mapped:
    """The records from `start` on, numbered from 0."""
    ordinal = pl.col("ordinal")
    mine = ordinal.is_between(start, start + count - 1)

    def cut(frame: pl.DataFrame) -> pl.DataFrame:
        return frame if frame.is_empty() else frame.filter(mine).with_columns(ordinal - start)

    frames = {entity: cut(frame) for entity, frame in whole.frames.items()}
    return replace(whole, records=count, frames=frames, rejects=cut(whole.rejects), gone=cut(whole.gone))


class _Chain(Sequence[Raw]):
    """The records' bytes of several pages, put together only when one of them is asked for."""

    def __init__(self, pages: Sequence[Sequence[Raw]]) -> None:
        self._pages = pages

    @cached_property
    def _all(self) -> list[Raw]:
        return [record for page in self._pages for record in page]

    @overload
    def __getitem__(self, place: int) -> Raw: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Raw]: ...
    def __getitem__(self, place: int | slice) -> Raw | Sequence[Raw]:
        return self._all[place]

    def __len__(self) -> int:
        return sum(map(len, self._pages))
