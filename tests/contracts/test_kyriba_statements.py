"""Statements by way of process templates: the contract suite, tasks that end in every way, and a restart in the middle of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.errors import DataError, PermanentError, TransientError
from sync.ports import Cursor, Page, Pending, Source
from sync.systems.kyriba import make_source
from tests.contracts.kyriba_tenant import LANDSCAPE, account, camt053
from tests.contracts.suite import DAY, NOW, AdapterCase, AdapterSuite
from tests.contracts.suite_documents import DocumentCase, DocumentSuite
from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_kyriba import TenantCase


class Statements(TenantCase, DocumentCase):
    """Every key is an account with a statement of one entry; a process template exports them, a file each."""

    stream, entity, value_column = "statements", "bank_transaction", "amount"

    def source(self) -> Source:
        options = {"statement_templates": ["E_BK_CAMT"], "task_poll_seconds": 0.1, **self.options}
        return make_source(self.tenant.connection(**options), LANDSCAPE)

    def __init__(self) -> None:
        super().__init__()
        self.options: dict[str, Any] = {}
        self._days: dict[str, str] = {}

    def put(self, key: str, worth: int, at: datetime) -> None:
        day = self._days.setdefault(key, at.date().isoformat())  # stays the same when the bank corrects it
        self.tenant.tasks.files.append(self.rewrite(camt053(key, str(worth), at, day=day)))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.put(key, worth, at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self.tenant.tasks.files.append(camt053(key, "1", at, day="2026-02-31"))

    def source_key(self, key: str) -> str:
        return f"{key}|{self._days[key]}|C|E-{key}"

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        ahead = (self.now + timedelta(days=365)).isoformat()
        return {**(cursor or {}), "round": ahead, "task": {"template": "E_BK_CAMT", "id": "task-1", "began": ahead, "polls": 0}}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")


@pytest.fixture
def case() -> Iterator[Statements]:
    with Statements() as case:
        yield case


class TestStatements(AdapterSuite, DocumentSuite):
    @pytest.fixture
    def documents(self, case: DocumentCase) -> DocumentCase:
        return case

    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Statements() as case:
            yield case

    def test_a_malformed_record_costs_no_more_than_it_must(self, case: AdapterCase) -> None:
        """A file is a page: what can't be read refuses the file it stands in, with evidence, and the other files land."""
        for key, worth in (("k1", 101), ("k2", 102)):
            case.put(key, worth, NOW)
        case.put_malformed("k3", NOW)
        case.put("k4", 104, NOW)
        store, refused, _ = read_all(case, None)
        assert {row["amount"] for row in store.live("bank_transaction").values()} == {101, 102, 104}
        assert [error.cause for error in refused] == ["bad_date"]
        assert refused[0].evidence["statement"] == "S-k3"


def steps(case: AdapterCase, cursor: Cursor | None) -> tuple[list[Page | Pending], Cursor | None]:
    """One pull by a source opened for it, as a worker does it: what it gave, and the cursor that is committed after it."""
    with closing(case.source()) as source:
        given = list(source.pull("statements", cursor, now=case.now))
    cursors = [each.cursor for each in given if each.cursor is not None]
    return given, json.loads(json.dumps(dict(cursors[-1]))) if cursors else cursor


def read_all(case: AdapterCase, cursor: Cursor | None) -> tuple[Store, list[DataError], list[Page]]:
    """Everything to the end of the round: what landed, what was refused, and the pages."""
    store, refused, pages = Store(), list[DataError](), list[Page]()
    with closing(case.source()) as source:
        for page in pages_of(source, "statements", cursor, now=case.now):
            pages.append(page)
            try:
                store.take(source.map("statements", page))
            except DataError as error:
                refused.append(error)
    return store, refused, pages


def worths(store: Store) -> dict[str, int]:
    """Account -> the amount of its one entry."""
    return {str(row["account"]): int(row["amount"]) for row in store.live("bank_transaction").values()}


def runs(case: Statements) -> int:
    """How often a template was started."""
    return len(case.tenant.tasks.asked)


