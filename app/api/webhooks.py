"""Webhooks in: the signature over the raw bytes first, then noted once and answered 202; the pull does the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import Counter

from app.office import Office
from db.engine import writing
from sync.connections import ConfigError, Connection
from sync.doors import Door, Greeting
from sync.signatures import SignatureRefused
from sync.systems.registry import door
from sync.webhooks import MAX_BODY_BYTES, Accepted, accept, live_secrets

router = APIRouter(tags=["webhooks"])
_LOG = structlog.get_logger(__name__)
REFUSED = Counter("tidegate_webhooks_refused_total", "Webhooks whose signature was refused", ("connection",))


@router.post(
    "/webhooks/{connection}",
    status_code=202,
    response_model=None,
    responses={
        400: {"description": "The body is none of this system's; nothing was stored."},
        401: {"description": "The signature was refused; nothing was stored."},
        413: {"description": "More than 1 MB."},
    },
)
async def receive(connection: str, request: Request) -> Response:
    """A signed hint from another system: read again what it is about. Answered in the sender's own form."""
    office: Office = request.app.state.office
    body = await _bounded_body(request)
    try:
        declared = office.landscape.connection(connection)
        its_door = door(declared)
    except ConfigError:
        # The same answer as a wrong signature: nobody learns which connections there are.
        raise HTTPException(401, "signature refused") from None
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers[":path"] = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    try:
        its_door.check(headers, body, live_secrets(declared), now=datetime.now(UTC))
    except SignatureRefused as refusal:
        REFUSED.labels(declared.name).inc()
        _LOG.warning("webhook refused", connection=declared.name, why=str(refusal))
        raise HTTPException(401, "signature refused") from None
    try:
        noted = await run_in_threadpool(_note, office, declared, its_door, headers, body)
    except ValueError as error:
        _LOG.warning("webhook not understood", connection=declared.name, why=str(error))
        raise HTTPException(400, "the body is not what this connection's system sends") from None
    return _answer(its_door, noted)


@router.options("/webhooks/{connection}", response_model=None, responses={405: {"description": "Nobody is let in here by asking."}})
def greet(connection: str, request: Request) -> Response:
    """A sender asks whether it may deliver here (CloudEvents' WebHook-Request-Origin); its deliveries have to prove themselves all the same."""
    office: Office = request.app.state.office
    try:
        declared = office.landscape.connection(connection)
        its_door = door(declared)
    except ConfigError:
        raise HTTPException(405, "not allowed", {"Allow": "POST"}) from None
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers[":path"] = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    consent = its_door.greet(headers) if isinstance(its_door, Greeting) and live_secrets(declared) else None
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


async def _bounded_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, "a webhook body may have 1 MB at most")
        chunks.append(chunk)
    return b"".join(chunks)


def _note(office: Office, connection: Connection, its_door: Door, headers: dict[str, str], body: bytes) -> Accepted:
    with writing(office.database.engine) as conn:
        return accept(conn, connection, its_door, headers, body, now=office.clock.now())
