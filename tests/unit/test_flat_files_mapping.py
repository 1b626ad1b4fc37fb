"""A delimited file is read exactly as declared, or refused as a whole, or loses single lines with their reasons."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sync.connections import ConfigError, Connection, Landscape, load
from sync.declared.columns import amount, day, moment
from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
KIND: dict[str, Any] = {
    "stream": "items",
    "pattern": "*.csv",
    "name": r"_(?P<sequence>\d+)\.csv$",
    "delimiter": ";",
    "encoding": "cp1252",
    "decimal": ",",
    "thousands": ".",
    "trailing_minus": True,
    "header": {"marker": "H", "fields": ["system", "period"]},
    "trailer": {"marker": "T", "fields": ["records", "totals"]},
    "totals": {"amount": "AMOUNT", "currency_column": "CURRENCY"},
    "columns": {
        "NUMBER": {"required": True},
        "CUSTOMER": {"required": True},
        "ISSUED": {"type": "date", "formats": ["%d.%m.%Y"], "required": True},
        "AMOUNT": {"type": "amount", "required": True},
        "CURRENCY": {"required": True},
        "KIND": {},
    },
    "entities": [
        {
            "entity": "invoice",
            "key": "NUMBER",
            "changed_at": "ISSUED",
            "fields": {
                "number": "NUMBER",
                "customer_key": "CUSTOMER",
                "issue_date": "ISSUED",
                "gross": "AMOUNT",
                "currency": "CURRENCY",
                "status": {"value": "posted"},
                "is_credit": {"column": "KIND", "values": {"F": False, "C": True}},
            },
        },
        {"entity": "customer", "key": "CUSTOMER", "once": "first", "changed_at": "ISSUED", "fields": {"number": "CUSTOMER"}},
    ],
}
NAMES = "NUMBER;CUSTOMER;ISSUED;AMOUNT;CURRENCY;KIND"
GOOD = ["0001;C1;01.05.2026;1.234,50;EUR;F", "0002;C1;02.05.2026;100,00-;EUR;C", "0003;Müller;03.05.2026;7,25;USD;F"]
TRAILER = "T;3;EUR;1.134,50;USD;7,25"


def source(kind: dict[str, Any] = KIND, **options: Any) -> FlatFiles:
    connection = Connection(
        name="drop", system="flat_files", region="LATAM", legal_entities=("MX01",), zone="America/Mexico_City",
        options={"files": [kind], **options},
    )  # fmt: skip
    return make_source(connection, Landscape())


def changed(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(KIND), **changes}


def body(lines: list[str] = GOOD, trailer: str | None = TRAILER) -> bytes:
    rows = ["H;OLD;20260503", NAMES, *lines, *([trailer] if trailer else [])]
    return "".join(row + "\r\n" for row in rows).encode("cp1252")


def mapped(content: bytes, kind: dict[str, Any] = KIND, **headers: str) -> Mapped:
    page = Page(content, "text/csv", None, name="items_7.csv", headers={"received_at": NOW.isoformat(), **headers})
    return source(kind).map("items", page)


def refused(content: bytes, kind: dict[str, Any] = KIND, **headers: str) -> DataError:
    with pytest.raises(DataError) as caught:
        mapped(content, kind, **headers)
    assert caught.value.connection == "drop"
    return caught.value


def test_a_line_becomes_exact_rows_of_every_entity_it_feeds() -> None:
    """Keys keep their zeros, amounts are exact with the minus behind them, days end in the connection's zone."""
    found = mapped(body())
    invoices = found.frames["invoice"].to_dicts()
    assert [row["source_key"] for row in invoices] == ["0001", "0002", "0003"]
    assert [row["gross"] for row in invoices] == [Decimal("1234.5"), Decimal(-100), Decimal("7.25")]
    assert [row["is_credit"] for row in invoices] == [False, True, False]
    assert invoices[0]["changed_at"] == datetime(2026, 5, 2, 5, 59, 59, tzinfo=UTC)
    assert {(row["legal_entity"], row["region"], row["source_version"]) for row in invoices} == {("MX01", "LATAM", 20260503_000007)}
    assert found.frames["customer"]["source_key"].to_list() == ["C1", "Müller"]
    assert {(total.verdict, total.agree) for total in found.control_totals} == {("trailer_count", True), ("trailer_amount", True)}


