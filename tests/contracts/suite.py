"""The one suite that every adapter passes. An adapter's author writes an `AdapterCase` and subclasses `AdapterSuite`:

    class SalesforceOpportunities(AdapterCase): ...          # a scripted or sandbox server, spoken to over real sockets or files

    class TestSalesforceOpportunities(AdapterSuite):
        @pytest.fixture
        def case(self) -> Iterator[AdapterCase]:
            with SalesforceOpportunities() as case:
                yield case

A case holds a little world of records: `put` makes the system hold a record, `source()` opens the adapter on it (anew each time,
as after a restart). `worth` is the number that the suite changes and finds again in `value_column`.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

import polars as pl
import pytest

from sync.canonical.causes import CAUSES
from sync.canonical.contracts import CONTRACTS, Contract
from sync.errors import DataError, SourceError
from sync.ports import REJECT_SCHEMA, Cursor, Filing, Mapped, Source
from tests.contracts.suite_store import Pulled, Store, ordinals, pages_of, pull, pull_pages

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
CHANGES_OF_CLOCKS = tuple(
    datetime(2026, month, day, hour, 30, tzinfo=UTC)
    for month, day, hours in ((3, 8, (5, 6)), (3, 29, (0, 1)), (10, 25, (0, 1)), (11, 1, (3, 4)))
    for hour in hours
)
"""Before and after clocks are changed in St John's and Berlin, twice each."""

ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")


@contextmanager
def machine_in(zone: str) -> Iterator[None]:
    """The process believes itself in another time zone for a while."""
    with pytest.MonkeyPatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        try:
            yield
        finally:
            there.undo()
            time.tzset()


class AdapterCase(ABC):
    """One stream of one adapter on a little world of its own."""

    system: ClassVar[str]
    """The adapter's name in the registry."""
    stream: ClassVar[str]
    entity: ClassVar[str]
    """The entity whose rows the suite looks at; the stream may feed others too."""
    value_column: ClassVar[str]
    """The column of `entity` that holds a record's worth."""
    late_by: ClassVar[timedelta] = 2 * MINUTE
    """How far behind the newest record already read a late commit may be stamped and must still be found."""
    refuses: ClassVar[Literal["record", "page"]] = "record"
    """What a record that can't pass costs: itself; or the whole page, where a page is a document that is true only as a whole, as a file
    of bank statements is. Pages then hold two records in the order in which they were put.
    """
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Field (dots go into objects, `*` into lists) -> what may become of it and then means something else by the system's contract, so that
    the record rightly lands as another or not at all; see tests/contracts/suite_drift.py.
    """
    base: ClassVar[int] = 7_000_000
    mark: ClassVar[str] = r"70\d{5}"
    """The suites of the wire know a record by what `mark` finds in its JSON: `base`, which is what the least record is worth, and its number."""
    needs: ClassVar[str | None] = None
    """A field without which a record can't land, where that which holds its worth is none."""
    tells_moments: ClassVar[bool] = True
    """Whether its records hold moments with a zone, and not days alone or what is in UTC by the system's contract."""
    most: ClassVar[int] = 10_000
    """So many records the world can hold at once, "k1" being the first."""
    now: datetime = NOW

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def source(self) -> Source:
        """The adapter, opened anew on the same world, with pages of two or three records."""

    @abstractmethod
    def put(self, key: str, worth: int, at: datetime) -> None:
        """The system now holds the record `key` ("k1", "k2", ...) worth `worth`, stamped `at`; again with the same key: changed."""

    @abstractmethod
    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        """As `put`, and the system delivers the record twice in one pull."""

    @abstractmethod
    def put_malformed(self, key: str, at: datetime) -> None:
        """The system now holds a record that can't pass, delivered among the good ones."""

    @abstractmethod
    def repeat_page(self) -> None:
        """From now on the system delivers a page again and again: its next link names the page itself, a file is sent once more ..."""

    @abstractmethod
    def heal(self) -> None:
        """Ends `repeat_page`."""

    @abstractmethod
    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        """A cursor of this stream as it would be had it been written a year ahead by a wrong clock."""

    def close(self) -> None:  # noqa: B027  (a case of plain files has nothing to stop)
        """Stops what the case started."""

    def source_key(self, key: str) -> str:
        """The canonical source_key of the record `key`."""
        return key

    def worth(self, row: dict[str, Any]) -> Decimal:
        """A row's worth."""
        return Decimal(row[self.value_column])


