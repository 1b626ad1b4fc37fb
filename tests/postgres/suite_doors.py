"""What every door of the API has to hold, whoever knocks: the one suite for all, over real sockets and a real database.

A sender is a `DoorCase` in tests/postgres/door_cases.py. The proof comes first and is refused alike for all; what is proven is kept once,
byte for byte, answered in the vendor's own form, and does no more than to have records read again; what is proven and broken is never an
error of ours. After each test every 2xx has its row in the inbox and every row an end (I5).
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import pytest
import sqlalchemy as sa

from db.engine import writing
from sync import tasks, webhooks
from tests.postgres.door_case import DoorCase
from tests.postgres.doors_house import OLD_SECRET, Doors
from tests.postgres.named_source import NamedSource

COPIES = 50
MUTATIONS = 30


_Test = TypeVar("_Test", bound=Callable[..., None])


def of_those(wanted: Callable[[DoorCase], bool]) -> Callable[[_Test], _Test]:
    """For a test that only some senders can put a door to: those that `wanted` says."""

    def marked(test: _Test) -> _Test:
        test.wanted = wanted  # type: ignore[attr-defined]
        return test

    return marked


def same(answer: httpx.Response) -> tuple[int, str, Mapping[str, str]]:
    """What an answer shows, its moment left out."""
    return answer.status_code, answer.text, {name: value for name, value in answer.headers.items() if name != "date"}


class DoorSuite:
    """Whoever gives it the cases and the fixture `doors`, the module's running API, respects `of_those`."""

    @pytest.fixture(autouse=True)
    def _clean(self, doors: Doors, case: DoorCase) -> Iterator[None]:
        doors.clear()
        yield
        doors.check()

    def well(self, case: DoorCase, answer: httpx.Response) -> bool:
        """Whether the answer is what the vendor takes for an acknowledgement."""
        status, kind, words = case.acknowledged
        return (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, kind) and words in answer.content

    def due(self, doors: Doors, case: DoorCase) -> list[tuple[str, str]]:
        """The pulls that one event has to bring about."""
        known = doors.rows("select stream from process.stream where connection = :name order by stream", name=case.name)
        return [(case.stream, "webhook")] if case.keyed else [(row.stream, "webhook") for row in known]

    def test_a_genuine_event_is_taken_kept_and_followed(self, doors: Doors, case: DoorCase) -> None:
        """The vendor's own acknowledgement, one row, the bytes as they came, and what it names is to be read again."""
        sent = case.request(1, 1)
        assert self.well(case, doors.post(case.name, sent))
        assert doors.inbox(case.name) == {case.inbox(1, 1): "processed"}
        assert doors.bodies() == [case.kept(sent.body)]
        assert doors.jobs(case.name) == self.due(doors, case)
        assert doors.hints(case.name) == ([(case.stream, (case.key(1),), False)] if case.keyed else [])
        assert doors.stored()["process.exception"] == 0

    def test_fifty_copies_at_once_are_one_event(self, doors: Doors, case: DoorCase) -> None:
        """The same event fifty times at the same moment: all acknowledged, one effect."""
        answers = doors.post_all(case.name, [case.request(1, 1)] * COPIES)
        assert [self.well(case, answer) for answer in answers] == [True] * COPIES
        assert doors.inbox(case.name) == {case.inbox(1, 1): "processed"}
        assert (len(doors.bodies()), doors.jobs(case.name)) == (1, self.due(doors, case))
        assert len(doors.hints(case.name)) == int(case.keyed)

    def test_a_copy_a_day_later_is_the_same_event(self, doors: Doors, case: DoorCase) -> None:
        """With a fresh proof and the same id, once all is done: acknowledged, and nothing more happens."""
        doors.post(case.name, case.request(1, 1))
        doors.clock.advance(timedelta(days=1))
        with writing(doors.engine) as conn:
            conn.execute(sa.text("update process.hint set settled_at = noted_at"))
            conn.execute(sa.text("delete from procrastinate_jobs"))
        before = doors.stored()
        assert self.well(case, doors.post(case.name, case.request(1, 1, at=datetime.now(UTC) + timedelta(seconds=5))))
        assert (doors.stored(), doors.hints(case.name)) == (before, [])

    def test_what_is_not_proven_is_refused_alike_and_leaves_only_a_count(self, doors: Doors, case: DoorCase) -> None:
        """Guessed, another's, tampered with, missing, odd, to another connection, to nobody, to one without a proof: the same 401."""
        forged, genuine = case.forgeries(), case.request()
        before = doors.refused(case.name)
        answers = dict(zip(forged, doors.post_all(case.name, list(forged.values())), strict=True))
        assert doors.refused(case.name) == before + len(forged)
        for name in (f"{case.name}-other", f"{case.name}-silent", "nowhere", case.name.upper(), f"{case.name}%00", "%C3%A4"):
            answers[f"to {name}"] = doors.post(name, genuine)
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 401)
        first = same(next(iter(answers.values())))
        assert {name: same(answer) for name, answer in answers.items()} == dict.fromkeys(answers, first)
        assert set(doors.stored().values()) == {0}
        assert self.well(case, doors.post(case.name, genuine))

    def test_an_old_proof_and_one_of_the_future_are_refused(self, doors: Doors, case: DoorCase) -> None:
        """More than five minutes off either way; where the vendor's proof carries no time, the case says what protects."""
        now = datetime.now(UTC)
        off = [case.request(1, 1, at=now + timedelta(seconds=seconds)) for seconds in (-302, 310, -86_400, 10**9)]
        answers = doors.post_all(case.name, off)
        if case.timed:
            assert [answer.status_code for answer in answers] == [401] * len(off)
            assert set(doors.stored().values()) == {0}
            assert self.well(case, doors.post(case.name, case.request(1, 1, at=now - timedelta(seconds=240))))
        else:
            assert case.instead
            assert doors.inbox(case.name) == {case.inbox(1, 1): "processed"}

    def test_a_secret_can_be_rotated(self, doors: Doors, case: DoorCase) -> None:
        """Both live secrets are taken at the same time."""
        answers = doors.post_all(case.name, [case.request(1, 1), case.request(2, 2, secret=OLD_SECRET)])
        assert [self.well(case, answer) for answer in answers] == [True, True]
        assert {*doors.inbox(case.name)} == {case.inbox(1, 1), case.inbox(2, 2)}

    def test_a_body_may_have_one_megabyte(self, doors: Doors, case: DoorCase) -> None:
        """Exactly that is taken; one byte more is refused, rightly proven or not, also where no length was announced."""
        whole = case.body(case.event(1, 1))
        full = case.sealed(whole + b" " * (webhooks.MAX_BODY_BYTES - len(whole)))
        more = case.sealed(full.body + b" ")
        assert self.well(case, doors.post(case.name, full))
        before = doors.stored()
        with httpx.Client(base_url=doors.url, timeout=60, verify=False) as client:
            address = f"/webhooks/{case.name}{'?' * bool(more.query)}{more.query}"
            announced = client.post(address, content=more.body, headers=more.raw())
            pieces = (more.body[at : at + 65_536] for at in range(0, len(more.body), 65_536))
            unannounced = client.post(address, content=pieces, headers=more.raw())
        assert [announced.status_code, unannounced.status_code] == [413, 413]
        assert doors.stored() == before

    def test_a_compressed_body_is_refused_and_nothing_is_unpacked(self, doors: Doors, case: DoorCase) -> None:
        """No sender compresses; what claims to be is told so, bomb or not."""
        for body in (case.body(case.event(1, 1)), b"\0" * 10_000_000):
            assert doors.post(case.name, case.sealed(gzip.compress(body)).but(content_encoding="gzip")).status_code == 415
        assert set(doors.stored().values()) == {0}
        assert self.well(case, doors.post(case.name, case.request().but(content_encoding="identity")))

    def test_garbage_that_is_rightly_proven_breaks_nothing(self, doors: Doors, case: DoorCase) -> None:
        """Kept or refused, never an error of ours; and the next event goes its way."""
        garbage = case.garbage()
        sent = [case.sealed(body, number=100 + number) for number, body in enumerate(garbage.values())]
        answers = dict(zip(garbage, doors.post_all(case.name, sent), strict=True))
        assert {name: answer.status_code for name, answer in answers.items() if not 200 <= answer.status_code < 500} == {}
        kept = {page for (page,) in doors.rows("select page_id from process.webhook")}
        assert kept == {page for (page,) in doors.rows("select id from raw.page")}
        assert self.well(case, doors.post(case.name, case.request(1, 1)))
        assert doors.inbox(case.name)[case.inbox(1, 1)] == "processed"

    def test_a_body_broken_anywhere_is_no_error_of_ours(self, doors: Doors, case: DoorCase) -> None:
        """A genuine body with bytes turned, cut, doubled: whatever it then is."""
        dice, whole = random.Random(case.name), case.body(case.event(1, 1))
        broken = []
        for number in range(MUTATIONS):
            body = bytearray(whole)
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(len(body))
                match dice.randrange(4):
                    case 0:
                        body[at] = dice.randrange(256)
                    case 1:
                        del body[at : at + dice.randint(1, 40)]
                    case 2:
                        body[at:at] = body[at : at + dice.randint(1, 40)]
                    case _:
                        body[at:at] = dice.choice([b"\x00", b"\\u0000", b'"', b"{", b"]", b"<", b"&#0;", b"\xf0\x9f", b"NaN", b"1e999"])
                body = body or bytearray(b"x")
            broken.append(case.sealed(bytes(body), number=1_000 + number))
        answers = doors.post_all(case.name, broken)
        assert [broken[at].body for at, answer in enumerate(answers) if answer.status_code >= 500] == []

    @of_those(lambda case: case.reads)
    def test_what_can_not_be_read_is_kept_and_told_once(self, doors: Doors, case: DoorCase) -> None:
        """A proven sender's body that is no event: acknowledged, quarantined with its bytes, one exception, everything asked for."""
        body = case.body(*case.odd_events()[:1]) if case.many else b"{"
        for number in (50, 51):
            assert self.well(case, doors.post(case.name, case.sealed(body, number=number)))
        assert {*doors.inbox(case.name).values()} == {"quarantined"}
        assert doors.bodies() == [case.kept(body)]
        ((cause, message, raw),) = doors.rows("select cause, message, raw_record_id >> 24 from process.exception")
        assert (cause, raw) == ("event_unreadable", doors.rows("select id from raw.page")[0][0])
        assert case.name in message
        known = doors.rows("select stream from process.stream where connection = :name", name=case.name)
        assert {stream for stream, _ in doors.jobs(case.name)} == {row.stream for row in known}

    @of_those(lambda case: case.many)
    def test_an_odd_event_among_others_costs_only_itself(self, doors: Doors, case: DoorCase) -> None:
        """In one body: the sound ones are named as ever, the odd ones are quarantined with it, and one exception tells of them."""
        body = case.body(case.event(1, 1), *case.odd_events(), case.event(2, 2))
        assert self.well(case, doors.post(case.name, case.sealed(body)))
        inbox = doors.inbox(case.name)
        assert [inbox.pop(case.inbox(number, number)) for number in (1, 2)] == ["processed", "processed"]
        assert {*inbox.values()} == {"quarantined"}
        keys = {key for _, keys, _ in doors.hints(case.name) for key in keys}
        assert {case.key(1), case.key(2)} <= keys
        assert doors.bodies() == [case.kept(body)]
        assert doors.stored()["process.exception"] == 1

    @of_those(lambda case: case.with_id("") is not None)
    def test_ids_that_no_database_holds_do_no_harm(self, doors: Doors, case: DoorCase) -> None:
        """A NUL, half a letter, ids longer than any column: each is one event, known again; two long ones are not taken for one."""
        texts = ("k\\u0000", "k\\ud800", "x" * 5_000 + "a", "x" * 5_000 + "b", "\\u0000")
        bodies = [case.with_id(text) or b"" for text in texts]
        for _ in range(2):
            answers = doors.post_all(case.name, [case.sealed(body) for body in bodies])
            assert [self.well(case, answer) for answer in answers] == [True] * len(bodies)
            assert len(doors.inbox(case.name)) == len(bodies)

    def test_events_in_any_order_name_their_records(self, doors: Doors, case: DoorCase) -> None:
        """The newest first, an older one again, many at once: every record is named once for each event."""
        order = [3, 1, 2, 1, 3, 5, 4]
        answers = [doors.post(case.name, case.request(number, number)) for number in order]
        assert all(self.well(case, answer) for answer in answers)
        assert {*doors.inbox(case.name)} == {case.inbox(number, number) for number in order}
        if case.keyed:
            assert [keys for _, keys, _ in doors.hints(case.name)] == [(case.key(number),) for number in (3, 1, 2, 5, 4)]
        assert doors.jobs(case.name) == self.due(doors, case)

    @of_those(lambda case: case.many)
    def test_bodies_that_cross_each_other_wait_for_no_one_for_ever(self, doors: Doors, case: DoorCase) -> None:
        """Many events in each of many bodies, some the same, at the same moment, in opposite orders: no deadlock."""
        events = [case.other(number) if number % 2 else case.event(number, number) for number in range(1, 41)]
        bodies = [case.body(*(events if turn % 2 else events[::-1])[turn : 30 + turn]) for turn in range(10)]
        pairs = [(case.event(number, number), case.other(number + 1)) for number in range(100, 140, 2)]
        bodies += [case.body(*(pair if turn % 2 else pair[::-1])) for turn, pair in enumerate(pairs)]
        answers = doors.post_all(case.name, [case.sealed(body) for body in bodies])
        assert [self.well(case, answer) for answer in answers] == [True] * len(bodies)
        assert len(doors.inbox(case.name)) == 39 + 40
        assert len(doors.jobs(case.name)) == 2

    @of_those(lambda case: bool(case.overflows()))
    def test_a_sender_that_lost_count_has_everything_read_again(self, doors: Doors, case: DoorCase) -> None:
        """Gap and overflow events: the stream is read from its beginning."""
        for sent in case.overflows():
            doors.clear()
            assert self.well(case, doors.post(case.name, sent))
            assert doors.hints(case.name) == [(case.stream, (), True)]
            assert doors.jobs(case.name) == [(case.stream, "webhook")]

    @of_those(lambda case: case.unread() is not None)
    def test_what_is_about_nothing_of_ours_is_noted_and_no_more(self, doors: Doors, case: DoorCase) -> None:
        """An object that no stream reads; the echo of our own write, of which not even the event is noted."""
        unread, echo = case.unread(), case.echo()
        assert unread is not None
        assert self.well(case, doors.post(case.name, unread))
        assert (len(doors.inbox(case.name)), doors.hints(case.name), doors.jobs(case.name)) == (1, [], [])
        if echo is not None:
            assert self.well(case, doors.post(case.name, echo))
            assert (len(doors.inbox(case.name)), doors.hints(case.name), doors.jobs(case.name)) == (1, [], [])

    def test_a_paused_stream_is_read_once_it_is_resumed(self, doors: Doors, case: DoorCase) -> None:
        """The event is acknowledged and kept; no pull is asked for; what it named is read by the first pull after the pause."""
        doors.pause(case.name, case.stream)
        assert self.well(case, doors.post(case.name, case.request(1, 1)))
        assert (case.stream, "webhook") not in doors.jobs(case.name)
        source = NamedSource(case.stream)
        shop = self._shop(doors, case, source)
        assert (tasks.pull(shop, case.name, case.stream, "clock").state, source.asked) == ("paused", [])
        doors.pause(case.name, case.stream, paused=False)
        assert tasks.pull(shop, case.name, case.stream, "clock").state == "done"
        assert source.asked == ([(case.key(1),)] if case.keyed else [])
        assert doors.hints(case.name) == []

    @of_those(lambda case: case.keyed)
    def test_a_worker_that_dies_over_a_named_record_is_followed_by_another(
        self, doors: Doors, case: DoorCase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It dies once the record has landed and before the hint is settled: the next reads it again, and there is one of it."""
        doors.post_all(case.name, [case.request(1, 1), case.request(2, 2)])
        source = NamedSource(case.stream, gone=(case.key(2),))
        with monkeypatch.context() as patched, pytest.raises(SystemError, match="killed"):
            patched.setattr("sync.hints.looked_at", _killed)
            tasks.pull(self._shop(doors, case, source), case.name, case.stream, "webhook")
        assert len(doors.hints(case.name)) == 2
        assert tasks.pull(self._shop(doors, case, source), case.name, case.stream, "webhook").state == "done"
        assert [set(keys) for keys in source.asked] == [{case.key(1), case.key(2)}] * 2
        assert doors.hints(case.name) == []
        kept = doors.rows("select source_key, is_deleted from canonical.customer where source = :name order by source_key", name=case.name)
        assert [(row.source_key, row.is_deleted) for row in kept] == [(case.key(1), False)]
        self.well(case, doors.post(case.name, case.request(1, 1)))
        assert tasks.pull(self._shop(doors, case, source), case.name, case.stream, "webhook").state == "done"
        assert len(source.asked) == 2

    def _shop(self, doors: Doors, case: DoorCase, source: NamedSource) -> tasks.Shop:
        """A worker's shop in which the stream is read from `source`."""
        shop = tasks.Shop(doors, doors.landscape, doors.clock)  # type: ignore[arg-type]
        shop.sources[case.name, case.stream] = source
        return shop


def _killed(*_given: object, **_named: object) -> None:
    raise SystemError("killed")