@pytest.mark.parametrize("filled", [b"   \r\n", b"\0" * 40, b"\r\n  \r\n\x1a"])
def test_what_fills_a_file_up_is_no_line(filled: bytes) -> None:
    """Blank lines, and what a transfer in blocks puts behind the last line; with quotes in the file or without."""
    assert mapped(body() + filled).control_totals == mapped(body()).control_totals
    quoted = body(['0001;"C1";01.05.2026;1,00;EUR;F'], "T;1;EUR;1,00")
    assert mapped(quoted + filled).control_totals == mapped(quoted).control_totals


def test_a_mark_says_the_encoding_whatever_was_declared() -> None:
    """A sender that changed to UTF-8 and marks it so is read as that."""
    found = mapped(b"\xef\xbb\xbf" + body().decode("cp1252").encode())
    assert found.frames["customer"]["source_key"].to_list() == ["C1", "Müller"]


def test_quotes_hold_delimiters_and_line_breaks() -> None:
    """A quoted field may hold the delimiter, a line break and a doubled quote."""
    found = mapped(body(['0001;"C;1 ""x""\r\ny";01.05.2026;1,00;EUR;F'], "T;1;EUR;1,00"))
    assert found.frames["invoice"]["customer_key"].to_list() == ['C;1 "x"\r\ny']


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (body(trailer="T;4;EUR;1.134,50;USD;7,25"), "control_total"),
        (body(trailer="T;3;EUR;1.134,51;USD;7,25"), "control_total"),
        (body(trailer="T;3;EUR;1.134,50"), "control_total"),
        (body(trailer="T;3;EUR;1.134,50;USD;7,25;GBP;1,00"), "control_total"),
        (body(trailer=None), "file_unreadable"),
        (body()[:-40], "file_unreadable"),
        (body() + b"0004;C1;01.05.2026;1,00;EUR;F\r\n", "file_unreadable"),
        (body(trailer="T;3;EUR;1.134,50;USD"), "file_unreadable"),
        (body(trailer="T;3;EUR;many;USD;7,25"), "file_unreadable"),
        (b"", "file_unreadable"),
        (b"\r\n\r\n", "file_unreadable"),
        (body().replace(b"H;OLD;20260503\r\n", b""), "file_unreadable"),
        (body().replace(b"AMOUNT", b"BETRAG"), "schema_drift"),
        (body(['0001;"C1;01.05.2026;1,00;EUR;F']), "file_unreadable"),
        (gzip.compress(body())[:-20], "file_unreadable"),
        (b"\x1f\x8bno gzip at all", "file_unreadable"),
    ],
)
def test_a_file_that_can_not_be_believed_is_refused_whole(content: bytes, cause: str) -> None:
    """A cut, broken or renamed file, or one whose totals disagree, lands nothing and says why."""
    error = refused(content)
    assert error.cause == cause
    assert error.evidence or error.detail


def test_evidence_of_totals_shows_both_sides() -> None:
    """The refusal names the declared and the computed sum."""
    error = refused(body(trailer="T;3;EUR;1.134,51;USD;7,25"))
    wrong = [total for total in error.evidence["totals"] if not total["agree"]]  # type: ignore[attr-defined]
    assert [(t["currency"], t["declared_amount"], t["computed_amount"]) for t in wrong] == [("EUR", "1134.5100", "1134.5000")]


@pytest.mark.parametrize(
    ("line", "cause", "field"),
    [
        ("0002;C1;31.02.2026;100,00-;EUR;C", "bad_date", "ISSUED"),
        ("0002;C1;;100,00-;EUR;C", "missing_field", "ISSUED"),
        (";C1;02.05.2026;100,00-;EUR;C", "missing_field", "NUMBER"),
        ("0002;C1;02.05.2026;100,00-;EUR;X", "bad_value", "KIND"),
        ("0002;C1;02.05.2026;12,34,56;EUR;C", "bad_amount", "AMOUNT"),
        ("0002;C1;02.05.2026;100,00-;EUR", "malformed_record", ""),
    ],
)
def test_a_malformed_line_costs_only_itself(line: str, cause: str, field: str) -> None:
    """One line that can't be read is a reject with its field and evidence; its neighbours land."""
    found = mapped(body([GOOD[0], line, GOOD[2]]))
    assert found.frames["invoice"]["source_key"].to_list() == ["0001", "0003"]
    [reject] = found.rejects.to_dicts()
    assert (reject["ordinal"], reject["cause"], reject["field"], reject["entity"]) == (1, cause, field, "invoice")
    assert json.loads(reject["evidence"])["problems"]