class AdapterSuite:
    """Subclass it, give it a `case` fixture; every test below then runs."""

    @pytest.fixture
    def case(self) -> AdapterCase:
        raise NotImplementedError("give the subclass a case fixture")

    def test_every_record_lands_once_with_its_worth(self, case: AdapterCase) -> None:
        """A first pull finds every record over several pages, whole and exact."""
        _fill(case, 7)
        store, done = _read(case)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, 8)}
        assert store.rejects == []
        assert done.cursor is not None

    def test_two_reads_in_a_row_change_nothing(self, case: AdapterCase) -> None:
        """A second pull from the first one's cursor brings nothing that is not already held."""
        _fill(case, 5)
        store, done = _read(case)
        before, changes = store.digest(), store.changes
        again, _ = _read(case, done.cursor, store)
        assert (again.digest(), again.changes) == (before, changes)

    def test_cursors_survive_as_json(self, case: AdapterCase) -> None:
        """Every cursor is JSON, and means the same after a round trip."""
        _fill(case, 5)
        _, done = _read(case)
        for page in done.pages:
            if page.cursor is not None:
                assert json.loads(json.dumps(page.cursor)) == page.cursor

    def test_restart_from_every_checkpoint_loses_nothing(self, case: AdapterCase) -> None:
        """A worker killed after any page goes on from the committed cursor and ends with the same facts."""
        _fill(case, 7)
        whole, done = _read(case)
        for killed_after in range(len(done.pages)):
            self._restart(case, killed_after, whole)

    def _restart(self, case: AdapterCase, killed_after: int, whole: Store) -> None:
        store = Store()
        source = case.source()
        try:
            cursor = pull_pages(source, case.stream, None, store, now=case.now, pages=killed_after)
        finally:
            source.close()
        _read(case, cursor, store)
        assert _worths(case, store) == _worths(case, whole), f"killed after {killed_after} pages"

    def test_a_cursor_from_the_future_hides_nothing(self, case: AdapterCase) -> None:
        """A cursor that a wrong clock wrote is held to the present: a record of now is still found, and the next cursor is sane."""
        _fill(case, 3)
        store, done = _read(case)
        cursor = case.future_cursor(done.cursor)
        case.put("k9", 900, case.now - MINUTE)
        _, after = _read(case, cursor, store)
        case.put("k10", 910, case.now)
        _read(case, after.cursor, store, now=case.now + 5 * MINUTE)
        assert {case.source_key("k9"), case.source_key("k10")} <= _worths(case, store).keys()

    def test_a_page_that_repeats_ends_and_loses_nothing(self, case: AdapterCase) -> None:
        """A page delivered again and again ends the pull, by an error or quietly; once healed everything is there."""
        _fill(case, 5)
        case.repeat_page()
        store = Store()
        cursor = _read_may_fail(case, store)
        case.heal()
        _read(case, cursor, store)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, 6)}

    def test_a_late_commit_behind_the_cursor_is_found(self, case: AdapterCase) -> None:
        """A record that appears with an older stamp than the newest one read is found by the next pull."""
        _fill(case, 3)
        store, done = _read(case)
        newest = case.now - 10 * MINUTE
        case.put("k4", 104, newest)
        _, done = _read(case, done.cursor, store)
        case.put("k5", 105, newest - case.late_by)
        _read(case, done.cursor, store)
        assert _worths(case, store)[case.source_key("k5")] == 105

    def test_a_record_that_changes_while_it_is_paged_hides_no_other(self, case: AdapterCase) -> None:
        """After the first page a record is changed, which moves it within the list where lists are in the order of change: with the next
        pull at the latest everything is there as it is now.
        """
        since = case.now - DAY
        for n in range(1, 8):
            case.put(f"k{n}", 100 + n, since + n * MINUTE)
        store, source = Store(), case.source()
        cursor: Cursor | None = None
        try:
            for count, page in enumerate(pages_of(source, case.stream, None, now=case.now)):
                store.take(source.map(case.stream, page))
                cursor = cursor if page.cursor is None else page.cursor
                if isinstance(source, Filing):
                    source.settled(case.stream, page, accepted=True, reason=None)
                if count == 0:
                    case.put("k1", 201, since + 30 * MINUTE)
        finally:
            source.close()
        _read(case, cursor, store)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(201 if n == 1 else 100 + n) for n in range(1, 8)}

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns"])
    def test_the_machines_zone_moves_no_moment(self, case: AdapterCase, zone: str) -> None:
        """Stamps in the hours that clocks in Europe and North America skip or repeat in 2026: wherever the machine stands, the same facts."""
        case.now = CHANGES_OF_CLOCKS[-1] + DAY
        for n, at in enumerate(CHANGES_OF_CLOCKS, 1):
            case.put(f"k{n}", 100 + n, at)
        store, _ = _read(case)
        with machine_in(zone):
            elsewhere, _ = _read(case)
        assert elsewhere.digest() == store.digest()
        held = _worths(case, store)
        assert held, "a system that is read for some days only is read for the last"
        assert held.items() <= {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, len(CHANGES_OF_CLOCKS) + 1)}.items()

    def test_a_duplicate_is_one_record(self, case: AdapterCase) -> None:
        """A record delivered twice is the same record with the same version and content."""
        _fill(case, 2)
        case.put_twice("k3", 103, case.now - DAY)
        store, _ = _read(case)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, 4)}
        assert store.rejects == []
        assert store.changes == len(store.rows)

    def test_an_older_version_never_overwrites_a_newer(self, case: AdapterCase) -> None:
        """The same record's older version, read after the newer, leaves the newer in place, in either order of arrival."""
        _fill(case, 2)
        case.put("k3", 300, case.now - 3 * DAY)
        old, done = _read(case)
        case.now += DAY  # a snapshot's version is when it was asked for
        case.put("k3", 333, case.now - 2 * DAY)
        new, _ = _read(case)
        for first, second in ((old, new), (new, old)):
            store = first.copy()
            for key, row in second.rows.items():
                store._promote(key, row)
            assert _worths(case, store)[case.source_key("k3")] == 333
        store, _ = _read(case, done.cursor, old.copy())
        assert _worths(case, store)[case.source_key("k3")] == 333

    def test_a_malformed_record_costs_no_more_than_it_must(self, case: AdapterCase) -> None:
        """A record that can't pass is refused with a known cause and evidence, alone or with the document it stands in; the others land."""
        _fill(case, 2)
        if case.refuses == "page":
            case.put("k5", 105, case.now - DAY)
        case.put_malformed("k3", case.now - DAY)
        case.put("k4", 104, case.now - DAY + MINUTE)
        if case.refuses == "page":
            self._costs_its_page(case)
        else:
            self._costs_itself(case)

    def _costs_itself(self, case: AdapterCase) -> None:
        store, done = _read(case)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in (1, 2, 4)}
        assert len({(r["cause"], r["source_key"]) for r in store.rejects}) == 1
        reject = store.rejects[0]
        assert reject["cause"] in CAUSES
        assert reject["message"]
        assert isinstance(json.loads(reject["evidence"]), dict)
        for mapped in done.mapped:
            assert mapped.rejects.schema == pl.Schema(REJECT_SCHEMA)
            _assert_counts(mapped)

    def _costs_its_page(self, case: AdapterCase) -> None:
        """The sound neighbour in the same page does not land either, until the page comes again corrected: nothing is half loaded."""
        store = Store()
        cursor, refused = _read_refusing(case, store)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in (1, 2, 4)}
        assert [error.cause in CAUSES for error in refused] == [True]
        assert refused[0].detail
        assert json.loads(json.dumps(refused[0].evidence))
        case.put("k5", 105, case.now)
        case.put("k3", 103, case.now)
        _, refused = _read_refusing(case, store, cursor)
        assert _worths(case, store) == {case.source_key(f"k{n}"): Decimal(100 + n) for n in range(1, 6)}
        assert refused == []

    def test_mapping_is_pure_and_keeps_the_contract(self, case: AdapterCase) -> None:
        """Mapping a page twice gives the same frames, every row keeps its data contract, and the page says its fields."""
        _fill(case, 4)
        _, done = _read(case)
        source = case.source()
        try:
            for page, first in zip(done.pages, done.mapped, strict=True):
                second = source.map(case.stream, page)
                assert second.frames.keys() == first.frames.keys()
                assert all(second.frames[entity].equals(frame) for entity, frame in first.frames.items())
                _assert_counts(first)
                for entity, frame in first.frames.items():
                    _assert_contract(entity, frame)
        finally:
            source.close()
        assert any(mapped.fields_seen for mapped in done.mapped)

    def test_the_stream_is_offered(self, case: AdapterCase) -> None:
        """The source names the stream and the entities it feeds, and no others arrive."""
        _fill(case, 2)
        _, done = _read(case)
        source = case.source()
        try:
            offered = {stream.name: set(stream.entities) for stream in source.streams()}
        finally:
            source.close()
        assert case.entity in offered[case.stream]
        for mapped in done.mapped:
            assert set(mapped.frames) <= offered[case.stream]