def test_waiting_is_a_normal_state_and_the_cursor_carries_the_task(case: Statements) -> None:
    """Started, then looked at, each time by a process that knows nothing but the cursor; one run in all, its files once."""
    case.put("k1", 101, NOW - DAY)
    case.tenant.tasks.pending = 2
    given, cursor = steps(case, None)
    (started,) = given
    assert isinstance(started, Pending)
    assert started.cursor["task"]["id"] == "task-1"
    assert "E_BK_CAMT" in started.words
    waits = [started.seconds]
    for _ in range(2):
        (waiting,), cursor = steps(case, cursor)
        assert isinstance(waiting, Pending)
        assert "pending" in waiting.words
        waits.append(waiting.seconds)
    assert waits == sorted(waits)
    given, cursor = steps(case, cursor)
    assert [type(each) for each in given] == [Page, Page]
    assert given[-1].complete_until == case.now  # type: ignore[union-attr]
    assert cursor is not None
    assert "task" not in cursor
    assert runs(case) == 1


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_a_restart_in_the_middle_of_a_task_brings_every_file_once(case: Statements, taken: int) -> None:
    """Killed after any of its files, the next process takes the rest from the same task and runs nothing anew."""
    for n in (1, 2, 3):
        case.put(f"k{n}", 100 + n, NOW - DAY)
    _, cursor = steps(case, None)
    _, cursor = steps(case, cursor)
    store = Store()
    with closing(case.source()) as source:
        pulling = source.pull("statements", cursor, now=case.now)
        for _ in range(taken):
            page = next(pulling)
            assert isinstance(page, Page)
            store.take(source.map("statements", page))
            cursor = page.cursor or cursor
    rest, refused, pages = read_all(case, cursor)
    assert refused == []
    assert worths(store) | worths(rest) == {"k1": 101, "k2": 102, "k3": 103}
    assert store.rows.keys().isdisjoint(rest.rows.keys())
    assert len(pages) == 3 - taken + 1
    assert runs(case) == 1


@pytest.mark.parametrize("words", ["Error", "Cancelled", "CANCELLED"])
def test_a_task_that_ended_badly_is_an_exception_with_its_log(case: Statements, words: str) -> None:
    """Its log is the evidence, nothing is complete, and the next round runs anew and brings everything."""
    case.put("k1", 101, NOW - DAY)
    case.tenant.tasks.last_words = words
    store, refused, pages = read_all(case, None)
    assert store.rows == {}
    assert [error.cause for error in refused] == ["source_permanent"]
    assert "The output format is not defined" in refused[0].detail
    assert pages[-1].complete_until is None
    case.tenant.tasks.last_words = "Complete"
    store, refused, _ = read_all(case, pages[-1].cursor)
    assert (worths(store), refused) == ({"k1": 101}, [])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'"%s"', "application/json"),
        (b"%s", "text/plain"),
        (b'[{"taskId": "t", "status": "%s"}]', "application/json"),
        (b'{"taskStatus": "%s"}', "application/json"),
    ],
)
def test_a_status_is_understood_however_it_is_told(case: Statements, body: bytes, kind: str) -> None:
    """Which words a status has is known, not what stands around them."""
    case.put("k1", 101, NOW - DAY)
    words = iter(("Pending", "In progress", "IN_PROGRESS", "Cancelling", "Complete"))
    case.tenant.server.between = lambda asked, answer: (
        Reply(body % next(words).encode(), content_type=kind) if asked.path.endswith("/status") else answer()
    )
    store, refused, _ = read_all(case, None)
    assert (worths(store), refused) == ({"k1": 101}, [])


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[]", b"<html>Log on</html>", b"Done and dusted", b"\xff"])
def test_a_status_that_is_none_is_an_outage(case: Statements, body: bytes) -> None:
    """Nothing is decided by it: the task stays."""
    _, cursor = steps(case, None)
    case.tenant.server.between = lambda asked, answer: Reply(body) if asked.path.endswith("/status") else answer()
    with pytest.raises(TransientError, match="no status of a task"):
        steps(case, cursor)


def test_a_warning_delivers(case: Statements) -> None:
    """A task that ended with a warning has done its work."""
    case.put("k1", 101, NOW - DAY)
    case.tenant.tasks.last_words = "Warning"
    store, refused, _ = read_all(case, None)
    assert (worths(store), refused) == ({"k1": 101}, [])


def test_a_task_that_made_nothing_is_over(case: Statements) -> None:
    """No file: the round is complete all the same, and the next one starts a task of its own."""
    _, refused, pages = read_all(case, None)
    assert refused == []
    assert [page.complete_until for page in pages] == [case.now]
    read_all(case, pages[-1].cursor)
    assert runs(case) == 2


def test_a_task_that_the_tenant_has_forgotten_is_run_anew(case: Statements) -> None:
    """Tasks are kept for a while only: an unknown one is an exception, not a loop."""
    case.put("k1", 101, NOW - DAY)
    _, cursor = steps(case, None)
    case.tenant.tasks.asked.clear()
    store, refused, pages = read_all(case, cursor)
    assert (store.rows, [error.cause for error in refused]) == ({}, ["source_permanent"])
    store, refused, _ = read_all(case, pages[-1].cursor)
    assert (worths(store), refused) == ({"k1": 101}, [])


