"""The sandbox as the adapters' other side: its systems as connections, its fault dial and log, and the suite of what its faults may cost.

An adapter's author gives `SandboxSuite` a `reading`, one stream as the sandbox tells it; the suite breaks the sandbox's own gate while
the stream is read. The wire suite does the like to scripted servers: here the other side has a world, and its own word for each fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

import sandbox
from sandbox import Running
from sync.connections import Connection, Landscape, LegalEntity
from sync.errors import QuotaError, SourceError, TransientError
from sync.ports import Cursor, Source
from tests.contracts.suite_store import Store, pages_of, pull

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
"""The world is the same on every day that the tests run."""

LANDSCAPE = Landscape(
    legal_entities=tuple(
        LegalEntity(code=code, name=code, region=region, currency=currency, company_code=company, zone=zone)
        for code, region, currency, company, zone in (
            ("DE01", "EMEA", "EUR", "1010", "Europe/Berlin"),
            ("GB01", "EMEA", "GBP", "1020", "Europe/London"),
            ("US01", "NA", "USD", "1710", "America/New_York"),
            ("JP01", "APAC", "JPY", "2910", "Asia/Tokyo"),
            ("SG01", "APAC", "SGD", "2920", "Asia/Singapore"),
            ("MX01", "LATAM", "MXN", None, "America/Mexico_City"),
        )
    )
)


class Dial:
    """The sandbox's control port."""

    def __init__(self, box: Running) -> None:
        self._http = httpx.Client(base_url=f"{box.control}/control", timeout=5, trust_env=False)

    def fault(self, system: str, kind: str, **how: Any) -> None:
        """Sets a fault."""
        self._http.post("faults", json={"system": system, "kind": kind, **how}).raise_for_status()

    def clear(self) -> None:
        """Takes every fault away."""
        self._http.delete("faults").raise_for_status()

    def act(self, do: str, **how: Any) -> Any:
        """Makes something happen in the world."""
        return self._http.post("act", json={"do": do, **how}).raise_for_status().json()

    def advance(self, **by: float) -> None:
        """Lives through that much of world time now."""
        self._http.post("advance", json=by).raise_for_status()

    def state(self) -> Any:
        """The world's counts; asking lets the dial do what it was told."""
        return self._http.get("state").raise_for_status().json()

    def writes(self, system: str) -> list[dict[str, Any]]:
        """Every write that other companies' systems executed for us there."""
        found: list[dict[str, Any]] = self._http.get("log", params={"system": system}).raise_for_status().json()["writes"]
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()


def module_box(name: str = "box", *, customers: int, history_days: int, start_at: datetime = OPENED) -> Any:
    """A module's fixture `name`: a small sandbox that all its tests share, so that they belong on one worker."""

    @pytest.fixture(scope="module", name=name)
    def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        folder = tmp_path_factory.mktemp("sandbox")
        with sandbox.running(folder, customers=customers, history_days=history_days, start_at=start_at) as running:
            yield running

    return box


@pytest.fixture
def dial(box: Running) -> Iterator[Dial]:
    """The dial of the module's own `box`, without any fault before and after each test."""
    dial = Dial(box)
    dial.clear()
    yield dial
    dial.clear()
    dial.close()


def connection_to(box: Running, name: str, system: str, monkeypatch: pytest.MonkeyPatch, *secrets: str, **options: Any) -> Connection:
    """The sandbox's system `name` as a connection; its credentials go into the environment for the test."""
    told = box.system(name)
    references = {}
    for secret in secrets:
        variable = f"SANDBOX_TEST_{name}_{secret}".upper().replace("-", "_")
        monkeypatch.setenv(variable, told[secret])
        references[secret] = f"env:{variable}"
    addresses = {key: value for key, value in told.items() if key not in secrets}
    return Connection(
        name=name, system=system, region="EMEA", allow_private_addresses=True, options={**addresses, **options}, secrets=references
    )  # fmt: skip


