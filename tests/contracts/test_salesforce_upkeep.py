"""What stamps don't tell: deletions, ids that are gone, formulas; single records read again; a query that goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.errors import TransientError
from sync.ports import Cursor, Mapped, Page
from sync.systems.salesforce import make_source
from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.suite_store import Store
from tests.contracts.test_salesforce import FIELDS, LANDSCAPE, Opportunities, Org

IDS = [f"0065g0000000{n:03d}AAA" for n in range(1, 8)]
WEEK = timedelta(days=7)


class KeepingOrg(Org):
    """An org that lists its deletions and answers by id; `gone` ids are purged, `formulas` are calculated fields."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[tuple[str, datetime]] = []
        self.gone: set[str] = set()
        self.formulas: set[str] = set()
        self.earliest: datetime | None = None
        self.limit_at = timedelta(days=99)
        self.spans: list[timedelta] = []
        self.refusing: Reply | None = None
        self.order: Any = None

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        if asked.headers.get("authorization") == f"Bearer {self.token}":
            if asked.path.endswith("/deleted/"):
                return self.refusing or self._deletions(asked)
            if asked.path.endswith("/describe"):
                names = ["Id", "SystemModstamp", "IsDeleted", *FIELDS[asked.path.split("/")[-2]]]
                return reply_json({"fields": [{"name": name, "type": "string", "calculated": name in self.formulas} for name in names]})
            if asked.path.endswith("/query") or "Id IN" in asked.query.get("q", ""):
                return self._by_id(asked)
        return super().answer(asked)

    def _deletions(self, asked: Asked) -> Reply:
        start, end = (datetime.fromisoformat(asked.query[name]) for name in ("start", "end"))
        self.spans.append(end - start)
        if end - start > self.limit_at:
            return reply_json([{"errorCode": "EXCEEDED_ID_LIMIT", "message": "too many ids"}], 400)
        rows = [{"id": key, "deletedDate": stamp(at)} for key, at in self.deleted if start <= at < end]
        return reply_json({"deletedRecords": rows, "earliestDateAvailable": stamp(self.earliest or start), "latestDateCovered": stamp(end)})

    def _by_id(self, asked: Asked) -> Reply:
        query = asked.query["q"]
        name = re.findall(r"FROM (\w+)", query)[0]
        rows = sorted((row for key, row in self.records[name].items() if key not in self.gone), key=lambda row: row["Id"])
        if "Id IN" in query:
            wanted = set(re.findall(r"'(\w+)'", query))
            rows = [row for row in rows if row["Id"] in wanted]
        else:
            after = re.findall(r"Id > '(\w+)'", query)
            rows = [row for row in rows if not row["IsDeleted"] and (not after or row["Id"] > after[0])]
            rows = rows[: int(re.findall(r"LIMIT (\d+)", query)[0])]
        chosen = re.findall(r"SELECT (.*?) FROM", query)[0].split(", ")
        rows = sorted(rows, key=self.order) if self.order else rows
        return reply_json({"totalSize": len(rows), "done": True, "records": [{n: row.get(n) for n in chosen} for row in rows]})


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"


class Deals(Opportunities):
    """Seven opportunities, read once; `cursor` and `store` are what was committed."""

    org: KeepingOrg

    def __init__(self) -> None:
        super().__init__()
        self.org.server.close()
        self.org = KeepingOrg()
        for n, key in enumerate(IDS):
            self.put(key, 100 + n, self.now - timedelta(days=1, hours=-n))
        self.store = Store()
        self.cursor: Cursor | None = None
        self.pull()

    def pull(self) -> list[Page]:
        """A pull to its end, committed."""
        pages = []
        with closing(self.source()) as source:
            for page in source.pull(self.stream, self.cursor, now=self.now):
                assert isinstance(page, Page)
                self.store.take(source.map(self.stream, page))
                self.cursor = page.cursor or self.cursor
                pages.append(page)
        return pages

    def live(self) -> set[str]:
        """The ids that are held and not deleted."""
        return set(self.store.live("opportunity"))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "s3cret")


@pytest.fixture
def deals() -> Iterator[Deals]:
    with Deals() as made:
        yield made