def _fill(case: AdapterCase, records: int) -> None:
    for n in range(1, records + 1):
        case.put(f"k{n}", 100 + n, case.now - 5 * DAY + n * MINUTE)


def _read(
    case: AdapterCase, cursor: Cursor | None = None, store: Store | None = None, *, now: datetime | None = None
) -> tuple[Store, Pulled]:
    """A whole pull by a source opened for it."""
    held = Store() if store is None else store
    source = case.source()
    try:
        return held, pull(source, case.stream, cursor, held, now=now or case.now)
    finally:
        source.close()


def _read_may_fail(case: AdapterCase, store: Store) -> Cursor | None:
    """A pull that may end in one of our errors; the last committed cursor."""
    source = case.source()
    committed: list[Cursor | None] = [None]
    try:
        for count, page in enumerate(pages_of(source, case.stream, None, now=case.now)):
            assert count < 20, "a page that repeats is pulled without end"
            store.take(source.map(case.stream, page))
            committed.append(committed[-1] if page.cursor is None else page.cursor)
    except SourceError as error:
        assert error.detail
    finally:
        source.close()
    return committed[-1]


def _read_refusing(case: AdapterCase, store: Store, cursor: Cursor | None = None) -> tuple[Cursor | None, list[DataError]]:
    """A whole pull in which a page may be refused as a whole, as the pipeline does it; the cursor after it, and the refusals."""
    source = case.source()
    refused: list[DataError] = []
    try:
        for page in pages_of(source, case.stream, cursor, now=case.now):
            cursor = cursor if page.cursor is None else page.cursor
            try:
                store.take(source.map(case.stream, page))
            except DataError as error:
                refused.append(error)
    finally:
        source.close()
    return cursor, refused


def _worths(case: AdapterCase, store: Store) -> dict[str, Decimal]:
    return {key: case.worth(row) for key, row in store.live(case.entity).items()}


def _assert_counts(mapped: Mapped) -> None:
    landed, rejected = ordinals(mapped)
    assert not landed & rejected, "a record with a reject lands nowhere"
    assert (landed | rejected) <= set(range(mapped.records))


def _assert_contract(entity: str, frame: pl.DataFrame) -> None:
    """Every row is what the entity's contract says; nulls stand for absent optional columns."""
    contract: type[Contract] = CONTRACTS[entity]
    assert set(frame.columns) <= {"ordinal", *contract.model_fields}
    assert set(ENVELOPE) - {"legal_entity", "is_deleted"} <= set(frame.columns)
    assert frame.schema["ordinal"] == pl.Int64
    assert frame.schema["source_version"] == pl.Int64
    for row in frame.drop("ordinal").to_dicts():
        contract.model_validate(_without_nulls(row))


def _without_nulls(row: dict[str, Any], keep: Sequence[str] = ()) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None or name in keep}
