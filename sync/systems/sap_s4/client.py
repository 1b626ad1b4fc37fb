"""A session with an S/4HANA host: who asks, the host's cookies and tokens, and what each of its services has."""

from __future__ import annotations

import re
import threading
from collections.abc import Container, Mapping
from urllib.parse import urljoin, urlsplit

from sync.connections import Connection
from sync.errors import PermanentError
from sync.http import Answer, Client, Expect
from sync.systems.sap_s4.access import Access
from sync.systems.sap_s4.metadata import Described, described
from sync.systems.sap_s4.odata import Dialect
from sync.systems.sap_s4.refusals import explain, property_refused
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import RENAMED, EntitySet

_OVER = re.compile(r"(?i)max-age=-?0*\s*(;|$)|expires=[^;]*1970")
_NO_METADATA = (403, 404, 405, 406, 410, 501)


class Session:
    """Requests to one host. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self.address = settings.address
        self._connection = connection
        self._access = Access(connection, settings, lambda: self.client)
        origins = (settings.token_url,) if self._access.tokens and settings.token_url else ()
        spoken = {"Accept-Language": (settings.sap_language or "en").lower()}  # refusals are read, and told, in English
        self.client = client or Client(connection, settings.base_url, origins=origins, explain=explain, headers=spoken)
        self._cookies: dict[str, str] = {}
        self._lock = threading.Lock()
        self._known: dict[str, Described | None] = {}
        self._refused: dict[str, set[str]] = {}
        self._lacking: set[str] = set()
        self.date: str | None = None
        """The host's clock, as its last answer named it."""

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    @property
    def name(self) -> str:
        """The connection's name."""
        return self._connection.name

    def close(self) -> None:
        """Ends the connections and with them the host's session."""
        self.client.close()

    def dialect(self, entity_set: EntitySet) -> Dialect:
        """The protocol that the set's service speaks."""
        return self.address.dialect(entity_set.service)

    def path(self, entity_set: EntitySet, key: str = "") -> str:
        """Where a set is, or with the predicate `key` one of its records."""
        return f"{self.address.root(entity_set.service)}/{self.address.set_name(entity_set.service, entity_set.name)}{key}"

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        expect: Expect = "json",
        accept: Container[int] = (),
        write: bool = False,
        link: bool = False,
    ) -> Answer:
        """One request as us, in the host's session: all its cookies are kept and sent, whatever their names. `link`: the path is a link
        of the host's own, which brings its whole query. A token that is refused is renewed once; a write is UnknownOutcome when it left
        and no answer came.
        """
        named = {"sap-client": self.settings.sap_client, "sap-language": self.settings.sap_language}
        extra = {} if link else {name: value for name, value in named.items() if value}

        def once(shown: Mapping[str, str]) -> Answer:
            cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())} if self._cookies else {}
            return self.client.send(
                method,
                path,
                params={**(params or {}), **extra},
                headers={**(headers or {}), **shown, **cookies},
                content=content,
                basic=self._access.basic,
                expect=expect,
                accept=accept,
                write=write,
            )

        answer = self._access.call(once)
        self._keep(answer)
        return answer

    def get(
        self, entity_set: EntitySet, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, *,
        key: str = "", accept: Container[int] = (),
    ) -> Answer:  # fmt: skip
        """Reads a set, or one of its records."""
        asked = {"Accept": self.dialect(entity_set).accept, **(headers or {})}
        return self.send("GET", self.path(entity_set, key), params=params, headers=asked, accept=accept)

    def follow(self, entity_set: EntitySet, link: str) -> Answer:
        """The answer behind a next link of a listing of `entity_set`; one that leads to another host than the service's is refused."""
        headers = {"Accept": self.dialect(entity_set).accept}
        return self.send("GET", self.own(entity_set, link), headers=headers, link=True)

    def described(self, service: str) -> Described | None:
        """What a service says of itself, read once; None where it keeps its $metadata to itself."""
        if service not in self._known:
            path = f"{self.address.root(service)}/$metadata"
            try:
                answer = self.send("GET", path, headers={"Accept": "application/xml"}, expect="xml")
                self._known[service] = described(answer.body)
            except PermanentError as error:
                if error.status not in _NO_METADATA or "service not found" in error.detail.lower() or "/IWFND/MED/170" in error.detail:
                    raise
                self._known[service] = None
        return self._known[service]

    def has(self, entity_set: EntitySet) -> bool:
        """Whether the host offers this entity set; a host that does not say is believed to, until it answers that there is none."""
        if entity_set.path in self._lacking:
            return False
        said = self.described(entity_set.service)
        return said is None or self.address.set_name(entity_set.service, entity_set.name) in said.sets

    def lacks(self, entity_set: EntitySet) -> None:
        """The host has answered that there is no such set."""
        self._lacking.add(entity_set.path)

    def select(self, entity_set: EntitySet) -> dict[str, str]:
        """$select and $expand: what we want of the set, as far as this release has it, under the names it uses.

        Raises PermanentError when the set or a needed property is not there.
        """
        fields, expanded = self.chosen(entity_set)
        return self.dialect(entity_set).chosen(fields, expanded)

    def chosen(self, entity_set: EntitySet) -> tuple[list[str], list[tuple[str, tuple[str, ...]]]]:
        """The properties to ask for, and what to expand: by $metadata, and by what the host has refused since."""
        said = self.described(entity_set.service)
        refused = self._refused.get(entity_set.path, set())
        name = self.address.set_name(entity_set.service, entity_set.name)
        there_is = said.sets.get(name) if said is not None else None
        has, leads = there_is or (None, None)
        if said is not None and has is None:
            raise PermanentError(f"{entity_set.service} has no entity set {name}", connection=self.name, status=404)

        def there(field: str) -> bool:
            return field not in refused and (has is None or field in has)

        missing = [field for field in entity_set.needed if not there(field)]
        if missing:
            raise PermanentError(f"{entity_set.path} has no property {', '.join(missing)}", connection=self.name)
        fields = [field for field in (*entity_set.needed, *entity_set.wanted) if there(field)]
        # Where nobody says what there is, the later name is tried only once the earlier one was refused.
        fields += [new for old, new in RENAMED.items() if old in entity_set.wanted and there(new) and (has is not None or old in refused)]
        expanded = []
        for ours, inner in entity_set.expand:
            theirs = self.address.navigation(entity_set.service, ours)
            if theirs not in refused and (leads is None or theirs in leads):
                expanded.append((theirs, inner))
        return fields, expanded

    def learn(self, entity_set: EntitySet, error: PermanentError) -> bool:
        """Whether the refusal names a property that we asked for: it is left out from now on, or asked for by its later name."""
        fields, expanded = self.chosen(entity_set)
        name = property_refused(error, [*fields, *(one for one, _ in expanded)])
        if name is None:
            return False
        self._refused.setdefault(entity_set.path, set()).add(name)
        return True

    def own(self, entity_set: EntitySet, link: str) -> str:
        """The link, absolute or relative to its listing, as an address of the service's own origin; the host of our tokens is none."""
        listing = self.client.link(self.path(entity_set))
        found = self.client.link(urljoin(listing, link))
        if _origin(found) != _origin(listing):
            raise PermanentError(f"refused a link to {urlsplit(found).hostname}: not the host of the listing", connection=self.name)
        return found

    def _keep(self, answer: Answer) -> None:
        self.date = answer.headers.get("date", self.date)
        for header in answer.headers.get_list("set-cookie"):
            pair, _, attributes = header.partition(";")
            name, _, value = (part.strip() for part in pair.partition("="))
            over = not value or _OVER.search(attributes) is not None
            with self._lock:
                kept = {held: text for held, text in self._cookies.items() if held != name}
                self._cookies = kept if over or not name else {**kept, name: value}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or {"https": 443, "http": 80}.get(split.scheme)