_NUMBER = itertools.count(1)


def renamed(connection: Connection) -> Connection:
    """The same connection under a name that nobody has had: what a gate remembers of waits and outages, it remembers by name."""
    return connection.model_copy(update={"name": f"{connection.system}-{next(_NUMBER)}"})


@dataclass(frozen=True)
class Fault:
    """What the dial is told, and the error by which a pull has to end."""

    kind: str
    error: type[SourceError]
    how: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.how.items())])


FAULTS = (
    Fault("outage", TransientError), Fault("outage", TransientError, {"how": "503"}), Fault("rate_limit", QuotaError, {"retry_after": 7}),
    Fault("rate_limit", QuotaError, {"form": "none"}), Fault("server_error", TransientError), Fault("truncated", TransientError),
    Fault("truncated", TransientError, {"content_length": False}), Fault("html_login", TransientError),
)  # fmt: skip
"""What may happen to any system."""

DISORDER: tuple[tuple[str, dict[str, Any]], ...] = (("duplicate_records", {}), ("out_of_order", {}))
"""What pages of records may do without harm: one that comes twice, all in reverse."""


@dataclass(frozen=True)
class Reading:
    """A stream of a system of the sandbox. `entity`: what the dial calls its records (None: whatever is asked for).

    `opened` gives an adapter of its own each time, by a renamed connection.
    `truth` is what the other side's own book holds, `held` the same of what we hold. `one_page`: there is no later page to break.
    """

    box: Running
    system: str
    entity: str | None
    stream: str
    opened: Callable[[], Source]
    truth: Callable[[], Any]
    held: Callable[[Store], Any]
    one_page: bool = False

    def pulled(self, store: Store, cursor: Cursor | None = None) -> Store:
        """`store` after a pull from `cursor` to its end by an adapter of its own."""
        with closing(self.opened()) as source:
            pull(source, self.stream, cursor, store, now=self.box.world.now)
        return store


class SandboxSuite:
    """The module gives a fixture `reading`; a system that can fail in more ways than FAULTS overrides `fault`."""

    @pytest.fixture(params=FAULTS, ids=str)
    def fault(self, request: pytest.FixtureRequest) -> Fault:
        fault: Fault = request.param
        return fault

    def test_a_fault_is_an_error_of_its_type_and_loses_nothing(self, reading: Reading, dial: Dial, fault: Fault) -> None:
        """The type says what to do; nothing half-read is believed, and the next pull from the committed cursor finds the rest."""
        store, committed = Store(), None
        with closing(reading.opened()) as source:
            pages = pages_of(source, reading.stream, None, now=reading.box.world.now)
            if not reading.one_page:
                first = next(pages)
                store.take(source.map(reading.stream, first))
                committed = first.cursor
            dial.fault(reading.system, fault.kind, entity=reading.entity, **fault.how)
            with pytest.raises(fault.error):
                for page in pages:
                    store.take(source.map(reading.stream, page))
                    committed = page.cursor or committed
        dial.clear()
        assert reading.held(reading.pulled(store, committed)) == reading.truth()
        assert store.rejects == []


class PagedSandboxSuite(SandboxSuite):
    """For a system whose lists come in pages of records; one whose pages may do more without harm than DISORDER overrides `disorder`."""

    @pytest.fixture(params=DISORDER, ids=lambda param: param[0])
    def disorder(self, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
        disorder: tuple[str, dict[str, Any]] = request.param
        return disorder

    def test_pages_in_disorder_change_nothing(self, reading: Reading, dial: Dial, disorder: tuple[str, dict[str, Any]]) -> None:
        """A record twice, a page in reverse: the facts are the same, to the last field."""
        clean = reading.pulled(Store())
        kind, how = disorder
        dial.fault(reading.system, kind, entity=reading.entity, **how)
        disturbed = reading.pulled(Store())
        assert disturbed.digest() == clean.digest()
        assert reading.held(disturbed) == reading.truth()
        assert disturbed.rejects == []
