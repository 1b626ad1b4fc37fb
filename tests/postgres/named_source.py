"""A source that can be asked for single records, whatever its stream is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sync.ports import Page, Stream
from tests.postgres.synthetic import MemorySource, customer


class NamedSource(MemorySource):
    """Has one stream in which nothing changes by itself, and shows every record that is asked for by name but those `gone`."""

    def __init__(self, stream: str, *, gone: Sequence[str] = ()) -> None:
        super().__init__()
        self.stream, self.gone = stream, gone
        self.asked: list[tuple[str, ...]] = []

    def streams(self) -> Sequence[Stream]:
        return (Stream(self.stream, ("customer",)),)

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        """One page of those that are there."""
        self.asked.append(tuple(keys))
        there = [customer(key, 9) for key in keys if key not in self.gone]
        for page in MemorySource({stream: [there]}).pull(stream, None, now=now):
            yield replace(page, cursor=None)
