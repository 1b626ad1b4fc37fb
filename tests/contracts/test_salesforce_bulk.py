"""Bulk API 2.0: the same facts as by pages, whatever becomes of the job, and by whichever process it is taken up."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from sync.errors import TransientError
from sync.ports import Cursor, Page, Pending, Source
from sync.systems.salesforce import make_source
from tests.contracts.salesforce_bulk_org import BulkOrg
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.suite_wire import Wire, WireSuite
from tests.contracts.test_salesforce import LANDSCAPE, Accounts, Contracts, Opportunities, Orders, Quotes, _Case

EXPIRED = b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'


class _Bulky(_Case):
    """A case of the pages, read by jobs."""

    org: BulkOrg

    def __init__(self) -> None:
        super().__init__()
        self.org.server.close()
        self.org = BulkOrg()
        self.options |= {"bulk_from": 1, "bulk_page": 2}

    def repeat_page(self) -> None:
        """The job's next page names itself."""
        self.org.repeat_locator = True

    def heal(self) -> None:
        """Ends it."""
        self.org.repeat_locator = False


class BulkContracts(_Bulky, Contracts):
    pass


class BulkOpportunities(_Bulky, Opportunities):
    pass


class BulkQuotes(_Bulky, Quotes):
    pass


class BulkAccounts(_Bulky, Accounts):
    pass


class BulkOrders(_Bulky, Orders):
    pass


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "s3cret")


class TestContracts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BulkContracts() as case:
            yield case


