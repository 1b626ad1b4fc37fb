"""Fetching and mapping beside writing: two threads, bounded queues, and every error carried across in its place."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from sync.errors import DataError
from sync.ports import Mapped, MapsTogether, Page, Pending, Source

QUEUE_PAGES = 8
TOGETHER_PAGES = 5
"""So many pages are mapped in one go, if they are there already."""
IDLE_SECONDS = 0.25
_Item = TypeVar("_Item")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A page with its mapping, or with the reason why it can't be believed as a whole."""

    page: Page
    mapped: Mapped | None
    refusal: DataError | None = None


class _End:
    """What follows the last page: nothing, or the error that ended the pull."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Pipeline:
    """`source`'s pages of one stream, fetched and mapped ahead of whoever iterates.

    Iterating yields Arrived in the order received, Pending as the source gave it, and None whenever nothing came for a quarter of a second. When the source
    fails, what it gave before is yielded first, then the error is raised.
    """

    def __init__(self, source: Source, stream: str, pages: Iterable[Page | Pending], *, atomic: bool) -> None:
        self._source = source
        self._stream = stream
        self._pages = pages
        self._cause = "file_unreadable" if atomic else "malformed_record"
        self._stop = threading.Event()
        self._fetched: queue.Queue[Page | Pending | _End] = queue.Queue(QUEUE_PAGES)
        self._mapped: queue.Queue[Arrived | Pending | _End] = queue.Queue(QUEUE_PAGES)
        self._threads = [
            threading.Thread(target=self._fetch, name=f"fetch {stream}", daemon=True),
            threading.Thread(target=self._map, name=f"map {stream}", daemon=True),
        ]

    def __iter__(self) -> Iterator[Arrived | Pending | None]:
        for thread in self._threads:
            thread.start()
        while True:
            try:
                item = self._mapped.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stops both threads between two pages and waits for them, at most for the page that is under way."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=30)

    def _fetch(self) -> None:
        error: BaseException | None = None
        try:
            for page in self._pages:
                if not self._put(self._fetched, page):
                    return
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the pages are written
            error = raised
        self._put(self._fetched, _End(error))

    def _map(self) -> None:
        while not self._stop.is_set():
            try:
                items = [self._fetched.get(timeout=IDLE_SECONDS)]
            except queue.Empty:
                continue
            while len(items) < TOGETHER_PAGES and isinstance(items[-1], Page):
                try:
                    items.append(self._fetched.get_nowait())
                except queue.Empty:
                    break
            arrived = self._all([item for item in items if isinstance(item, Page)])
            rest = [item for item in items if not isinstance(item, Page)]  # one at most, the last
            for item in (*arrived, *rest):
                if not self._put(self._mapped, item) or isinstance(item, _End):
                    return

    def _all(self, pages: list[Page]) -> list[Arrived]:
        if len(pages) > 1 and isinstance(self._source, MapsTogether):
            try:
                return [Arrived(page, mapped) for page, mapped in zip(pages, self._source.map_together(self._stream, pages), strict=True)]
            except Exception as error:
                if not isinstance(error, DataError):
                    _log.exception("pages could not be mapped together", stream=self._stream)
        return [self._one(page) for page in pages]

    def _one(self, page: Page) -> Arrived:
        try:
            return Arrived(page, self._source.map(self._stream, page))
        except DataError as refusal:
            return Arrived(page, None, refusal)
        except Exception as error:
            _log.exception("a page could not be mapped", stream=self._stream, page=page.name)
            words = f"the page could not be mapped: {type(error).__name__}: {error}"
            return Arrived(page, None, DataError(words, cause=self._cause, evidence={"error": repr(error)[:500]}))

    def _put(self, target: queue.Queue[_Item], item: _Item) -> bool:
        while not self._stop.is_set():
            try:
                target.put(item, timeout=IDLE_SECONDS)
            except queue.Full:
                continue
            return True
        return False
