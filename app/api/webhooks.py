"""Webhooks in: the proof over the raw bytes first, then noted once and answered in the sender's form; the pull does the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import Counter

from app.api.bodies import bounded
from app.office import Office
from db.engine import CommitUnknown, writing
from sync.connections import ConfigError
from sync.doors import Door, Greeting
from sync.signatures import SignatureRefused
from sync.systems.registry import door
from sync.unreadable_events import refuse
from sync.webhooks import MAX_BODY_BYTES, Accepted, accept, live_secrets

router = APIRouter(tags=["webhooks"])
UNKNOWN = "unknown"
RETRY_SECONDS = 5
_LOG = structlog.get_logger(__name__)
REFUSED = Counter("tidegate_webhooks_refused_total", "Webhooks whose signature was refused", ("connection",))


@router.post(
    "/webhooks/{connection}",
    status_code=202,
    response_model=None,
    responses={
        400: {"description": "The body may not be kept; nothing of it was stored."},
        401: {"description": "The signature was refused; nothing was stored."},
        408: {"description": "The body did not come in time."},
        413: {"description": "More than 1 MB."},
        415: {"description": "The body is compressed."},
        503: {"description": "The database can't be reached; send it again."},
    },
)
async def receive(connection: str, request: Request) -> Response:
    """A signed hint from another system: read again what it is about. Answered in the sender's own form."""
    office: Office = request.app.state.office
    body = await bounded(request, MAX_BODY_BYTES)
    try:
        return await run_in_threadpool(_receive, office, connection, _headers(request), body)
    except (sa.exc.OperationalError, sa.exc.TimeoutError, CommitUnknown) as error:
        _LOG.warning("webhook not kept", connection=connection, why=type(error).__name__)
        raise HTTPException(503, "not now; send it again", {"Retry-After": str(RETRY_SECONDS)}) from None


def _receive(office: Office, name: str, headers: dict[str, str], body: bytes) -> Response:
    """Everything after the bytes: it may parse a megabyte and waits for the database, so it keeps nobody else waiting."""
    label = UNKNOWN
    try:
        declared = office.landscape.connection(name)
        label = declared.name
        its_door = door(declared)
        its_door.check(headers, body, live_secrets(declared), now=datetime.now(UTC))
    except (ConfigError, SignatureRefused) as refusal:
        # The same answer for all: nobody learns which connections there are, or what was wrong.
        REFUSED.labels(label).inc()
        _LOG.warning("webhook refused", connection=label, why=str(refusal) if label != UNKNOWN else "no connection has that name")
        raise HTTPException(401, "signature refused") from None
    try:
        with writing(office.database.engine) as conn:
            noted = accept(conn, declared, its_door, headers, body, now=office.clock.now())
    except ValueError as error:
        with writing(office.database.engine) as conn:
            refuse(conn, declared, str(error), now=office.clock.now())
        raise HTTPException(400, "the body may not be kept") from None
    return _answer(its_door, noted)


def _headers(request: Request) -> dict[str, str]:
    """As doors see them; the address is taken as it was called, for a Host header can make a URL that is none."""
    query = request.scope["query_string"].decode("latin-1")
    path = str(request.scope["path"])
    return {**{name.lower(): value for name, value in request.headers.items()}, ":path": f"{path}?{query}" if query else path}


@router.options("/webhooks/{connection}", response_model=None, responses={405: {"description": "Nobody is let in here by asking."}})
def greet(connection: str, request: Request) -> Response:
    """A sender asks whether it may deliver here (CloudEvents' WebHook-Request-Origin); its deliveries have to prove themselves all the same."""
    office: Office = request.app.state.office
    try:
        declared = office.landscape.connection(connection)
        its_door = door(declared)
    except ConfigError:
        raise HTTPException(405, "not allowed", {"Allow": "POST"}) from None
    consent = its_door.greet(_headers(request)) if isinstance(its_door, Greeting) and live_secrets(declared) else None
    if consent is None:
        raise HTTPException(405, "not allowed", {"Allow": "POST"})
    return Response(status_code=200, headers=dict(consent))


def _answer(its_door: Door, noted: Accepted) -> Response:
    reply = its_door.reply()
    if reply.body is not None:
        return Response(reply.body, reply.status, dict(reply.headers), reply.content_type)
    first = noted.event_ids[0] if noted.event_ids else None
    document = {
        "accepted": True,
        "event_id": first,
        "duplicate": noted.duplicates == len(noted.event_ids) > 0,
    }
    return JSONResponse(document, reply.status, dict(reply.headers))
