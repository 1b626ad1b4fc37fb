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


Index = Mapping[str, Sequence[Segment]]
"""Name -> the segments of that name in a scope, in the order of the file."""


def index(scope: Segment) -> Index:
    """The segments of `scope`, itself among them, by name."""
    found: dict[str, list[Segment]] = {}
    for segment in scope.below():
        found.setdefault(segment.name, []).append(segment)
    return found


def value(path: Path, scopes: Iterable[Index]) -> str | None:
    """The field's text in the first of `scopes` that has it; None where none has."""
    for scope in scopes:
        found = _value(path.steps, path.field, scope)
        if found is not None:
            return found
    return None


def _value(steps: Sequence[Step], name: str, scope: Index) -> str | None:
    for segment in scope.get(steps[0].name, ()):
        if all(segment.fields.get(test) == wanted for test, wanted in steps[0].tests):
            found = segment.fields.get(name) if len(steps) == 1 else _value(steps[1:], name, index(segment))
            if found:
                return found
    return None


def table(idocs: Iterable[Idoc], kind: FileKind) -> Table:
    """One record per IDoc, or with `each` one per segment of that name, in which paths look first."""
    paths = {name: parse(column.path or name) for name, column in kind.columns.items()}
    rows: list[Mapping[str, str | None]] = []
    broken: list[tuple[int, str, str]] = []
    seen: dict[str, None] = {}
    for idoc in idocs:
        whole = index(idoc.root)
        seen.update((f"{name}.{field}", None) for name, segments in whole.items() for one in segments for field in one.fields)
        if idoc.wrong is not None:
            broken.append((len(rows) + len(broken), f"IDoc {idoc.number}", idoc.wrong))
            continue
        scopes = [(index(one), whole) for one in whole.get(kind.each, ())] if kind.each else [(whole,)]
        rows += [{name: value(path, scope) for name, path in paths.items()} for scope in scopes]
    records = of_rows(rows, kind, seen, broken)
    return Table(records.lines, broken_frame(broken), records.records, records.names)
