"""The ECB adapter against the sandbox's folder, which serves the ECB's own figures up to the world's day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import sandbox
from sandbox import Running
from sync.connections import Connection, Landscape
from sync.errors import QuotaError, SourceError, TransientError
from sync.ports import Probing, Source
from sync.systems.ecb import make_source
from tests.contracts.suite_sandbox import Dial, connection_to
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("ecb-sandbox")
"""One worker: two would start the sandbox twice."""

OPENED = datetime(2026, 10, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=6, history_days=20, start_at=OPENED) as running:
        yield running


@pytest.fixture
def connection(box: Running, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Connection:
    return connection_to(box, "ecb", "ecb", monkeypatch, currencies=["USD", "JPY", "GBP", "CHF"]).model_copy(
        update={"name": f"ecb-{abs(hash(request.node.name))}"}
    )


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
    dial._http.post("advance", json={"days": 1}).raise_for_status()
    for stream, cursor in (("daily", daily.cursor), ("history", history.cursor)):
        done = pull(source, stream, cursor, store, now=box.world.now)
        assert {str(day) for mapped in done.mapped for day in mapped.frames["fx_rate"]["rate_date"]} == {"2026-10-20"}
    assert len(store.rows) - before == 4
    assert not any(row["is_suspect"] for key, row in store.rows.items() if key[1].endswith("2026-10-20"))


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("outage", {}, TransientError), ("rate_limit", {}, QuotaError), ("server_error", {}, TransientError), ("truncated", {}, TransientError),
        ("truncated", {"content_length": False}, TransientError), ("html_login", {}, TransientError),
    ],
)  # fmt: skip
def test_a_fault_is_an_error_of_its_type(
    box: Running, source: Source, dial: Dial, kind: str, how: dict[str, Any], error: type[SourceError]
) -> None:
    """Nothing lands, for the small file and for the archive."""
    dial.fault("ecb", kind, **how)
    for stream in ("daily", "history"):
        with pytest.raises(error):
            pull(source, stream, None, Store(), now=box.world.now)


def test_the_probe_finds_all_well(box: Running, source: Source) -> None:
    """Address, clock and each file."""
    assert isinstance(source, Probing)
    findings = list(source.probe(now=box.world.now))
    assert all(finding.ok for finding in findings), findings
