"""An IDoc as a tree of segments, and the table that its declared paths make of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sync.declared.records import broken_frame, of_rows
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.idoc_paths import Path, Step, parse
from sync.systems.flat_files.wire import Table


@dataclass(slots=True)
class Segment:
    """A segment by its type (`E1EDK01`), its fields as trimmed text, and the segments below it."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)
    children: list[Segment] = field(default_factory=list)

    def below(self) -> Iterator[Segment]:
        """The segment itself and all below it, in the order of the file."""
        waiting = [self]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += reversed(one.children)


@dataclass(slots=True)
class Idoc:
    """One IDoc: `root` holds its control record (EDI_DC40) and its segments. `wrong`: why it can't be read, in words."""

    root: Segment
    wrong: str | None = None

    @property
    def number(self) -> str:
        """Its number, for words to a person."""
        control = next((one for one in self.root.children if one.name == "EDI_DC40"), None)
        return (control.fields.get("DOCNUM") if control else None) or "without a number"


def value(path: Path, scopes: Iterable[Segment]) -> str | None:
    """The field's text in the first of `scopes` that has it; None where none has."""
    for scope in scopes:
        found = _value(path.steps, path.field, scope)
        if found is not None:
            return found
    return None


def _value(steps: Sequence[Step], name: str, scope: Segment) -> str | None:
    for segment in scope.below():
        if _fits(steps[0], segment):
            found = segment.fields.get(name) if len(steps) == 1 else _value(steps[1:], name, segment)
            if found:
                return found
    return None


def _fits(step: Step, segment: Segment) -> bool:
    return segment.name == step.name and all(segment.fields.get(name) == wanted for name, wanted in step.tests)


def table(idocs: Iterable[Idoc], kind: FileKind) -> Table:
    """One record per IDoc, or with `each` one per segment of that name, in which paths look first."""
    paths = {name: parse(column.path or name) for name, column in kind.columns.items()}
    rows: list[Mapping[str, str | None]] = []
    broken: list[tuple[int, str, str]] = []
    seen: dict[str, None] = {}
    for idoc in idocs:
        seen.update((f"{one.name}.{name}", None) for one in idoc.root.below() for name in one.fields)
        if idoc.wrong is not None:
            broken.append((len(rows) + len(broken), f"IDoc {idoc.number}", idoc.wrong))
            continue
        each = [one for one in idoc.root.below() if one.name == kind.each] if kind.each else [idoc.root]
        rows += [{name: value(path, (one, idoc.root)) for name, path in paths.items()} for one in each]
    records = of_rows(rows, kind, seen, broken)
    return Table(records.lines, broken_frame(broken), records.records, records.names)
