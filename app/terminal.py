"""How the command line speaks: data to stdout, words to stderr, JSON that keeps every cent."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import msgspec
import typer

Json = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]


def say(words: str) -> None:
    """Words for a person, on stderr."""
    print(words, file=sys.stderr, flush=True)


def fail(words: str, *, code: int = 1) -> NoReturn:
    """Says what is wrong and ends with `code`."""
    say(words)
    raise SystemExit(code)


_ENCODER = msgspec.json.Encoder(decimal_format="number")


def to_json(value: Any) -> str:
    """`value` as JSON; Decimals as numbers with exactly their own decimals, times with their offset, dates as YYYY-MM-DD."""
    return msgspec.json.format(_ENCODER.encode(value), indent=2).decode()


def show(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints a document: JSON, or a line per field and a table per list."""
    if as_json:
        print(to_json(value))
        return
    for key, item in value.items():
        if isinstance(item, Sequence) and not isinstance(item, str):
            print(f"{key}:")
            print(table(item))
        else:
            print(f"{key}: {_cell(item)}")


def table(rows: Sequence[Any]) -> str:
    """Rows (mappings or dataclasses) as aligned columns; what stands last, mostly words, is never cut."""
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    if not plain:
        return "  (none)"
    if not isinstance(plain[0], Mapping):
        return "\n".join(f"  {_cell(item)}" for item in plain)
    heads = [key for key in plain[0] if not isinstance(plain[0][key], dict)]
    lines = [heads, *[[_cell(row.get(head)) for head in heads] for row in plain]]
    widths = [min(max(len(line[i]) for line in lines), 60) for i in range(len(heads))]
    rows_of_text = [[*(cell[:60].ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)), *line[-1:]] for line in lines]
    return "\n".join("  " + "  ".join(cells).rstrip() for cells in rows_of_text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return str(value)


def moment(text: str | None) -> datetime | None:
    """`text` as a moment, UTC: an ISO time with its offset, or a date, which means the end of that day.

    Raises typer.BadParameter for a naive time or anything else.
    """
    if text is None:
        return None
    try:
        if len(text) == 10:  # noqa: PLR2004  (YYYY-MM-DD)
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a date (YYYY-MM-DD) nor an ISO time") from error
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text!r} names no time zone: add Z or an offset")
    return found.astimezone(UTC)


@contextmanager
def progress(words: str) -> Iterator[None]:
    """A spinner on a terminal, silence in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield
