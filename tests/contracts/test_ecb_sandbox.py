"""The ECB adapter against the sandbox's folder, which serves the ECB's own figures up to the world's day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sandbox import Running, ecb
from sync.connections import Connection, Landscape
from sync.ports import Probing, Source
from sync.systems.ecb import make_source
from tests.contracts.suite_sandbox import FAULTS, Dial, Fault, Reading, SandboxSuite, connection_to, module_box, renamed
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("ecb-sandbox")
"""One worker: two would start the sandbox twice."""

OPENED = datetime(2026, 10, 20, 12, tzinfo=UTC)
CURRENCIES = ("USD", "JPY", "GBP", "CHF")


box = module_box(customers=6, history_days=20, start_at=OPENED)


@pytest.fixture
def connection(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    return renamed(connection_to(box, "ecb", "ecb", monkeypatch, currencies=list(CURRENCIES)))


@pytest.fixture
def source(connection: Connection) -> Iterator[Source]:
    source = make_source(connection, Landscape())
    yield source
    source.close()


def test_a_day_brings_its_rates_and_the_ninety_days_agree(box: Running, source: Source, dial: Dial) -> None:
    """Before four in Frankfurt the day before is the newest; a day on there is one day more, and nothing else anew."""
    now = box.world.now
    store = Store()
    daily = pull(source, "daily", None, store, now=now)
    assert {str(row["rate_date"]) for row in store.rows.values()} == {"2026-10-19"}
    history = pull(source, "history", None, store, now=now)
    assert len(store.rows) > 27_000
    assert store.rejects == []
    assert store.rows["fx_rate", "USD/2026-10-19"]["units_per_eur"] > Decimal(1)
    before = len(store.rows)
    dial.advance(days=1)
    for stream, cursor in (("daily", daily.cursor), ("history", history.cursor)):
        done = pull(source, stream, cursor, store, now=box.world.now)
        assert {str(day) for mapped in done.mapped for day in mapped.frames["fx_rate"]["rate_date"]} == {"2026-10-20"}
    assert len(store.rows) - before == 4
    assert not any(row["is_suspect"] for key, row in store.rows.items() if key[1].endswith("2026-10-20"))


@pytest.fixture
def reading(box: Running, connection: Connection) -> Reading:
    """The small file, by what the ECB had published until the world's day."""
    return Reading(
        box, "ecb", None, "daily", lambda: make_source(renamed(connection), Landscape()), truth=lambda: _published(box), held=_held, one_page=True
    )  # fmt: skip


def _published(box: Running) -> dict[str, Decimal]:
    """The newest day's rates, as the package has them that the sandbox serves."""
    (codes, _, _), day = ecb._published(), ecb._newest(box.world.now)
    _, *rates = ecb._lines(day, 1)[0].split(",")
    told = {f"{code}/{day}": Decimal(rate) for code, rate in zip(codes, rates, strict=False) if code in CURRENCIES}
    assert len(told) == len(CURRENCIES)
    return told


def _held(store: Store) -> dict[str, Decimal]:
    return {key: row["units_per_eur"] for key, row in store.live("fx_rate").items()}


class TestDaily(SandboxSuite):
    pass


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_nothing_of_the_archive_lands_by_a_fault(box: Running, source: Source, dial: Dial, fault: Fault) -> None:
    """The large file too comes whole or not at all, and says by what kind of error."""
    dial.fault("ecb", fault.kind, **fault.how)
    store = Store()
    with pytest.raises(fault.error):
        pull(source, "history", None, store, now=box.world.now)
    assert store.rows == {}


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Address, clock and each file."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