def test_a_reject_says_what_it_is_worth() -> None:
    """Money at risk, currency, customer and key of a rejected line are known where they can be read."""
    [reject] = mapped(body([GOOD[0], "0002;C1;31.02.2026;100,00-;EUR;C", GOOD[2]])).rejects.to_dicts()
    assert (reject["source_key"], reject["customer_key"], reject["amount"], reject["currency"]) == ("0002", "C1", Decimal(-100), "EUR")


def test_a_wrong_currency_on_a_line_leaves_the_file_whole() -> None:
    """When exactly the missing sum stands under a currency nobody declared, the sums are unproven but the file is not refused."""
    found = mapped(body([GOOD[0].replace("EUR", "XXQ"), *GOOD[1:]]))
    assert found.frames["invoice"].height == 3
    assert [(total.currency, total.agree) for total in found.control_totals] == [
        (None, True),
        ("EUR", False),
        ("USD", True),
        ("XXQ", False),
    ]


def test_too_many_rejects_refuse_the_file() -> None:
    """Above the allowed share of unreadable lines nothing of the file lands."""
    lines = [GOOD[0], "0002;C1;31.02.2026;100,00-;EUR;C", GOOD[2]]
    assert mapped(body(lines), changed(reject_limit_share=0.34)).rejects.height == 1
    assert refused(body(lines), changed(reject_limit_share=0.3)).cause == "file_unreadable"


def test_gzip_is_read_within_bounds() -> None:
    """A packed file is read; one that unpacks beyond the bound is refused before it fills the memory."""
    assert mapped(gzip.compress(body())).frames["invoice"].height == 3
    bomb = gzip.compress(b"0" * 5_000_000)
    assert "unpacks to more" in refused(bomb, changed(max_bytes=100_000)).detail


def test_a_file_in_another_encoding_is_refused() -> None:
    """Bytes that are not of the declared encoding are not guessed at."""
    assert refused(body(), changed(encoding="utf-8")).cause == "file_unreadable"


def test_the_manifest_is_a_second_voice() -> None:
    """Digest, count and sums of the manifest are checked too."""
    kind = changed(manifest={})
    good = {"records": 3, "totals": {"EUR": "1134.50", "USD": "7.25"}}
    confirmed = mapped(body(), kind, manifest=json.dumps(good)).control_totals
    assert [total.verdict for total in confirmed] == ["trailer_count", "trailer_amount", "trailer_amount"], "two voices, one count"
    alone = {**kind, "trailer": None}
    told = mapped(body(trailer=None), alone, manifest=json.dumps(good)).control_totals
    assert {total.verdict for total in told} == {"manifest_count", "manifest_amount"}
    assert refused(body(), kind, manifest=json.dumps({"sha256": "0" * 64})).cause == "control_total"
    assert refused(body(), kind, manifest=json.dumps({**good, "records": 2})).cause == "control_total"
    assert refused(body(), kind, manifest=json.dumps({**good, "totals": {"EUR": 1}})).cause == "control_total"
    assert refused(body(), kind, manifest="{").cause == "file_unreadable"


def test_a_line_that_fails_its_condition_can_say_that_the_record_is_gone() -> None:
    """`otherwise = "delete"` turns the lines that fail `when` into deletions, `when` alone leaves them out."""
    kind = changed()
    kind["entities"][0]["when"] = [{"column": "AMOUNT", "is": "positive"}]
    assert mapped(body(), kind).frames["invoice"]["source_key"].to_list() == ["0001", "0003"]
    kind["entities"][0]["otherwise"] = "delete"
    assert mapped(body(), kind).frames["invoice"]["is_deleted"].to_list() == [False, True, False]


