"""`tidegate connections test` on a declared application: what was tried, and of the first record what the declaration makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from sync.declared.declaration import Rule
from sync.errors import SourceError
from sync.ports import Finding, Mapped
from sync.systems.rest.asking import Question, params, roles
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import Application, RestStream
from sync.systems.rest.mapping import Read
from sync.systems.rest.paging import Place
from sync.systems.rest.pagings import NoPaging
from sync.systems.rest.reading import Got


def login(session: Session, application: Application) -> Iterator[Finding]:
    """The token, where there is one, and the path that costs little."""
    session.login()
    if application.auth.kind == "oauth2":
        yield Finding("credentials", ok=True, words=f"{application.auth.token_url} gave a token")
    if application.test_path is None:
        return
    try:
        session.read(Question(application.test_path, {}, {}))
        yield Finding("address", ok=True, words=f"{application.base_url} answers at {application.test_path}")
    except SourceError as error:
        yield Finding("address", ok=False, words=error.detail)


def draft(stream: RestStream, got: Got) -> Iterator[Finding]:
    """What a list holds of which it is not said yet what it is."""
    yield Finding(stream.stream, ok=True, words=f"{got.given.listed.total} records read")


def first_page(stream: RestStream, got: Got, mapped: Mapped) -> Iterator[Finding]:
    """How many records came and how the list goes on; then the first record, value by value; then what is wrong with others."""
    given, following = got.given, got.following
    bad = mapped.rejects.height
    landed = ", ".join(f"{frame.height} {entity}" for entity, frame in mapped.frames.items() if frame.height) or "nothing"
    yield Finding(f"{stream.stream} first page", ok=not bad, words=f"{mapped.records} records read: {landed}; {bad} could not be mapped")
    yield Finding(f"{stream.stream} next page", ok=True, words=_next(stream, following))
    if given.texts:
        yield from _first_record(stream, given, mapped)
        empty = [name for name in stream.columns if all(row[name] is None for row in given.texts)]
        if empty:
            places = ", ".join(f"{name} (at {stream.path_of(name)})" for name in empty)
            yield Finding(
                f"{stream.stream} empty columns", ok=False, words=f"nothing in any record of the page: {places}. Is the path right?"
            )
    for reject in mapped.rejects.head(3).to_dicts():
        yield Finding(f"{stream.stream} record {reject['ordinal'] + 1}", ok=False, words=f"{reject['cause']}: {reject['message']}")


def _next(stream: RestStream, following: Place | None) -> str:
    if isinstance(stream.paging, NoPaging):
        return "everything comes in one answer, as declared"
    if following is None:
        return "the answer says that this page is the last"
    if following.url is not None:
        return f"at {following.url.partition('?')[0]}, as the answer names it"
    names = {role: param for role, param in params(stream) if role not in roles(stream)}
    return "by " + ", ".join(
        f"{names.get(role, role)}={value}" for role, value in following.values.items() if role != "size" or "size" in names
    )


def _first_record(stream: RestStream, given: Read, mapped: Mapped) -> Iterator[Finding]:
    """Column -> value -> canonical field, of the first record that was sound."""
    ordinal = given.listed.ordinals[0]
    row = given.texts[0]
    used: set[str] = set()
    for feed in stream.entities:
        frame = mapped.frames.get(feed.entity)
        made = frame.filter(pl.col("ordinal") == ordinal).to_dicts() if frame is not None and not frame.is_empty() else []
        if not made:
            why = "the record can't be read" if ordinal in mapped.rejects["ordinal"].to_list() else "it does not apply to this record"
            yield Finding(f"{stream.stream} -> {feed.entity}", ok=True, words=f"not made of the first record: {why}")
            continue
        yield Finding(f"{stream.stream} -> {feed.entity}", ok=True, words=f"key {made[0]['source_key']} from {', '.join(feed.key)}")
        for name, rule in feed.fields.items():
            used.update(rule.columns())
            yield Finding(f"  {feed.entity}.{name}", ok=True, words=f"{_origin(stream, rule, row)} -> {_shown(made[0].get(name))}")
        used.update(feed.columns())
    left = [name for name in stream.columns if name not in used and (stream.incremental is None or name != stream.incremental.column)]
    left = [name for name in left if all(name not in one.columns() for one in stream.deleted)]
    if left:
        yield Finding(f"{stream.stream} unused columns", ok=True, words=f"declared, and used by no entity: {', '.join(left)}")


def _origin(stream: RestStream, rule: Rule, row: dict[str, str | None]) -> str:
    if not rule.columns():
        return "a constant"
    return ", ".join(f"{name} (at {stream.path_of(name)}) {_shown(row.get(name))}" for name in dict.fromkeys(rule.columns()))


def _shown(value: object) -> str:
    text = "nothing" if value is None else f"{value}"
    return text if len(text) <= 80 else f"{text[:77]}..."
