"""What a source names no more, although it names everything: found by comparing its keys with those that are held.

A source that deletes without a trace is asked from time to time for all its keys. What is held and not among them is gone, unless it
is so much that the question itself is in doubt: a user who lost sight of half the records must not delete them here.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import sqlalchemy as sa

from db.engine import Writing
from db.schema.canonical import ENTITIES
from db.schema.raw import ORDINAL_BITS
from sync import quarantine
from sync.ports import Complete
from sync.promotion_batch import GONE, Batch, Setting

FEW = 5
"""So many may be gone from any list, however short."""


def with_absent(conn: Writing, setting: Setting, batch: Batch) -> Batch:
    """The batch with what its pages' lists of everything lack among what is `gone`; a list that lacks too much becomes an exception."""
    found = [batch.gone]
    for slot, page_id, word in batch.complete:
        held = _held(conn, setting.source, word)
        absent = [row for row in held if row.source_key not in word.present and row.changed_at <= word.asked_at]
        if not absent:
            continue
        if word.among is None and len(absent) > max(FEW, word.gone_max * len(held)):
            _doubt(conn, setting, word, held=len(held), absent=[row.source_key for row in absent])
            continue
        # at the version that is held: should the record come back as it was, it is the later word
        rows = [
            {
                "entity": word.entity, "source_key": row.source_key, "source_version": row.source_version, "changed_at": row.changed_at,
                "record": slot << ORDINAL_BITS, "raw_record_id": page_id << ORDINAL_BITS,
            }
            for row in absent
        ]  # fmt: skip
        found.append(pl.DataFrame(rows, schema=GONE))
    return batch if len(found) == 1 else replace(batch, gone=pl.concat(found))


def _held(conn: Writing, source: str, word: Complete) -> list[sa.Row[tuple[object, ...]]]:
    """Key, version and stamp of what is held and not deleted within the bounds of `word`."""
    bounds = ""
    if word.among is not None:
        bounds = " and source_key = any(:among)"
    else:
        bounds += ' and source_key collate "C" > :after' if word.after is not None else ""
        bounds += ' and source_key collate "C" <= :upto' if word.upto is not None else ""
    columns = [ENTITIES[word.entity].columns[name].name for name in word.only]
    bounds += "".join(f' and cast("{name}" as text) = any(:only_{name})' for name in columns)
    bounds += " and changed_at >= :since" if word.since is not None else ""
    bounds += " and split_part(source_key, '/', 1) = any(:within)" if word.within is not None else ""
    table = ENTITIES[word.entity].fullname
    statement = f"select source_key, source_version, changed_at from {table} where source = :source and not is_deleted{bounds}"
    asked = {
        "source": source, "after": word.after, "upto": word.upto, "among": sorted(word.among or ()), "since": word.since,
        "within": sorted(word.within or ()),
        **{f"only_{name}": list(texts) for name, texts in word.only.items()},
    }  # fmt: skip
    return list(conn.execute(sa.text(statement), {name: value for name, value in asked.items() if f":{name}" in statement}))


def _doubt(conn: Writing, setting: Setting, word: Complete, *, held: int, absent: list[str]) -> None:
    words = (
        f"{len(absent)} of {held} records of {word.entity} are no longer shown by {setting.source}: nothing was deleted. Check that the"
        " integration user may still see all of them"
    )
    place = quarantine.Place(setting.source, setting.stream, setting.region, setting.reporting_currency)
    evidence = {"held": held, "absent": len(absent), "some": sorted(absent)[:20]}
    trouble = quarantine.Trouble(
        "many_gone", words, kind="record", subject=f"{word.entity} after {word.after or 'the beginning'}", evidence=evidence
    )
    quarantine.trouble(conn, place, [trouble], now=setting.now)
