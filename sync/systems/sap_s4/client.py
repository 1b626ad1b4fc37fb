"""A session with an S/4HANA host: basic authentication, metadata read once, queries that end and lose nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sync.connections import Connection
from sync.errors import PermanentError, TransientError
from sync.http import Answer, Client
from sync.systems.sap_s4.refusals import explain
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import RENAMED, EntitySet, properties
from sync.wire_frames import Split, split

PAGES_MAX = 100_000
Record = Mapping[str, Any]
Position = Callable[[Record], str | None]
"""The last record of a page -> the condition under which that record and all after it are found; None: it can't say."""


@dataclass(frozen=True, slots=True)
class Query:
    """A read of an entity set in an order of its own. `after`: where to go on, so that rows that move between pages are not lost:
    no page is asked for by number unless a whole page stands at one position.
    """

    entity_set: EntitySet
    order: str
    after: Position
    where: str | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """One answer: its bytes, its records as bytes, and the first and the last of them."""

    body: bytes
    split: Split
    first: Record | None
    last: Record | None


class Session:
    """Requests to one host. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self._connection = connection
        self._basic = (connection.secret("user").get_secret_value(), connection.secret("password").get_secret_value())
        headers = {"Accept": "application/json"}
        if "api_key" in connection.secrets:
            headers["APIKey"] = connection.secret("api_key").get_secret_value()
        self.client = client or Client(connection, settings.base_url, explain=explain, headers=headers)
        self._known: dict[str, Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {}

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections and with them the host's session."""
        self.client.close()

    def get(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, *, accept: Container[int] = ()
    ) -> Answer:
        """Reads a path below the base address."""
        return self.client.send("GET", path, params=self._with_client(params), headers=headers, basic=self._basic, accept=accept)

    def patch(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """A write; UnknownOutcome when it left and no answer came."""
        sent = {"Content-Type": "application/json", **headers}
        return self.client.send(
            "PATCH", path, params=self._with_client(None), content=body, headers=sent, basic=self._basic, expect="any", write=True
        )

    def sets(self, service: str) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
        """Entity set -> (properties, navigation) of a service, read once from its $metadata."""
        if service not in self._known:
            answer = self.client.send(
                "GET", f"{service}/$metadata", params=self._with_client(None), headers={"Accept": "application/xml"},
                basic=self._basic, expect="xml",
            )  # fmt: skip
            self._known[service] = properties(answer.body)
        return self._known[service]

    def has(self, entity_set: EntitySet) -> bool:
        """Whether the host offers this entity set."""
        return entity_set.name in self.sets(entity_set.service)

    def select(self, entity_set: EntitySet) -> dict[str, str]:
        """$select and $expand: what we want of the set, as far as this release has it, under the names it uses.

        Raises PermanentError when the set or a needed property is not there.
        """
        known = self.sets(entity_set.service).get(entity_set.name)
        if known is None:
            raise PermanentError(f"{entity_set.service} has no entity set {entity_set.name}", connection=self._connection.name)
        has, leads = known
        missing = [name for name in entity_set.needed if name not in has]
        if missing:
            raise PermanentError(f"{entity_set.path} has no property {', '.join(missing)}", connection=self._connection.name)
        wanted = [name if name in has else RENAMED.get(name, name) for name in (*entity_set.needed, *entity_set.wanted)]
        chosen = [name for name in wanted if name in has]
        expanded = [(name, fields) for name, fields in entity_set.expand if name in leads]
        chosen += [f"{name}/{field}" for name, fields in expanded for field in fields]
        found = {"$select": ",".join(chosen)}
        if expanded:
            found["$expand"] = ",".join(name for name, _ in expanded)
        return found

    def read(self, query: Query) -> Iterator[Got]:
        """The answers to a query until it has no more, the last one with less than a page or none at all.

        Raises TransientError when the host repeats itself or says that there is more and gives nothing.
        """
        chosen = self.select(query.entity_set)
        position, skip, link = query.start, 0, None
        seen: set[bytes] = set()
        for _ in range(PAGES_MAX):
            answer = self._follow(link) if link else self.get(query.entity_set.path, self._params(query, chosen, position, skip))
            got = self._got(answer)
            digest = hashlib.sha256(b"".join(bytes(record) for record in got.split.records)).digest()
            if got.last is not None and digest in seen:
                raise TransientError(f"{answer.place}: the host gives the same page again", connection=self._connection.name)
            seen.add(digest)
            yield got
            taken, following = len(got.split.records), got.split.beside.get("__next")
            if not self._more(got, skip):
                return
            if taken == 0 and not following:
                raise TransientError(f"{answer.place}: the host counts more than it gives", connection=self._connection.name)
            ahead = query.after(got.last) if got.last is not None else None
            begins = query.after(got.first) if got.first is not None else None
            if ahead is not None and ahead != begins:
                position, skip, link = ahead, 0, None
            else:  # the whole page stands at one position: only its number, or the host's own link, leads on
                skip = taken if ahead not in (None, position) else skip + taken
                position, link = ahead or position, str(following) if following else None
        raise TransientError(f"{query.entity_set.path}: no end after {PAGES_MAX} pages", connection=self._connection.name)

    def find(self, entity_set: EntitySet, conditions: Sequence[str], together: int = 30) -> Iterator[Got]:
        """The records that fulfil any of the conditions, asked for some at a time."""
        for first in range(0, len(conditions), together):
            where = " or ".join(conditions[first : first + together])
            yield from self.read(Query(entity_set, entity_set.needed[0], lambda _: None, where))

    def _more(self, got: Got, skip: int) -> bool:
        taken = len(got.split.records)
        count = got.split.beside.get("__count")
        more = taken >= self.settings.page_size or bool(got.split.beside.get("__next"))
        return more or (str(count).isdigit() and int(str(count)) > skip + taken)

    def _params(self, query: Query, chosen: Mapping[str, str], position: str | None, skip: int) -> dict[str, str]:
        conditions = [f"({part})" for part in (query.where, position) if part]
        params = {**chosen, "$orderby": query.order, "$top": str(self.settings.page_size), "$inlinecount": "allpages", "$format": "json"}
        if conditions:
            params["$filter"] = " and ".join(conditions)
        if skip:
            params["$skip"] = str(skip)
        return params

    def _got(self, answer: Answer) -> Got:
        found = split(answer.body, "d", "results")
        first, last = (_record(found.records[place]) if found.records else None for place in (0, -1))
        return Got(answer.body, found, first, last)

    def _with_client(self, params: Mapping[str, str] | None) -> dict[str, str]:
        extra = {"sap-client": self.settings.sap_client} if self.settings.sap_client else {}
        return {**(params or {}), **extra}

    def _follow(self, link: str) -> Answer:
        """The answer behind a next link, which carries its own query; another host's is refused."""
        return self.client.send("GET", link, basic=self._basic)


def _record(raw: msgspec.Raw | bytes) -> Record | None:
    """The record, or None when it is none: mapping says what is wrong with it."""
    try:
        found = msgspec.json.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def credit_accounts(settings: Settings, needed: tuple[str, ...], wanted: tuple[str, ...]) -> EntitySet:
    """The entity set of credit accounts under the names that this host uses."""
    return EntitySet(settings.credit_service, settings.credit_set, needed, wanted)