def test_a_task_that_never_ends_is_given_up(case: Statements) -> None:
    """After its time it is an exception, and the next round runs anew."""
    case.tenant.tasks.pending = 1000
    _, cursor = steps(case, None)
    assert cursor is not None
    old = {**cursor, "task": {**cursor["task"], "began": "2020-01-01T00:00:00+00:00"}}
    _, refused, pages = read_all(case, old)
    assert "not done after 120 minutes" in refused[0].detail
    assert "task" not in (pages[-1].cursor or {})


def test_templates_are_run_one_after_the_other(case: Statements) -> None:
    """Each has its task; the round is complete with the last."""
    case.put("k1", 101, NOW - DAY)
    options = {"statement_templates": ["E_BK_CAMT", "E_BK_OTHER"], "task_poll_seconds": 0.1}
    with closing(make_source(case.tenant.connection(**options), LANDSCAPE)) as source:
        pages = list(pages_of(source, "statements", None, now=case.now))
    assert [page.complete_until is not None for page in pages] == [False, False, True]  # the second's files are the first's
    assert runs(case) == 2


def refusing(case: Statements, *codes: str, status: int = 404) -> None:
    """From now on the tenant refuses to run these templates."""
    error: dict[str, Any] = {"code": "NotFound", "message": "no such process template", "target": "code", "details": [], "innererror": None}
    ends = tuple(f"/{code}/run" for code in codes)
    case.tenant.server.between = lambda asked, answer: (
        reply_json({"error": error}, status) if asked.path.endswith(ends) else answer()
    )  # fmt: skip


@pytest.mark.parametrize("status", [400, 403, 404, 422])
@pytest.mark.parametrize("order", [("E_BAD", "E_BK_CAMT"), ("E_BK_CAMT", "E_BAD"), ("E_BAD", "E_WORSE", "E_BK_CAMT")])
def test_a_template_that_is_refused_costs_only_itself(case: Statements, order: tuple[str, ...], status: int) -> None:
    """A wrong code, wherever it stands: one exception that names it, the others are run, and nothing is said to be complete."""
    case.put("k1", 101, NOW - DAY)
    bad = [code for code in order if code != "E_BK_CAMT"]
    refusing(case, *bad, status=status)
    case.options = {"statement_templates": list(order)}
    store, refused, pages = read_all(case, None)
    assert worths(store) == {"k1": 101}
    assert [error.cause for error in refused] == ["source_permanent"] * len(bad)
    assert all(code in error.detail and "no such process template" in error.detail for code, error in zip(bad, refused, strict=True))
    assert [page.complete_until for page in pages if page.complete_until] == []
    case.tenant.server.between = None
    _, refused, pages = read_all(case, pages[-1].cursor)
    assert refused == []
    assert pages[-1].complete_until == case.now


def test_a_template_that_is_refused_in_every_round_is_the_same_exception(case: Statements) -> None:
    """Its refusal is the same page, bytes and name, so that no exception comes anew with each round."""
    refusing(case, "E_BAD")
    case.options = {"statement_templates": ["E_BAD", "E_BK_CAMT"]}
    _, _, first = read_all(case, None)
    _, _, second = read_all(case, first[-1].cursor)
    assert (first[0].name, first[0].body) == (second[0].name, second[0].body) == ("E_BAD: refused", first[0].body)


def test_where_every_template_is_refused_the_stream_stops(case: Statements) -> None:
    """That is no matter of a template: the error is the stream's, in the tenant's own words."""
    refusing(case, "E_BAD", "E_WORSE", status=403)
    case.options = {"statement_templates": ["E_BAD", "E_WORSE"]}
    with pytest.raises(PermanentError, match="no such process template"):
        steps(case, None)


def test_a_round_of_which_one_template_failed_is_not_complete(case: Statements) -> None:
    """The first one's task ends badly, the last one's well: what the first would have brought is not there."""
    case.put("k1", 101, NOW - DAY)
    case.options = {"statement_templates": ["E_BK_CAMT", "E_BK_OTHER"]}
    case.tenant.tasks.last_words = "Error"
    _, cursor = steps(case, None)
    while len(case.tenant.tasks.asked) < 2:
        _, cursor = steps(case, cursor)
    case.tenant.tasks.last_words = "Complete"
    store, refused, pages = read_all(case, cursor)
    assert (worths(store), refused) == ({"k1": 101}, [])
    assert [page.complete_until for page in pages if page.complete_until] == []


@pytest.mark.parametrize("status", [400, 410])
def test_a_task_that_can_not_be_asked_for_is_run_anew(case: Statements, status: int) -> None:
    """However the tenant says that it has no such task: an exception, and the next round runs anew."""
    case.put("k1", 101, NOW - DAY)
    _, cursor = steps(case, None)
    error = {"error": {"code": "BadRequest", "message": "unknown task"}}
    case.tenant.server.between = lambda asked, answer: reply_json(error, status) if asked.path.endswith("/status") else answer()
    (page,), cursor = steps(case, cursor)
    assert isinstance(page, Page)
    assert "no longer known" in str(page.name)
    case.tenant.server.between = None
    store, refused, _ = read_all(case, cursor)
    assert (worths(store), refused) == ({"k1": 101}, [])