def test_a_customer_of_a_rejected_line_comes_from_another_line() -> None:
    """The one row per customer is chosen among the lines that pass."""
    found = mapped(body(["0001;C1;31.02.2026;1.234,50;EUR;F", *GOOD[1:]]))
    assert "C1" in found.frames["customer"]["source_key"].to_list()


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("1.234,50-", {"decimal": ",", "thousands": ".", "trailing_minus": True}, Decimal("-1234.5")),
        ("+1.234,50", {"decimal": ",", "thousands": ".", "trailing_minus": False}, Decimal("1234.5")),
        ("1.234,50 -", {"decimal": ",", "thousands": ".", "trailing_minus": True}, Decimal("-1234.5")),
        ("1.234,50 -", {"decimal": ",", "thousands": ".", "trailing_minus": False}, None),
        ("(1.234,50)", {"decimal": ",", "thousands": ".", "trailing_minus": True}, Decimal("-1234.5")),
        ("(0012345)", {"decimal": ".", "thousands": None, "trailing_minus": False, "implied_decimals": 2}, Decimal("-123.45")),
        ("(5", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("-(5)", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("(-5)", {"decimal": ".", "thousands": None, "trailing_minus": True}, None),
        ("(5)-", {"decimal": ".", "thousands": None, "trailing_minus": True}, None),
        ("1.50", {"decimal": ",", "thousands": ".", "trailing_minus": False}, None),
        ("1,234,567.8900", {"decimal": ".", "thousands": ",", "trailing_minus": False}, Decimal("1234567.89")),
        ("1e5", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("0.12345", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("NaN", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("5-", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("9999999999999999", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
        ("١٢", {"decimal": ".", "thousands": None, "trailing_minus": False}, None),
    ],
)
def test_amounts_are_exact_or_nothing(text: str, options: dict[str, Any], expected: Decimal | None) -> None:
    """An amount that does not keep its declared shape is no amount."""
    assert pl.select(amount(pl.lit(text), **options)).item() == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1/2/2013", "%m/%d/%Y", date(2013, 1, 2)),
        ("12/31/2012", "%m/%d/%Y", date(2012, 12, 31)),
        ("13/1/2012", "%m/%d/%Y", None),
        ("29.02.2024", "%d.%m.%Y", date(2024, 2, 29)),
        ("29.02.2023", "%d.%m.%Y", None),
        ("20260131", "%Y%m%d", date(2026, 1, 31)),
        ("2026131", "%Y%m%d", None),
        ("1/2/13", "%m/%d/%Y", None),
    ],
)
def test_dates_exist_or_are_nothing(text: str, form: str, expected: date | None) -> None:
    """Unpadded days are read, days that do not exist are not."""
    assert pl.select(day(pl.lit(text), form)).item() == expected


@pytest.mark.parametrize(
    ("text", "ambiguous", "expected"),
    [
        ("29.03.2026 02:30", "latest", None),
        ("25.10.2026 02:30", "reject", None),
        ("25.10.2026 02:30", "earliest", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("25.10.2026 02:30", "latest", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("01.07.2026 12:00", "reject", datetime(2026, 7, 1, 10, 0, tzinfo=UTC)),
    ],
)
def test_local_times_in_a_clock_change_are_never_guessed(text: str, ambiguous: str, expected: datetime | None) -> None:
    """A skipped local time is nothing; a repeated one is what the declaration says, or nothing."""
    frame = pl.DataFrame({"text": [text]})
    assert frame.select(moment(pl.col("text"), "%d.%m.%Y %H:%M", "Europe/Berlin", ambiguous)).item() == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "ebcdic-x"}, "no encoding"),
        ({"columns": {**KIND["columns"], "ISSUED": {"type": "date"}}}, "give its formats"),
        ({"columns": {**KIND["columns"], "AMOUNT": {"type": "text"}}}, "AMOUNT"),
        ({"entities": [{"entity": "invoce", "key": "NUMBER", "fields": {}}]}, "no entity is called 'invoce'"),
        ({"entities": [{"entity": "customer", "key": "NUMER", "fields": {}}]}, "NUMER"),
        ({"entities": [{"entity": "customer", "key": "NUMBER", "fields": {"nmae": "NUMBER"}}]}, "has no field nmae"),
        ({"entities": [{"entity": "invoice", "key": "NUMBER", "fields": {"number": "NUMBER"}}]}, "invoice needs"),
        ({"entities": [{"entity": "customer", "key": "NUMBER", "fields": {"number": {"value": 1, "column": "NUMBER"}}}]}, "exactly one of"),
    ],
)
def test_a_wrong_declaration_is_said_at_once(change: dict[str, Any], words: str) -> None:
    """The error names the connection, the stream and what is wrong."""
    with pytest.raises(ConfigError, match=r"connection drop: options\.files\.items") as caught:
        source(changed(**change))
    assert words in str(caught.value)


def test_local_times_need_a_zone() -> None:
    """A column of local times without any zone is refused when the connection is opened."""
    kind = changed()
    kind["columns"]["STAMP"] = {"type": "time", "formats": ["%d.%m.%Y %H:%M"]}
    connection = Connection(name="drop", system="flat_files", region="EMEA", options={"files": [kind]})
    with pytest.raises(ConfigError, match="STAMP of items holds local times"):
        make_source(connection, Landscape())


def test_the_legacy_example_reads_its_format() -> None:
    """The declared legacy drop: blocks, credit limits, payments, and a payment that was taken back."""
    landscape = load(Path(__file__).parents[2] / "examples" / "legacy-drop.toml", {"LEGACY_DROP": "/nowhere"})
    legacy = make_source(landscape.connection("legacy-latam"), landscape)
    names = "TIPO;CLIENTE;NOMBRE;PAIS;DOCUMENTO;CLASE;PEDIDO;FECHA_EMISION;FECHA_VENC;MONEDA;IMPORTE;IMPUESTO;PAGADO;FECHA_PAGO;REF_PAGO;DISPUTA;MODIFICADO;VERSION"
    head = "H;LEGACY-LATAM;PARTIDAS;MX01;000002;20.05.2026 06:00:00"
    rows = [
        "D;0000070001;Peña SA;MX;0090000001;FA;0000000012;01.04.2026;01.05.2026;MXN;1.160,00;160,00;400,00;05.05.2026;R-1;S;05.05.2026 10:00:00;3",
        "D;0000070001;Peña SA;MX;0090000002;NC;;02.04.2026;02.04.2026;MXN;116,00-;16,00-;0,00;;;N;02.04.2026 10:00:00;1",
        "D;0000070002;Otro;MX;0090000003;FA;;02.04.2026;02.05.2026;MXN;100,00;0,00;100,00;;;N;03.04.2026 10:00:00;2",
        "D;0000070002;Otro;MX;0090000004;FA;;02.04.2026;02.05.2026;MXN;50,00;0,00;50,00;04.05.2026;R-2;N;04.05.2026 10:00:00;2",
    ]
    content = "".join(line + "\r\n" for line in [head, names, *rows, "T;4;MXN;1.194,00"]).encode("cp1252")
    page = Page(content, "text/csv", None, name="openitems_MX01_20260520_000002.csv", headers={"received_at": NOW.isoformat()})
    found = legacy.map("open_items", page)
    assert found.rejects.is_empty()
    assert found.frames["invoice"]["status"].to_list() == ["posted", "posted", "cancelled", "cleared"]
    assert found.frames["invoice"]["is_disputed"].to_list() == [True, False, False, False]
    applied = found.frames["payment_application"].select("amount", "is_deleted", "clearing_date").rows()
    assert applied == [
        (Decimal(400), False, date(2026, 5, 5)),
        (Decimal(0), True, date(2026, 4, 2)),
        (Decimal(100), False, date(2026, 4, 2)),
        (Decimal(50), False, date(2026, 5, 4)),
    ]
    assert found.frames["payment"].filter(~pl.col("is_deleted"))["reference"].to_list() == ["R-1", "R-2"]
    assert found.frames["invoice"]["changed_at"][0] == datetime(2026, 5, 5, 16, 0, tzinfo=UTC)


def test_a_reused_name_is_accepted_noted_or_refused() -> None:
    """What happens to a file that came before with other content is the connection's choice."""
    said = {"conflict": "items_7.csv came before with other content"}
    assert all(total.agree for total in mapped(body(), changed(on_conflict="accept"), **said).control_totals)
    noted = mapped(body(), changed(on_conflict="note"), **said)
    assert [total.verdict for total in noted.control_totals if not total.agree] == ["file_conflict"]
    assert refused(body(), changed(on_conflict="refuse"), **said).cause == "file_conflict"


def test_mapping_forgets_nothing_between_files() -> None:
    """The same page maps to the same frames again."""
    page = Page(body(), "text/csv", None, name="items_7.csv", headers={"received_at": NOW.isoformat()})
    drop = source()
    first, second = drop.map("items", page), drop.map("items", replace(page))
    assert all(first.frames[entity].equals(second.frames[entity]) for entity in first.frames)