def test_deletions_are_listed_once_an_hour(deals: Deals) -> None:
    """The org's own list marks what it deleted, with its last values; it is asked for no more often than that."""
    assert deals.org.spans == []
    deals.now += timedelta(minutes=30)
    deals.pull()
    assert deals.org.spans == []
    deals.now += timedelta(minutes=40)
    deals.org.gone.add(IDS[2])
    deals.org.deleted.append((IDS[2], deals.now - timedelta(minutes=5)))
    deals.pull()
    assert deals.live() == set(IDS) - {IDS[2]}
    assert deals.store.rows["opportunity", IDS[2]]["amount"] == 102
    deals.pull()
    assert len(deals.org.spans) == 1


def test_too_many_deletions_are_listed_in_parts(deals: Deals) -> None:
    """EXCEEDED_ID_LIMIT halves the span until it fits; nothing in between is left out."""
    deals.now += timedelta(hours=8)
    deals.org.limit_at = timedelta(hours=3)
    deals.org.deleted = [(key, deals.now - timedelta(hours=n)) for n, key in enumerate(IDS[:6], 1)]
    deals.pull()
    assert deals.live() == set(IDS[6:])


def test_a_list_with_gaps_has_all_ids_compared(deals: Deals) -> None:
    """The org forgot what it deleted, or we were away too long: ids that are gone are found all the same."""
    deals.org.gone = {IDS[0], IDS[4]}
    deals.now += timedelta(hours=2)
    deals.org.earliest = deals.now - timedelta(minutes=10)
    deals.pull()
    assert deals.live() == set(IDS) - deals.org.gone


def test_an_org_that_lists_nothing_has_all_ids_compared(deals: Deals) -> None:
    """Without the list the pull goes on, and the comparison does its work."""
    deals.org.gone = {IDS[6]}
    deals.org.refusing = reply_json([{"errorCode": "NOT_FOUND", "message": "x"}], 404)
    deals.now += timedelta(hours=2)
    deals.pull()
    assert deals.live() == set(IDS) - {IDS[6]}


def test_ids_are_compared_once_a_week_page_by_page(deals: Deals) -> None:
    """Hard-deleted records at the beginning, in the middle and at the end are found; a restart in between goes on."""
    deals.org.gone = {IDS[0], IDS[3], IDS[6]}
    deals.options = {"deleted_minutes": None}
    deals.now += WEEK + timedelta(minutes=1)
    with closing(deals.source()) as source:
        for page in source.pull(deals.stream, deals.cursor, now=deals.now):
            assert isinstance(page, Page)
            deals.store.take(source.map(deals.stream, page))
            deals.cursor = page.cursor
            if "ids after" in str(page.name):
                break
    assert deals.cursor is not None
    assert deals.cursor["sweep"] == IDS[2]  # of pages of two, the first
    deals.pull()
    assert deals.live() == set(IDS) - deals.org.gone
    assert "sweep" not in deals.cursor
    calls = len(deals.org.server.asked)
    deals.pull()
    assert not any("ORDER BY Id" in asked.query.get("q", "") for asked in deals.org.server.asked[calls:])


def test_formulas_are_read_again_with_the_ids(deals: Deals) -> None:
    """A formula that moved without a new stamp is current after the comparison."""
    deals.org.formulas = {"Probability"}
    deals.org.records["Opportunity"][IDS[1]]["Probability"] = 75.0
    deals.now += timedelta(hours=1)
    deals.pull()
    assert deals.store.rows["opportunity", IDS[1]]["probability"] == 50
    deals.now += WEEK
    deals.pull()
    assert deals.store.rows["opportunity", IDS[1]]["probability"] == 75


def test_what_we_are_shown_only_now_is_read_with_the_ids(deals: Deals) -> None:
    """Sharing that changed stamps no record: what we never saw, and what was gone and is back as it was, comes with the comparison."""
    deals.org.gone = {IDS[4]}
    deals.now += WEEK + timedelta(minutes=1)
    deals.pull()
    assert deals.live() == set(IDS) - {IDS[4]}
    deals.org.gone = set()
    deals.put("0065g0000000009AAA", 900, deals.now - timedelta(days=30))
    deals.now += WEEK + timedelta(minutes=1)
    deals.pull()
    assert deals.live() == {*IDS, "0065g0000000009AAA"}
    assert deals.store.rows["opportunity", "0065g0000000009AAA"]["amount"] == 900