def plain(case: Statements, body: bytes, kind: str = "application/xml", **headers: str) -> None:
    """From now on the files of a task are this body."""

    def between(asked: Asked, answer: Any) -> Reply:
        if not asked.path.endswith("/files"):
            return answer()  # type: ignore[no-any-return]
        return Reply(body, content_type=kind, headers={name.replace("_", "-"): value for name, value in headers.items()})

    case.tenant.server.between = between


def test_a_single_file_comes_as_it_is(case: Statements) -> None:
    """No archive around it; its name is the tenant's, without a path."""
    plain(case, camt053("k1", "101", NOW - DAY), Content_Disposition='attachment; filename="../out/camt.xml"')
    store, refused, pages = read_all(case, None)
    assert (worths(store), refused, pages[0].name) == ({"k1": 101}, [], "camt.xml")


def test_several_files_may_come_in_parts(case: Statements) -> None:
    """A multipart answer is as many files."""
    parts = b"".join(
        b'--X\r\nContent-Disposition: attachment; filename="%s.xml"\r\nContent-Type: application/xml\r\n\r\n%s\r\n'
        % (key.encode(), camt053(key, "101", NOW - DAY))
        for key in ("k1", "k2")
    )
    plain(case, parts + b"--X--\r\n", "multipart/mixed; boundary=X")
    store, refused, pages = read_all(case, None)
    assert (set(worths(store)), refused) == ({"k1", "k2"}, [])
    assert [page.name for page in pages[:2]] == ["k1.xml", "k2.xml"]


@pytest.mark.parametrize("body", [b"PK\x03\x04 but no archive", b'[{"fileName": "x"}]', b"\x00\xff\x00", b"<a/>", b"<!DOCTYPE a><a/>"])
def test_garbage_is_refused_with_evidence_and_ends_the_task(case: Statements, body: bytes) -> None:
    """Whatever came is an exception, and the cursor moves on: the next round runs anew."""
    plain(case, body, "application/octet-stream")
    store, refused, pages = read_all(case, None)
    assert store.rows == {}
    assert [error.cause for error in refused] == ["file_unreadable"]
    assert "task" not in (pages[-1].cursor or {})


def test_a_bomb_is_refused(case: Statements) -> None:
    """An archive that unpacks to far more than it weighs is not unpacked."""
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.xml", b" " * (60 << 20))
    plain(case, packed.getvalue(), "application/zip")
    _, refused, _ = read_all(case, None)
    assert "archive" in refused[0].detail


def test_a_web_page_is_no_statement(case: Statements) -> None:
    """A login page where a file was expected is an outage: the task stays, and its files are there once it is over."""
    case.put("k1", 101, NOW - DAY)
    plain(case, b"<!DOCTYPE html><html><body>Log on</body></html>", "text/html")
    _, cursor = steps(case, None)
    _, cursor = steps(case, cursor)
    with pytest.raises(TransientError, match="web page"):
        steps(case, cursor)
    case.tenant.server.between = None
    store, refused, _ = read_all(case, cursor)
    assert (worths(store), refused, runs(case)) == ({"k1": 101}, [], 1)


def test_an_unknown_template_is_said(case: Statements) -> None:
    """The tenant knows no such template: a permanent error in its own words."""
    body: dict[str, Any] = {
        "error": {"code": "NotFound", "message": "no process template E_BK_CAMT", "target": "code", "details": [], "innererror": None}
    }
    case.tenant.server.between = lambda asked, answer: reply_json(body, 404) if asked.path.endswith("/run") else answer()
    with pytest.raises(PermanentError, match="NotFound: no process template E_BK_CAMT"):
        steps(case, None)


def test_the_statements_belong_to_whom_treasury_says(case: Statements) -> None:
    """The account's number leads to its company, and that to the legal entity and region."""
    case.tenant.accounts = {"US-OPS": account("US-OPS", number="987", company="US01")}
    case.tenant.tasks.files = [camt053("987", "7", NOW - DAY)]
    store = Store()
    with closing(case.source()) as source:
        pull(source, "statements", None, store, now=case.now)
    (row,) = store.live("bank_transaction").values()
    assert (row["legal_entity"], row["region"], row["account"]) == ("US01", "NA", "987")


def test_without_a_template_there_are_no_statements(case: Statements) -> None:
    """Nothing to run: the stream is not offered."""
    with closing(make_source(case.tenant.connection(), LANDSCAPE)) as source:
        assert "statements" not in [stream.name for stream in source.streams()]
