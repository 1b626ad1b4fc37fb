"""Bank statements by way of the tenant: process templates export them, and the files go to the reader of bank statements.

The cursor is a small state machine, each step of which is committed before the next is taken, so that any process can go on:
`task` {template, id, began, polls} while one is under way, `done` the templates that this `round` has run, `short` whether one of them
brought nothing because it went wrong, `seen` the digests of files already handed on, `chain` the closing balances that the next statements
have to follow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.connections import Connection, Landscape
from sync.errors import DataError, PermanentError
from sync.http import Answer, wall_clock
from sync.ports import ABOUT, Cursor, Mapped, Page, Pending, no_rejects
from sync.statements import Owners, followed, read
from sync.systems.kyriba.listings import Listings
from sync.systems.kyriba.tasks import DELIVERED, RUNNING, Tasks, messages, unpacked

STREAM = "statements"
ENTITIES = ("bank_account", "bank_balance", "bank_transaction", "payment")
FILES_KNOWN = 2000
POLL_SECONDS_MAX = 300.0
REFUSALS = range(400, 500)
REFUSED = "refused"
OUTCOME_HEADER = "x-tidegate-task"
REFUSAL_HEADER = "x-tidegate-refused"
CHAIN_HEADER = "chain"
OWNERS_HEADER = "owners"
RECEIVED_HEADER = "received_at"


@dataclass(frozen=True, slots=True)
class Task:
    """A run under way: when it began by the wall (UTC), and how often it has been looked at."""

    template: str
    id: str
    began: datetime
    polls: int = 0

    @classmethod
    def of(cls, held: object) -> Task | None:
        """The task of a stored cursor, held to the present: a wrong clock must not make it younger than it can be."""
        if not isinstance(held, Mapping):
            return None
        began = datetime.fromisoformat(str(held["began"]))
        return cls(str(held["template"]), str(held["id"]), min(began, wall_clock()), int(held.get("polls", 0)))

    def stored(self) -> dict[str, Any]:
        """As it stands in a cursor."""
        return {"template": self.template, "id": self.id, "began": self.began.isoformat(), "polls": self.polls}


@dataclass(slots=True)
class State:
    """The cursor while it is worked with. `done`: the templates that this round has run; `round`: when it began, business time, UTC;
    `short`: a template of this round went wrong.
    """

    task: Task | None = None
    done: list[str] = field(default_factory=list)
    round: datetime | None = None
    short: bool = False
    seen: list[str] = field(default_factory=list)
    chain: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: Cursor | None, now: datetime, templates: Sequence[str]) -> State:
        """The state of a stored cursor; what it says of templates that are no longer configured is left out."""
        held = cursor or {}
        began = held.get("round")
        done = [each for each in held.get("done") or () if each in templates]
        return cls(
            Task.of(held.get("task")),
            done if len(done) < len(templates) else [],
            None if began is None else min(datetime.fromisoformat(str(began)), now),
            bool(held.get("short")),
            list(held.get("seen") or ()),
            dict(held.get("chain") or {}),
        )

    def stored(self) -> dict[str, Any]:
        """The cursor."""
        kept: dict[str, Any] = {"seen": self.seen[-FILES_KNOWN:], "chain": {name: dict(last) for name, last in self.chain.items()}}
        if self.round is not None:
            kept |= {"round": self.round.isoformat(), "done": list(self.done), **({"short": True} if self.short else {})}
        return kept if self.task is None else {**kept, "task": self.task.stored()}

    def over(self, template: str, templates: Sequence[str], *, well: bool) -> datetime | None:
        """The template has had its turn in this round. Returns when the round began if this was its last and all of them went well."""
        self.task, self.short = None, self.short or not well
        self.done.append(template)
        if set(templates) - set(self.done):
            return None
        until = None if self.short else self.round
        self.done, self.round, self.short = [], None, False
        return until


class Statements:
    """The `statements` stream of one tenant."""

    def __init__(self, tenant: Listings, landscape: Landscape) -> None:
        self._tenant = tenant
        self._settings = tenant.settings
        self._tasks = Tasks(tenant.session)
        self._owners = _Owners(tenant.connection, landscape)

    def pull(self, cursor: Cursor | None, now: datetime) -> Iterator[Page | Pending]:
        """Each template's files, template by template; Pending while the tenant works. A run that ended badly is a page that can't be
        believed: its log becomes the evidence, and the next template is run all the same.
        """
        state = State.of(cursor, now, self._settings.statement_templates)
        if state.task is not None:
            status, answer = self._tasks.status(state.task.id)
            late = wall_clock() - state.task.began >= timedelta(minutes=self._settings.task_limit_minutes)
            if status in RUNNING and not late:
                yield self._pending(state, state.task, status)
                return
            if status in DELIVERED:
                yield from self._delivered(state, state.task, now)
            yield self._ended(state, state.task, status, answer)
            if not state.done:
                return
        yield from self._next(state, now)

    def _next(self, state: State, now: datetime) -> Iterator[Page | Pending]:
        """Runs the next template that the tenant takes. One that it refuses, as a wrong code is, costs only itself: its refusal is a page
        that can't be believed. Where every template is refused it is the API that is, which is an error and no template's.
        """
        state.round = state.round or now
        templates = self._settings.statement_templates
        held: list[Page] = []
        for template in [each for each in templates if each not in state.done]:
            try:
                task = self._tasks.run(template)
            except PermanentError as error:
                if error.status not in REFUSALS or len(held) + 1 == len(templates):
                    raise
                state.over(template, templates, well=False)
                words = f"the process template {template} can't be run: {error.detail}"
                held.append(
                    Page(words.encode(), "text/plain", state.stored(), f"{template}: refused", {OUTCOME_HEADER: REFUSED, ABOUT: template})
                )
                continue
            yield from held
            yield self._pending(state, Task(template, task, wall_clock()), "started")
            return
        yield from held

    def map(self, page: Page) -> Mapped:
        """The statements of a file in canonical words; nothing for the end of a task. DataError for a file that can't be believed and
        for a task that ended badly.
        """
        if refusal := page.headers.get(REFUSAL_HEADER):
            raise DataError(refusal, cause="file_unreadable", evidence={"file": page.name}, connection=self._tenant.connection.name)
        outcome = page.headers.get(OUTCOME_HEADER)
        if outcome is None:
            received = page.headers.get(RECEIVED_HEADER)
            reading = read(
                page.body,
                self._owners.those_of(json.loads(page.headers.get(OWNERS_HEADER, "{}"))),
                received=None if received is None else datetime.fromisoformat(received),
            )
            return reading.mapped(json.loads(page.headers.get(CHAIN_HEADER, "{}")))
        if outcome in DELIVERED:
            return Mapped(0, {}, no_rejects())
        words = messages(page.body)
        told = "; ".join(words[:3]) or "the log says nothing"
        raise DataError(
            (told if outcome == REFUSED else f"{page.name}: {told}")[:500], cause="source_permanent",
            evidence={"state": outcome, "messages": words}, connection=self._tenant.connection.name,
        )  # fmt: skip

    def _pending(self, state: State, task: Task, words: str) -> Pending:
        """Asked again soon, later each time: a long export is not asked for a hundred times of the daily calls."""
        seconds = min(self._settings.task_poll_seconds * 1.5 ** min(task.polls, 20), POLL_SECONDS_MAX)
        state.task = replace(task, polls=task.polls + 1)
        return Pending(state.stored(), seconds, f"{task.template}, task {task.id}: {words}")

    def _delivered(self, state: State, task: Task, now: datetime) -> Iterator[Page]:
        """The task's files that have not been handed on yet, each with the cursor that is true once it is committed."""
        answer = self._tasks.made(task.template, task.id)
        if answer is None:
            return
        owners = self._companies()
        beside = {OWNERS_HEADER: json.dumps(owners, sort_keys=True), RECEIVED_HEADER: now.astimezone(UTC).isoformat()}
        name = f"{task.template} {task.id}"
        try:
            for made in unpacked(answer, name):
                digest = hashlib.sha256(made.body).hexdigest()[:32]
                if digest not in state.seen:
                    chain = json.dumps({account: dict(last) for account, last in state.chain.items()}, sort_keys=True)
                    state.seen.append(digest)
                    state.chain = dict(followed(state.chain, made.body, self._owners.those_of(owners)))
                    yield Page(made.body, made.content_type, state.stored(), made.name, {CHAIN_HEADER: chain, **beside})
        except DataError as error:
            yield Page(answer.body, answer.content_type, None, name, {REFUSAL_HEADER: error.detail})

    def _ended(self, state: State, task: Task, status: str, answer: Answer) -> Page:
        """The end of a task is a page of its own, for only a page moves the cursor: without it a task that made no file would be asked
        for its files for ever.
        """
        delivered = status in DELIVERED
        until = state.over(task.template, self._settings.statement_templates, well=delivered)
        body = answer.body if delivered else self._log(task, answer)
        shown = f"not done after {self._settings.task_limit_minutes} minutes" if status in RUNNING else status
        name = f"{task.template}, task {task.id}: {shown}"
        return Page(body, answer.content_type, state.stored(), name, {OUTCOME_HEADER: status, ABOUT: task.template}, until)

    def _log(self, task: Task, answer: Answer) -> bytes:
        """The task's log, or the bare answer where the log can't be had: what went wrong must not hide behind another error."""
        try:
            return self._tasks.details(task.id).body or answer.body
        except PermanentError:
            return answer.body

    def _companies(self) -> dict[str, str]:
        """Every number by which a bank may name an account -> our legal entity."""
        found: dict[str, str] = {}
        for account in self._tenant.accounts().values():
            entity = self._settings.entity_of(account.company)
            if entity is not None:
                found.update(dict.fromkeys(account.numbers, entity))
        return found


class _Owners:
    """Whose accounts the statements are about: as the connection names them first, then as treasury lists them."""

    def __init__(self, connection: Connection, landscape: Landscape) -> None:
        self._plain = Owners.of(connection, landscape)
        self._entities = self._plain.entities or landscape.legal_entities

    def those_of(self, listed: Mapping[str, str]) -> Owners:
        return replace(self._plain, accounts={**listed, **self._plain.accounts}, entities=self._entities)