def test_a_late_commit_behind_a_query_that_rested_is_found(deals: Deals) -> None:
    """A worker dies near the newest record, and the next one takes its query up hours later: what was committed late behind the place where
    it stood is older than the look-back by then, and comes with the pull after that.
    """
    for n, key in enumerate(("0065g0000000011AAA", "0065g0000000012AAA", "0065g0000000013AAA")):
        deals.put(key, n, deals.now - timedelta(minutes=4 - n))
    with closing(deals.source()) as source:
        for page in source.pull(deals.stream, deals.cursor, now=deals.now):
            assert isinstance(page, Page)
            deals.store.take(source.map(deals.stream, page))
            deals.cursor = page.cursor
            if "0065g0000000011AAA" in deals.live():
                break
    assert "0065g0000000013AAA" not in deals.live()
    deals.put("0065g0000000020AAA", 20, deals.now - timedelta(minutes=5))
    deals.now += timedelta(hours=3)
    deals.put("0065g0000000021AAA", 21, deals.now - timedelta(minutes=2))
    deals.pull()
    deals.pull()
    assert deals.live() == {*IDS, *(f"0065g00000000{n}AAA" for n in (11, 12, 13, 20, 21))}


def test_ids_out_of_order_prove_nothing(deals: Deals) -> None:
    """Where the org sorts ids in another way no range of them is complete, and nothing is deleted."""
    deals.org.gone = {IDS[3]}
    deals.org.order = lambda row: -int(row["Id"][12:15])
    deals.now += WEEK + timedelta(hours=1)
    deals.pull()
    assert deals.live() == set(IDS)


def test_no_ids_at_all_prove_nothing(deals: Deals) -> None:
    """An empty answer is no order to delete everything."""
    deals.org.gone = set(IDS)
    deals.now += WEEK + timedelta(hours=1)
    deals.pull()
    assert deals.live() == set(IDS)


def test_named_records_are_read_again(deals: Deals) -> None:
    """As they are now, a deleted one as deleted, a purged one as gone; what was not asked for stays."""
    deals.put(IDS[1], 555, deals.now)
    deals.org.records["Opportunity"][IDS[2]]["IsDeleted"] = True
    deals.org.gone = {IDS[3], IDS[4]}
    cursor = deals.cursor
    with closing(make_source(deals.org.connection(), LANDSCAPE)) as source:
        pages = list(source.reread("opportunities", [IDS[1], IDS[2], IDS[3][:15], "x' OR Name != '", IDS[1]], now=deals.now))
        found: list[Mapped] = [source.map("opportunities", page) for page in pages]
    for mapped in found:
        deals.store.take(mapped)
    assert [page.cursor for page in pages] == [None]
    assert deals.live() == set(IDS) - {IDS[2], IDS[3]}
    assert deals.store.rows["opportunity", IDS[1]]["amount"] == 555
    assert deals.cursor == cursor
    assert "OR Name" not in "".join(asked.query.get("q", "") for asked in deals.org.server.asked)


def test_many_named_records_fit_into_many_questions(deals: Deals) -> None:
    """No address grows beyond what the org takes."""
    many = [f"0065g000000{n:04d}AAA" for n in range(1_000, 2_000)]
    with closing(make_source(deals.org.connection(), LANDSCAPE)) as source:
        pages = list(source.reread("opportunities", [*IDS, *many], now=deals.now))
    assert len(pages) == 6
    assert max(len(asked.query.get("q", "")) for asked in deals.org.server.asked) < 8_000


def test_records_of_one_stamp_are_not_lost_between_sessions() -> None:
    """Thirty records of one second, a session that dies after every page but three: the query goes on after the last id."""
    with Opportunities() as case:
        for n in range(1, 31):
            case.put(f"0065g0000000{n:03d}AAA", n, case.now - timedelta(days=1))
        store, cursor, queries = Store(), None, set()
        for round_ in range(12):
            case.org.token = f"t{round_}"
            with closing(case.source()) as source:
                for number, page in enumerate(source.pull(case.stream, cursor, now=case.now)):
                    assert isinstance(page, Page)
                    store.take(source.map(case.stream, page))
                    cursor = page.cursor
                    if number == 2:
                        break
            queries |= {asked.query["q"] for asked in case.org.server.asked if "q" in asked.query}
        assert len(store.rows) == 30
        assert any("OR Id > '0065g0000000006AAA'" in query for query in queries)


def test_a_page_that_says_done_too_soon_is_no_end(deals: Deals) -> None:
    """Fewer records than the total: what came is kept, an outage raised, and the next pull begins again."""
    short = reply_json({"totalSize": 9, "done": True, "records": []})
    deals.org.server.between = lambda asked, answer: short if asked.path.endswith("/queryAll") else answer()
    with closing(deals.source()) as source, pytest.raises(TransientError, match="0 of 9"):
        list(source.pull(deals.stream, deals.cursor, now=deals.now))
