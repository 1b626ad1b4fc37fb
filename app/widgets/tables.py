"""Tables of a frame: columns by meaning, a selection that lives in the address, and a safe export beside every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
import streamlit as st

from app import export
from app.widgets import frame as page
from app.widgets import words

Kind = Literal["text", "money", "number", "days", "share", "date", "instant", "yes_no", "progress", "seconds"]


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is shown. `currency` fixes the decimals of money; without it two are shown."""

    label: str
    kind: Kind = "text"
    help: str | None = None
    currency: str | None = None
    width: Literal["small", "medium", "large"] | int | None = None


_NOTHING = "\u2013"
_EXPORT_TYPES = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


def show(
    data: pl.DataFrame,
    columns: Mapping[str, Column],
    *,
    key: str,
    name: str,
    on_pick: Callable[[dict[str, Any]], None] | None = None,
    height: int | Literal["auto"] = "auto",
) -> None:
    """The frame as a table with its export. `on_pick` is called with the row that a person chose."""
    listed = data.select([column for column in columns if column in data.columns])
    config = {column: _config(columns[column]) for column in listed.columns}
    if on_pick is None:
        st.dataframe(_shown(listed, columns), column_config=config, hide_index=True, key=key, height=height, alt=name, placeholder=_NOTHING)
    else:
        st.dataframe(
            _shown(listed, columns), column_config=config, hide_index=True, key=key, height=height, alt=name, placeholder=_NOTHING, selection_mode="single-row",
            on_select=lambda: _picked(key, data, on_pick),
        )  # fmt: skip
    downloads(data, key=key, name=name)


def downloads(data: pl.DataFrame, *, key: str, name: str) -> None:
    """CSV and XLSX of the whole frame, made only when asked for."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{key}.exports"):
        st.caption(words.counted(data.height, "row"), width="content")
        for ending in ("csv", "xlsx"):
            st.download_button(
                ending.upper(), _maker(data, ending, name), file_name=export.file_name(["tidegate", name], ending), mime=_EXPORT_TYPES[ending],
                key=f"{key}.{ending}", type="tertiary", on_click="ignore", help=f"Save this table as {ending.upper()}",
            )  # fmt: skip


def of_chart(data: pl.DataFrame, columns: Mapping[str, Column], *, key: str, name: str) -> None:
    """The table of a chart, folded away under it."""
    with st.expander("Show the table of this chart", key=f"{key}.fold"):
        show(data, columns, key=key, name=name)


def chosen_rows(key: str) -> list[int]:
    """The positions that are selected in the table with this key."""
    kept = st.session_state.get(key)
    rows: Sequence[int] = kept["selection"]["rows"] if kept and "selection" in kept else []
    return list(rows)


def facts(pairs: Mapping[str, object], *, key: str, alt: str) -> None:
    """A few named values under each other; `alt` names them for whoever can't see them."""
    lines = list(_named(pairs))
    data = pl.DataFrame(
        {"what": [name for name, _ in lines], "value": [_one_line(value) for _, value in lines]},
        schema={"what": pl.String, "value": pl.String},
    )
    st.dataframe(
        data,
        column_config={"what": "What", "value": st.column_config.TextColumn("Value", width="large")},
        hide_index=True,
        key=key,
        height="content",
        alt=alt,
    )


def _picked(key: str, data: pl.DataFrame, on_pick: Callable[[dict[str, Any]], None]) -> None:
    rows = chosen_rows(key)
    if rows and rows[0] < data.height:
        on_pick(data.row(rows[0], named=True))


def _maker(data: pl.DataFrame, ending: str, name: str) -> Callable[[], bytes]:
    return (lambda: export.to_csv(data)) if ending == "csv" else (lambda: export.to_xlsx(data, name))


def _shown(data: pl.DataFrame, columns: Mapping[str, Column]) -> pl.DataFrame:
    zone = page.zone()
    changes = []
    for name in data.columns:
        kind = columns[name].kind
        if kind == "instant":
            changes.append(pl.col(name).map_elements(lambda at: words.instant(at, zone), return_dtype=pl.String, skip_nulls=True))
        elif kind == "share":
            changes.append(pl.col(name).cast(pl.Float64) * 100)
        elif kind == "yes_no":
            changes.append(pl.when(pl.col(name)).then(pl.lit("yes")).otherwise(pl.lit("no")).alias(name))
        elif kind == "seconds":
            changes.append(pl.col(name).cast(pl.Float64).map_elements(words.span, return_dtype=pl.String, skip_nulls=True))
    return data.with_columns(changes)


def _config(column: Column) -> Any:
    kind, label = column.kind, column.label
    if kind == "money":
        places = words.minor_units(column.currency) if column.currency else 2
        return st.column_config.NumberColumn(label, format=f"%,.{places}f", help=column.help, width=column.width)
    if kind == "number":
        return st.column_config.NumberColumn(label, format="%,d", help=column.help, width=column.width)
    if kind == "days":
        return st.column_config.NumberColumn(label, format="%.1f", help=column.help, width=column.width)
    if kind == "share":
        return st.column_config.NumberColumn(label, format="%.1f %%", help=column.help, width=column.width)
    if kind == "progress":
        return st.column_config.ProgressColumn(label, format="percent", min_value=0, max_value=1, help=column.help, width=column.width)
    if kind == "date":
        return st.column_config.DateColumn(label, format="YYYY-MM-DD", help=column.help, width=column.width)
    return st.column_config.TextColumn(label, help=column.help, width=column.width)


def _named(pairs: Mapping[str, object], of: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its name in words; what stands inside another fact is named after it: `order number`."""
    for name, value in pairs.items():
        told = f"{of} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _named(value, told)
        else:
            yield (
                told,
                ", ".join(str(one) for one in value)
                if isinstance(value, list) and not any(isinstance(one, Mapping | list) for one in value)
                else value,
            )


def _one_line(value: object) -> str:
    return "\u2013" if value is None else str(value)
