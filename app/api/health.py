"""Liveness, readiness and Prometheus metrics."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from app.office import Office
from db.engine import Reading, reading

router = APIRouter(tags=["operations"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "The database does not answer."}})
def ready(request: Request, response: Response) -> dict[str, str]:
    """The process can do its work: the database answers and is at the newest revision."""
    office: Office = request.app.state.office
    try:
        with reading(office.database.engine) as conn:
            conn.execute(sa.text("select 1 from process.stream limit 1"))
    except sa.exc.SQLAlchemyError:
        response.status_code = 503
        return {"status": "the database does not answer"}
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """What Prometheus scrapes: freshness, lag, queue depths, exceptions and effects; no customer's data."""
    office: Office = request.app.state.office
    registry = CollectorRegistry()
    with reading(office.database.engine) as conn:
        _streams(conn, registry, office.clock.now())
        _counts(conn, registry)
    return Response(generate_latest(registry) + generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def _streams(conn: Reading, registry: CollectorRegistry, now: datetime) -> None:
    names = ("connection", "stream", "region")
    age = Gauge(
        "tidegate_stream_age_seconds", "Business seconds since the newest source change that was recorded", names, registry=registry
    )
    failures = Gauge("tidegate_stream_consecutive_failures", "Failures since the last success", names, registry=registry)
    paused = Gauge("tidegate_stream_paused", "1 while the stream is paused", names, registry=registry)
    records = Gauge("tidegate_stream_records", "Records received since the beginning", names, registry=registry)
    rows = conn.execute(
        sa.text("select connection, stream, region, newest_changed_at, consecutive_failures, is_paused, records_total from process.stream")
    )
    for row in rows:
        labels = (row.connection, row.stream, row.region)
        if row.newest_changed_at is not None:
            age.labels(*labels).set((now.astimezone(UTC) - row.newest_changed_at).total_seconds())
        failures.labels(*labels).set(row.consecutive_failures)
        paused.labels(*labels).set(int(row.is_paused))
        records.labels(*labels).set(row.records_total)


def _counts(conn: Reading, registry: CollectorRegistry) -> None:
    exceptions = Gauge("tidegate_exceptions", "Exceptions by cause and state", ("cause", "state", "region"), registry=registry)
    for row in conn.execute(sa.text("select cause, state, region, count(*) as n from process.exception group by 1, 2, 3")):
        exceptions.labels(row.cause, row.state, row.region).set(row.n)
    effects = Gauge("tidegate_effects", "Writes to other systems by kind and state", ("kind", "state"), registry=registry)
    for row in conn.execute(sa.text("select kind, state, count(*) as n from process.effect group by 1, 2")):
        effects.labels(row.kind, row.state).set(row.n)
    events = Gauge("tidegate_events_waiting", "Business events not yet handled", ("region",), registry=registry)
    for row in conn.execute(sa.text("select region, count(*) as n from process.event where state = 'new' group by 1")):
        events.labels(row.region).set(row.n)