class TestOpportunities(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BulkOpportunities() as case:
            yield case


class TestQuotes(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BulkQuotes() as case:
            yield case


class TestAccounts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BulkAccounts() as case:
            yield case


class TestOrders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BulkOrders() as case:
            yield case


@pytest.fixture
def case() -> Iterator[BulkContracts]:
    with BulkContracts() as made:
        for n in range(1, 8):
            made.put(f"k{n}", 100 + n, made.now - timedelta(days=2) + timedelta(minutes=n))
        yield made


def _whole(case: BulkContracts, cursor: Cursor | None = None) -> Store:
    store = Store()
    with closing(case.source()) as source:
        pull(source, case.stream, cursor, store, now=case.now)
    return store


def _keys(store: Store) -> set[str]:
    return {key for _, key in store.rows}


EVERY = {f"k{n}" for n in range(1, 8)}


def test_a_job_is_waited_for_and_taken_away(case: BulkContracts) -> None:
    """Pending while it runs, then its pages, then it is deleted, once everything is committed; what follows are pages as ever."""
    case.org.polls = 3
    source: Source = case.source()
    items = list(source.pull(case.stream, None, now=case.now))
    assert [type(item) for item in items] == [Pending]
    waits = 0
    while len(items) == 1:
        waits += 1
        items = list(source.pull(case.stream, items[0].cursor, now=case.now))
    assert waits == 4
    assert [type(item) for item in items] == [Page, Page, Page, Page, Pending]
    job = next(iter(case.org.jobs.values()))
    assert not job.deleted, "a job is taken away before its last page is committed"
    assert job.results == [None, "MQ-2", "MQ-4", "MQ-6"]
    after = list(source.pull(case.stream, items[-1].cursor, now=case.now))
    assert [each.deleted for each in case.org.jobs.values()] == [True]
    assert isinstance(after[-1], Page)
    assert after[-1].complete_until == case.now - timedelta(minutes=1)
    source.close()


def test_a_restart_in_the_middle_of_a_job_goes_on_there(case: BulkContracts) -> None:
    """Killed between two pages, another process asks for the next page of the same job and for no other job."""
    with closing(case.source()) as source:
        pages = pages_of(source, case.stream, None, now=case.now)
        first, second = next(pages), next(pages)
    assert first.cursor is not None
    store = Store()
    with closing(case.source()) as source:
        store.take(source.map(case.stream, first))
        store.take(source.map(case.stream, second))
        pull(source, case.stream, second.cursor, store, now=case.now)
    assert _keys(store) == EVERY
    (job,) = case.org.jobs.values()
    assert job.results == [None, "MQ-2", "MQ-4", "MQ-6"]


@pytest.mark.parametrize("form", ["Z", "+0000"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL], ids=["quoted", "bare"])
def test_csv_and_json_say_the_same(case: BulkContracts, form: str, quoting: Any) -> None:
    """The facts of a job are those of the pages, to the cent and the second, in both forms of dates."""
    case.org.stamp_form, case.org.quoting = form, quoting
    by_job = _whole(case)
    case.options = {"bulk_from": None}
    assert by_job.digest() == _whole(case).digest()
    assert _keys(by_job) == EVERY


def test_little_is_read_by_pages(case: BulkContracts) -> None:
    """The first page says how many there are: below the threshold no job is asked for."""
    case.options = {"bulk_from": 8}
    assert _keys(_whole(case)) == EVERY
    assert case.org.jobs == {}
    case.options = {"bulk_from": 7}
    _whole(case)
    assert len(case.org.jobs) == 1


@pytest.mark.parametrize(("state", "error"), [("Failed", None), ("Failed", "InvalidBatch : no such field"), ("Aborted", None)])
def test_a_job_that_fails_is_read_by_pages(case: BulkContracts, state: str, error: str | None) -> None:
    """Failed or aborted, with or without a message: the job is taken away and pages bring everything."""
    case.org.next_state, case.org.error = state, error
    assert _keys(_whole(case)) == EVERY
    (job,) = case.org.jobs.values()
    assert job.deleted


def test_an_org_without_bulk_is_read_by_pages(case: BulkContracts) -> None:
    """Where no job is taken, pages do."""
    case.org.refuses = True
    assert _keys(_whole(case)) == EVERY


def test_records_that_are_missing_are_no_end(case: BulkContracts) -> None:
    """Fewer rows than the job says it processed: what came is kept, an outage is raised, and the whole is asked for again."""
    case.org.lose = 1
    store = Store()
    cursor: Cursor | None = None
    with closing(case.source()) as source, pytest.raises(TransientError, match="6 of 7"):
        for page in pages_of(source, case.stream, None, now=case.now):
            store.take(source.map(case.stream, page))
            cursor = page.cursor
    assert cursor is not None
    assert "job" not in cursor
    case.org.lose = 0
    assert _keys(_whole(case, cursor)) == EVERY


@pytest.mark.parametrize("status", [404, 409])
def test_a_job_that_can_not_be_read_any_more_is_asked_anew(case: BulkContracts, status: int) -> None:
    """Expired, or made by another API version: another job is asked for."""
    case.org.status = status
    with closing(case.source()) as source:
        cursor: Cursor | None = None
        for _ in range(3):
            *_, last = source.pull(case.stream, cursor, now=case.now)
            assert isinstance(last, Pending)
            cursor = last.cursor
    assert cursor is not None
    assert "job" not in cursor
    case.org.status = 200
    assert _keys(_whole(case, cursor)) == EVERY
    assert len(case.org.jobs) == 2


def test_a_result_that_is_not_ready_is_waited_for(case: BulkContracts) -> None:
    """412 on an early read is no error."""
    case.org.status, case.org.polls = 412, 0
    with closing(case.source()) as source:
        (first,) = source.pull(case.stream, None, now=case.now)
        (second,) = source.pull(case.stream, first.cursor, now=case.now)
    assert isinstance(second, Pending)
    case.org.status = 200
    assert _keys(_whole(case, second.cursor)) == EVERY
    assert len(case.org.jobs) == 1


def test_a_session_that_ends_costs_a_login_and_no_job(case: BulkContracts) -> None:
    """A job belongs to the org, not to a session: a new token reads on."""
    with closing(case.source()) as source:
        store = Store()
        for number, page in enumerate(pages_of(source, case.stream, None, now=case.now)):
            store.take(source.map(case.stream, page))
            if number == 1:
                case.org.token = "t2"
    assert _keys(store) == EVERY
    assert len(case.org.jobs) == 1


class TestBulkWire(WireSuite):
    """The wire at its worst under a job."""

    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        with BulkContracts() as case:
            case.org.polls = 0
            yield Wire(case, case.org.server, refusal=EXPIRED)


def test_the_source_can_be_made() -> None:
    """Nothing is called before the first pull."""
    with BulkContracts() as case:
        make_source(case.org.connection(), LANDSCAPE).close()
        assert case.org.server.asked == []
