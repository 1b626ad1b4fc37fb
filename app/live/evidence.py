"""From a row to the bytes it came from."""

from __future__ import annotations

import json

import sqlalchemy as sa

from app.desk import DeskError, Evidence
from db.engine import Reading
from sync import landing
from sync.records import excerpt
from sync.reprocessing import EDIT


def evidence(conn: Reading, raw_record_id: int) -> Evidence:
    """The record as received, and where it stands. DeskError when its bytes are gone or not for this person's eyes."""
    page_id, ordinal = landing.split_record_id(raw_record_id)
    try:
        stored = landing.read(conn, page_id)
    except landing.RawMissing as error:
        raise DeskError("The bytes of this record are not here any more, or not in your regions.") from error
    digest = conn.execute(sa.text("select digest from raw.page where id = :id"), {"id": page_id}).scalar_one()
    return Evidence(
        raw_record_id=raw_record_id,
        connection=stored.connection,
        stream=stored.stream,
        page_name=stored.page.name,
        received_at=stored.recorded_at,
        digest=bytes(digest).hex(),
        ordinal=ordinal,
        text=excerpt(stored.page, ordinal),
        parent=int(stored.page.headers["parent"]) if stored.kind == EDIT else None,
    )


def original(conn: Reading, raw_record_id: int) -> tuple[Evidence, dict[str, str | None]]:
    """The record as its source sent it, and what people corrected of it since: the last word on each field. DeskError as `evidence`."""
    corrected: dict[str, str | None] = {}
    proof = evidence(conn, raw_record_id)
    while proof.parent is not None:
        corrected = {**json.loads(proof.text)["fields"], **corrected}
        proof = evidence(conn, proof.parent)
    return proof, corrected
