"""`tidegate connections test` on a declared application: what was tried, what it sent, and of the first record what the declaration makes of it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from sync.canonical.checks import conform, violations
from sync.canonical.contracts import CONTRACTS
from sync.declared.declaration import Rule
from sync.errors import SourceError
from sync.ports import Finding, Mapped
from sync.systems.rest.asking import Question, params, roles
from sync.systems.rest.client import Session
from sync.systems.rest.declaration import Application, RestStream
from sync.systems.rest.mapping import Read
from sync.systems.rest.paging import Place
from sync.systems.rest.pagings import HEADER, HeaderCursor, LinkHeader, Paging
from sync.systems.rest.paths import Found
from sync.systems.rest.reading import Got, Reading
from sync.systems.rest.shown import above, beside, leaves, lists, shown, stands

_SENT_MAX = 40
_ROUND = frozenset({10, 20, 25, 30, 50, 100, 200, 250, 500, 1000})
"""Lengths at which applications like to cut a list."""
_OF_PAGING = re.compile(r"^link$|page|total|cursor|next|offset|more", re.IGNORECASE)


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
    """What a list holds of which it is not said yet what it is: the first record's values under the paths that a column would have."""
    total = got.given.listed.total
    yield Finding(
        f"{stream.stream} draft",
        ok=False,
        words=f"{total} records read; it is not pulled before entities say what they are. What was sent:",
    )
    yield from _lists(stream, got)
    yield from _sent(stream, got.given.listed.found, declared=frozenset())


def first_page(stream: RestStream, got: Got, mapped: Mapped) -> Iterator[Finding]:
    """How many records came and how the list goes on; then the first record, value by value; then what is wrong with others, and what was
    sent that the declaration does not name.
    """
    given = got.given
    bad = mapped.rejects.height
    landed = ", ".join(f"{frame.height} {entity}" for entity, frame in mapped.frames.items() if frame.height) or "nothing"
    gone = f", {mapped.gone.height} gone" if mapped.gone.height else ""
    yield Finding(
        f"{stream.stream} first page", ok=not bad, words=f"{mapped.records} records read: {landed}{gone}; {bad} could not be mapped"
    )
    if not given.texts:
        yield from _lists(stream, got)
    else:
        yield from _first_record(stream, given, mapped)
        yield from _empty(stream, given)
    yield from _contract(stream, mapped)
    for reject in mapped.rejects.unique(["cause", "field"], maintain_order=True).head(5).to_dicts():
        yield Finding(f"{stream.stream} record {reject['ordinal'] + 1}", ok=False, words=_why(stream, reject))
    yield from _sent(stream, given.listed.found, declared=frozenset(stream.path_of(name) for name in stream.columns))


def second_page(stream: RestStream, reading: Reading, got: Got) -> Iterator[Finding]:
    """How the list goes on, proven by asking for the page that follows; where it ends at once, by what it was told so."""
    what = f"{stream.stream} next page"
    paging, following = stream.paging, got.following
    around = [f"header:{name}: {value}" for name, value in got.answer.headers.items() if _OF_PAGING.search(name)]
    around = [*beside(got.body, stream.way), *around]
    held = f"; beside the records stands: {', '.join(around)}" if around else ""
    if following is not None:
        try:
            more = reading.page(following)
            yield Finding(what, ok=True, words=f"{_asked(stream, following)}: {more.given.outer.total} more records")
        except SourceError as error:
            yield Finding(what, ok=False, words=f"{_asked(stream, following)}: {error.detail}{held}")
        return
    full = got.given.outer.total
    if not isinstance(paging, Paging):
        asked = f"everything comes in one answer, as declared: {full} records"
        doubtful = full in _ROUND and any(_OF_PAGING.search(one) for one in around)
        yield Finding(what, ok=not doubtful, words=f"{asked}: is that all?{held}" if doubtful else asked)
        return
    missing = [path for path in _told_by(paging) if not path.startswith(HEADER) and got.body.strip() and not stands(got.body, path)]
    doubtful = bool(missing or isinstance(paging, LinkHeader | HeaderCursor)) and full >= (paging.size if paging.size_param else 20)
    words = "the answer says that this page is the last"
    if missing or doubtful:
        words = f"there is none: nothing stands at {', '.join(missing) or 'the declared header'}"
    if doubtful:
        words += f", and yet the page is full ({full} records): is that right?{held}"
    yield Finding(what, ok=not doubtful, words=words)


def _told_by(paging: Paging) -> list[str]:
    """The paths by which a list says that it goes on."""
    return [path for name in ("more", "last", "cursor", "url") if (path := getattr(paging, name, None))]


def _asked(stream: RestStream, following: Place) -> str:
    if following.url is not None:
        return f"at {following.url.partition('?')[0]}, as the answer names it"
    names = {role: param for role, param in params(stream) if role not in roles(stream)}
    return "by " + ", ".join(
        f"{names.get(role, role)}={value}" for role, value in following.values.items() if role != "size" or "size" in names
    )


def _lists(stream: RestStream, got: Got) -> Iterator[Finding]:
    """The lists of an answer, where none of them gave a record."""
    if got.given.listed.total:
        return
    found = lists(got.body)
    if found:
        yield Finding(f"{stream.stream} lists", ok=True, words=f"the answer holds: {'; '.join(found)}. `records` says which is read")


def _empty(stream: RestStream, given: Read) -> Iterator[Finding]:
    """The columns that stand in no record, and where each may have been meant to be."""
    sent = {path for record in given.listed.found for path, _ in (*leaves(record), *above(record))}
    for name in stream.columns:
        if any(row[name] is not None for row in given.texts) or any(column == name for _, column, _ in given.reshaped):
            continue
        path = stream.path_of(name)
        if path in sent or any(path.startswith((f"{one}.", f"{one}[")) for one in sent) or path in ("@key", "@index"):
            yield Finding(f"{stream.stream} empty column {name}", ok=True, words=f"nothing stands at {path} in any record of this page")
            continue
        near = difflib.get_close_matches(path, sorted(sent), 3, 0.5) or sorted(
            p for p in sent if p.rpartition(".")[2] == path.rpartition(".")[2]
        )
        meant = f"; near it stands {', '.join(near[:3])}" if near else ""
        yield Finding(
            f"{stream.stream} empty column {name}",
            ok=False,
            words=f"nothing is called {path} in any record of this page: is its path right?{meant}",
        )


def _contract(stream: RestStream, mapped: Mapped) -> Iterator[Finding]:
    """The rows that would be quarantined, since they break the contract of their entity; each field once."""
    for entity, frame in mapped.frames.items():
        if frame.is_empty():
            continue
        contract = CONTRACTS[entity]
        broken = violations(conform(frame, contract), contract)
        for one in broken.unique(["field", "cause"], maintain_order=True).head(5).to_dicts():
            count = broken.filter((pl.col("field") == one["field"]) & (pl.col("cause") == one["cause"])).height
            rule = next(
                (feed.fields[one["field"]] for feed in stream.entities if feed.entity == entity and one["field"] in feed.fields), None
            )
            told = ", ".join(f"{name} (at {stream.path_of(name)})" for name in rule.columns()) if rule else ""
            words = f"{count} of {frame.height} rows would be quarantined: {one['cause']}: {one['message']}"
            yield Finding(
                f"{stream.stream} -> {entity}.{one['field']}", ok=False, words=f"{words}{'; it comes from ' + told if told else ''}"
            )


def _why(stream: RestStream, reject: dict[str, Any]) -> str:
    """A reject in words, with the line of the declaration that it is about."""
    name = str(reject["field"] or "")
    column = stream.columns.get(name)
    if column is None:
        return f"{reject['cause']}: {reject['message']}"
    told = {
        "bad_amount": "amounts are written as `decimal`, `thousands` and `minor_units` say",
        "bad_date": "`formats` says how its dates are written, `epoch` that they are numbers",
        "bad_time": "`formats` and `epoch` say how it is written, `zone` of the column or the connection whose clock it is",
        "missing_field": "take `required` away if it may be empty, or correct its path",
        "schema_drift": "its path leads to an object or a list: name the value within",
    }
    hint = told.get(str(reject["cause"]), "")
    if reject["cause"] == "bad_value" and column.type == "flag":
        hint = f"`true` and `false` list its texts, now {', '.join(column.true)} and {', '.join(column.false)}"
    elif reject["cause"] == "bad_value" and column.type != "integer":
        hint = "add it to `values`, or give a `default`"
    return f"{reject['cause']}: {reject['message']} (column {name}, at {stream.path_of(name)}{'; ' + hint if hint else ''})"


def _sent(stream: RestStream, found: Sequence[Found], *, declared: frozenset[str]) -> Iterator[Finding]:
    """What the first records hold beside the declared: path and value, each from the first record that has it."""
    values: dict[str, Any] = {}
    for record in found[:20]:
        for path, value in leaves(record):
            if path not in declared and (path not in values or values[path] is None):
                values[path] = value
    if values:
        more = f", the first {_SENT_MAX} of them" if len(values) > _SENT_MAX else ""
        beside = "sent and not declared" if declared else "sent"
        yield Finding(f"{stream.stream} sent", ok=True, words=f"{len(values)} values {beside}{more}:")
        for path, value in list(values.items())[:_SENT_MAX]:
            yield Finding(f"  {path}", ok=True, words=shown(value))


def _first_record(stream: RestStream, given: Read, mapped: Mapped) -> Iterator[Finding]:
    """Column -> value -> canonical field, of the first record that was sound."""
    ordinal = given.listed.ordinals[0]
    row = given.texts[0]
    used: set[str] = set()
    for feed in stream.entities:
        used.update(feed.columns())
        frame = mapped.frames.get(feed.entity)
        made = frame.filter(pl.col("ordinal") == ordinal).to_dicts() if frame is not None and not frame.is_empty() else []
        if not made:
            why = "the record can't be read" if ordinal in mapped.rejects["ordinal"].to_list() else "it does not apply to this record"
            yield Finding(f"{stream.stream} -> {feed.entity}", ok=True, words=f"not made of the first record: {why}")
            continue
        yield Finding(f"{stream.stream} -> {feed.entity}", ok=True, words=f"key {made[0]['source_key']} from {', '.join(feed.key)}")
        for name, rule in feed.fields.items():
            yield Finding(f"  {feed.entity}.{name}", ok=True, words=f"{_origin(stream, rule, row)} -> {_shown(made[0].get(name))}")
    used |= {column for one in stream.deleted for column in one.columns()} | {stream.incremental.column if stream.incremental else ""}
    left = [name for name in stream.columns if name not in used and all(name != one.minor_units for one in stream.columns.values())]
    if left:
        yield Finding(f"{stream.stream} unused columns", ok=True, words=f"declared, and used by no entity: {', '.join(left)}")


def _origin(stream: RestStream, rule: Rule, row: dict[str, str | None]) -> str:
    if not rule.columns():
        return "a constant"
    return ", ".join(f"{name} (at {stream.path_of(name)}) {_shown(row.get(name))}" for name in dict.fromkeys(rule.columns()))


def _shown(value: object) -> str:
    text = "nothing" if value is None else f"{value}"
    return text if len(text) <= 80 else f"{text[:77]}..."
