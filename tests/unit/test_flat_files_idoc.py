"""IDocs in XML and flat become invoices and customers as the examples declare them; cut, mixed or hostile ones are refused or cost themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sync.connections import ConfigError, Connection, Landscape, load
from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles
from sync.systems.flat_files.idoc_flat import DATA_LENGTH, segment_type
from sync.systems.flat_files.idoc_paths import CONTROL_FIELDS, CONTROL_LENGTH, DATA_FIELDS, parse
from tests.contracts.suite import _assert_contract

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
Node = tuple[str, dict[str, str], list[Any]]


def invoice(number: str, gross: str, kind: str = "INVO", customer: str = "1000", docnum: str = "7") -> list[Node]:
    return [
        ("EDI_DC40", {"TABNAM": "EDI_DC40", "DOCNUM": docnum.zfill(16), "MESTYP": "INVOIC", "IDOCTYP": "INVOIC02", "CREDAT": "20260515"}, []),
        ("E1EDK01", {"CURCY": "EUR", "BSART": kind, "BELNR": number}, []),
        ("E1EDKA1", {"PARVW": "AG", "PARTN": "9"}, []),
        ("E1EDKA1", {"PARVW": "RE", "PARTN": customer, "NAME1": "Größe & Söhne", "LAND1": "DE"}, []),
        ("E1EDK02", {"QUALF": "002", "BELNR": "0000004711"}, []),
        ("E1EDK03", {"IDDAT": "012", "DATUM": "20260501"}, []),
        ("E1EDK03", {"IDDAT": "026", "DATUM": "20260502"}, []),
        ("E1EDK18", {"QUALF": "001", "TAGE": "14", "PRZNT": "2.000"}, []),
        ("E1EDK18", {"QUALF": "002", "TAGE": "30"}, []),
        ("E1EDK18", {"QUALF": "003", "TAGE": "0"}, []),
        ("E1EDP01", {"POSEX": "000010"}, [("E1EDP26", {"QUALF": "003", "BETRG": "100.00"}, []), ("E1EDP26", {"QUALF": "002", "BETRG": "90.00"}, [])]),
        ("E1EDP01", {"POSEX": "000020"}, [("E1EDP26", {"QUALF": "003", "BETRG": "19.00"}, [])]),
        ("E1EDS01", {"SUMID": "005", "SUMME": "19.00"}, []),
        ("E1EDS01", {"SUMID": "011", "SUMME": gross}, []),
    ]  # fmt: skip


def customer(number: str, docnum: str = "8", **fields: str) -> list[Node]:
    company: Node = ("E1KNB1M", {"BUKRS": "DE01", "ZTERM": "ZB30"}, [])
    return [
        ("EDI_DC40", {"TABNAM": "EDI_DC40", "DOCNUM": docnum.zfill(16), "MESTYP": "DEBMAS", "CREDAT": "20260515"}, []),
        ("E1KNA1M", {"KUNNR": number, "NAME1": "Nordhafen", "LAND1": "DE", **fields}, [("E1KNB1M", {"BUKRS": "US01", "ZTERM": "ZB60"}, []), company]),
    ]  # fmt: skip


def xml(*idocs: list[Node], root: str = "INVOIC02") -> bytes:
    def element(node: Node) -> str:
        name, fields, children = node
        inner = "".join(f"<{key}>{text.replace('&', '&amp;')}</{key}>" for key, text in fields.items())
        return f'<{name} SEGMENT="1">{inner}{"".join(element(child) for child in children)}</{name}>'

    body = "".join(f'<IDOC BEGIN="1">{"".join(element(node) for node in idoc)}</IDOC>' for idoc in idocs)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<{root}>{body}</{root}>'.encode()


def source(example: str) -> FlatFiles:
    landscape = load(
        EXAMPLES / example, {"IDOC_DROP": "/nowhere", "IDOC_SFTP_HOST": "h", "IDOC_SFTP_HOST_KEY": "SHA256:x", "IDOC_SFTP_KEY": "/none"}
    )
    connection = landscape.connections[0]
    return make_source(connection.model_copy(update={"options": {**connection.options, "folders": [], "sftp": None}}), landscape)


ITEMS = {"E1EDP01": {"POSEX": 6}, "E1EDP26": {"QUALF": 3, "BETRG": 18}}
FLAT, XML = source("idoc-flat.toml"), source("idoc-xml.toml")


def flat(*idocs: list[Node], end: str = "\n", definitions: bool = True) -> bytes:
    """The records of these IDocs, each segment under the name of its definition, as a system writes it."""

    def filled(layout: dict[str, int], fields: dict[str, str]) -> str:
        return "".join(fields.get(name, "").ljust(width)[:width] for name, width in layout.items())

    kinds = FLAT._drop.files
    layouts: dict[str, dict[str, int]] = {**kinds[0].segments, **kinds[1].segments, **ITEMS}
    records: list[str] = []
    for idoc in idocs:
        number = idoc[0][1]["DOCNUM"]
        records.append(filled(CONTROL_FIELDS, idoc[0][1]))
        count = 0

        def write(node: Node, parent: int, level: int, number: str = number) -> None:
            nonlocal count
            count += 1
            own = count
            name = node[0].replace("1", "2", 1) + ("005" if definitions and node[0] in ("E1EDK01", "E1KNA1M") else "")
            head = {
                "SEGNAM": name,
                "MANDT": "100",
                "DOCNUM": number,
                "SEGNUM": str(own).zfill(6),
                "PSGNUM": str(parent).zfill(6),
                "HLEVEL": str(level).zfill(2),
            }
            records.append((filled(DATA_FIELDS, head) + filled(layouts.get(node[0], {}), node[1])).ljust(DATA_LENGTH))
            for child in node[2]:
                write(child, own, level + 1)

        for node in idoc[1:]:
            write(node, 0, 1)
    return "".join(record + end for record in records).encode("latin-1")


def mapped(found: FlatFiles, stream: str, body: bytes, **headers: str) -> Mapped:
    return found.map(stream, Page(body, "", None, name="INVOIC_20260515_000003", headers={"received_at": NOW.isoformat(), **headers}))


def refused(found: FlatFiles, stream: str, body: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        mapped(found, stream, body)
    return caught.value


def changed(base: FlatFiles, stream: str, **changes: Any) -> FlatFiles:
    kind = base._drop.kind(stream)
    assert kind is not None
    document = {**kind.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True), **changes}
    connection = Connection(name="ecc", system="flat_files", region="EMEA", zone="Europe/Berlin", options={"files": [document]})
    return make_source(connection, Landscape())


INVOICES = [invoice("0090000001", "119.00", docnum="1"), invoice("0090000002", "50.00", "CRME", docnum="2")]
FORMS = {"xml": (XML, xml(*INVOICES)), **{f"flat {end!r}": (FLAT, flat(*INVOICES, end=end)) for end in ("\n", "\r\n", "")}}


@pytest.mark.parametrize("form", list(FORMS))
def test_invoic_becomes_invoices(form: str) -> None:
    """Numbers, customers with their zeros, dates, the net term, amounts with their sign, exactly; every row keeps its contract."""
    found = mapped(FORMS[form][0], "invoices", FORMS[form][1])
    assert found.rejects.is_empty()
    first, second = found.frames["invoice"].to_dicts()
    assert (first["source_key"], first["customer_key"], first["order_number"]) == ("0090000001", "0000001000", "0000004711")
    assert (first["issue_date"], first["due_date"], first["currency"]) == (date(2026, 5, 2), date(2026, 6, 1), "EUR")
    assert (first["gross"], first["tax"], first["is_credit"]) == (Decimal(119), Decimal(19), False)
    assert (second["gross"], second["tax"], second["is_credit"]) == (Decimal(-50), Decimal(-19), True)
    assert [row["source_version"] for row in (first, second)] == [1, 2]
    assert found.fields_seen["E1EDK01.BELNR"] == "text"
    _assert_contract("invoice", found.frames["invoice"])


@pytest.mark.parametrize("form", ["xml", "flat"])
def test_debmas_becomes_customers(form: str) -> None:
    """Blocks, the terms of our company code among several, and a customer marked for deletion is gone."""
    idocs = [customer("1000", AUFSD="01", SPERR="X"), customer("0000002000", "9", LOEVM="X")]
    found = mapped(XML, "customers", xml(*idocs, root="DEBMAS06")) if form == "xml" else mapped(FLAT, "customers", flat(*idocs))
    first, second = found.frames["customer"].to_dicts()
    assert (first["source_key"], first["name"], first["payment_terms_days"]) == ("0000001000", "Nordhafen", 30)
    assert (first["order_block"], first["delivery_block"], first["posting_block"]) == (True, False, True)
    assert (second["source_key"], second["is_deleted"]) == ("0000002000", True)
    _assert_contract("customer", found.frames["customer"])


@pytest.mark.parametrize("form", ["xml", "flat"])
def test_one_record_per_item(form: str) -> None:
    """With `each`, a path looks in its own segment first, then in the whole IDoc."""
    columns = {
        "E1EDK01.BELNR": {"required": True},
        "E1EDP01.POSEX": {"required": True},
        "E1EDP26[QUALF=003].BETRG": {"type": "amount", "required": True},
        "OTHER": {"path": "E1EDP01[POSEX=000010]/E1EDP26[QUALF=002].BETRG", "type": "amount"},
        "E1EDK03[IDDAT=026].DATUM": {"type": "date", "formats": ["%Y%m%d"]},
        "E1EDK01.CURCY": {},
    }
    fields = {"number": {"join": ["E1EDK01.BELNR", "E1EDP01.POSEX"]}, "customer_key": "E1EDK01.BELNR", "issue_date": "E1EDK03[IDDAT=026].DATUM",
              "gross": "E1EDP26[QUALF=003].BETRG", "tax": "OTHER", "currency": "E1EDK01.CURCY", "status": {"value": "posted"}}  # fmt: skip
    feeds = [{"entity": "invoice", "key": ["E1EDK01.BELNR", "E1EDP01.POSEX"], "fields": fields}]
    more: dict[str, Any] = {"each": "E1EDP01", "columns": columns, "entities": feeds, "totals": None, "manifest": None, "done_suffix": None}
    body = xml(INVOICES[0])
    if form == "flat":
        more["segments"] = {**FLAT._drop.files[1].segments, **ITEMS}
        body = flat(INVOICES[0])
    found = mapped(changed(XML if form == "xml" else FLAT, "invoices", **more), "invoices", body)
    assert found.frames["invoice"].select("source_key", "gross", "tax").rows() == [
        ("0090000001/000010", Decimal(100), Decimal(90)),
        ("0090000001/000020", Decimal(19), Decimal(90)),
    ]


@pytest.mark.parametrize("form", list(FORMS))
def test_one_bad_idoc_costs_only_itself(form: str) -> None:
    """An amount that is none, and a missing number, are rejects; their neighbour lands."""
    bad = [invoice("1", "119,00x", docnum="3"), invoice("", "1.00", docnum="4"), invoice("0090000003", "1.00", docnum="5")]
    system = FORMS[form][0]
    body = xml(*bad) if form == "xml" else flat(*bad, end={"flat '\\n'": "\n", "flat '\\r\\n'": "\r\n", "flat ''": ""}[form])
    found = mapped(system, "invoices", body)
    assert found.frames["invoice"]["source_key"].to_list() == ["0090000003"]
    assert [(row["ordinal"], row["cause"]) for row in found.rejects.to_dicts()] == [(0, "bad_amount"), (1, "missing_field")]


@pytest.mark.parametrize("form", list(FORMS))
def test_a_cut_file_is_refused_or_salvaged(form: str) -> None:
    """Strict by default: nothing of it lands. With `salvage` the IDocs before the cut do, and the one that it went through is a reject."""
    system, body = FORMS[form]
    for cut in (body[:-30], body[: len(body) * 3 // 4]):
        if form != "flat ''" or (len(cut) - CONTROL_LENGTH) % DATA_LENGTH:
            assert refused(system, "invoices", cut).cause == "file_unreadable"
        found = mapped(changed(system, "invoices", salvage=True, totals=None), "invoices", cut)
        assert found.frames["invoice"]["source_key"].to_list() == ["0090000001"]
        assert [row["cause"] for row in found.rejects.to_dicts()] == ["malformed_record"]


def test_totals_by_manifest_hold_for_idocs() -> None:
    """Count and signed sums per currency, as for lines."""
    good = '{"records": 2, "totals": {"EUR": "169.00"}}'
    assert all(total.agree for total in mapped(XML, "invoices", xml(*INVOICES), manifest=good).control_totals)
    with pytest.raises(DataError, match=r"declared 168"):
        mapped(XML, "invoices", xml(*INVOICES), manifest=good.replace("169", "168"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<INVOIC02/>",
        b"no xml at all",
        b"<INVOIC02><IDOC></INVOIC02>",
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><INVOIC02><IDOC><E1EDK01><BELNR>&e;</BELNR></E1EDK01></IDOC></INVOIC02>',
        b"<INVOIC02>" + b"<IDOC>" + b"<E>" * 5000 + b"</E>" * 5000 + b"</IDOC></INVOIC02>",
        xml(*INVOICES)[:200] + b"\xff\xfe" + xml(*INVOICES)[200:],
    ],
)
def test_hostile_xml_is_refused(body: bytes) -> None:
    """No entity is read, no depth exhausts us, no garbage crashes."""
    assert refused(XML, "invoices", body).cause == "file_unreadable"


def test_a_field_twice_in_its_segment_is_a_reject() -> None:
    """Which of the two is meant is not guessed."""
    body = xml(*INVOICES).replace(b"<BELNR>0090000001</BELNR>", b"<BELNR>1</BELNR><BELNR>2</BELNR>")
    found = mapped(changed(XML, "invoices", totals=None), "invoices", body)
    assert found.rejects["message"].to_list() == ["the field E1EDK01.BELNR stands twice in its segment"]
    assert found.frames["invoice"].height == 1


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"E2EDK01005 no control", flat(*INVOICES)[:400], flat(*INVOICES).replace(b" \n", b"\n", 1), b"EDI_DC40" * 9000]
)
def test_flat_garbage_is_refused(body: bytes) -> None:
    """A file that is no flat IDoc, or whose records are of other lengths."""
    assert refused(FLAT, "invoices", body).cause == "file_unreadable"


def test_lines_that_lost_their_blanks_are_read_where_declared() -> None:
    """Many transfers cut the blanks at a line's end: `pad` gives them back."""
    body = b"\n".join(line.rstrip() for line in flat(*INVOICES).split(b"\n"))
    assert "positions" in refused(FLAT, "invoices", body).detail
    assert mapped(changed(FLAT, "invoices", pad=True), "invoices", body).frames["invoice"].height == 2


def test_segments_of_another_idoc_spoil_theirs() -> None:
    """A data record that names another document's number was mixed in."""
    other = flat(INVOICES[0]).replace(
        b"E2EDK02                       1000000000000000001", b"E2EDK02                       1000000000000000009"
    )
    found = mapped(changed(FLAT, "invoices", totals=None), "invoices", other + flat(INVOICES[1]))
    assert found.frames["invoice"]["source_key"].to_list() == ["0090000002"]
    assert "stands among those of" in found.rejects["message"][0]


def test_names_of_definitions_are_those_of_their_types() -> None:
    """A flat file names the version of a segment's definition, a declaration its type."""
    pairs = {
        "E2EDK01005": "E1EDK01",
        "E2EDKA1": "E1EDKA1",
        "E2EDKA1003": "E1EDKA1",
        "E2KNA1M005": "E1KNA1M",
        "E1EDP01": "E1EDP01",
        "Z2PART000": "Z1PART",
    }
    assert {name: segment_type(name) for name in pairs} == pairs


@pytest.mark.parametrize("path", ["BELNR", "E1EDK01", "E1EDKA1[PARVW].PARTN", "E1EDKA1[PARVW=RE.PARTN", "e1edk01.belnr", "E1EDK01.", "/.X"])
def test_what_is_no_path_is_said_at_once(path: str) -> None:
    """The error shows how a path is written."""
    with pytest.raises(ValueError, match="column"):
        parse(path)
    with pytest.raises(ConfigError, match="column"):
        changed(XML, "invoices", columns={path: {}})


def test_a_flat_column_needs_its_field_declared() -> None:
    """A field that no layout names can't be cut out of a record."""
    with pytest.raises(ConfigError, match=r"segments\.E1EDK02 does not declare BELNR, QUALF"):
        changed(FLAT, "invoices", segments={name: layout for name, layout in FLAT._drop.files[1].segments.items() if name != "E1EDK02"})


def test_what_stands_between_the_characters_of_a_field_is_no_part_of_it() -> None:
    """A comment or an instruction neither cuts a field short nor makes a segment of it."""
    for inside in (b"900<!-- a note -->01", b"<!-- a note -->90001", b"900<?an instruction?>01"):
        found = mapped(XML, "invoices", xml(invoice("90001", "119.00")).replace(b"90001", inside))
        assert found.frames["invoice"]["source_key"].to_list() == ["90001"]


def test_xml_keeps_what_its_transfer_put_around_it() -> None:
    """Blank lines before its declaration, and the mark with which DOS ends a file."""
    found = mapped(XML, "invoices", b"\r\n \n" + xml(invoice("90001", "119.00")) + b"\r\n\x1a")
    assert found.frames["invoice"]["source_key"].to_list() == ["90001"]


def test_a_nul_costs_its_own_idoc_alone() -> None:
    """No database keeps one in a text: the IDoc is set aside, its neighbours land."""
    body = flat(invoice("90001", "119.00"), invoice("90002", "119.00", docnum="8")).replace(b"90001", b"9\x00001", 1)
    found = mapped(FLAT, "invoices", body)
    assert found.frames["invoice"]["source_key"].to_list() == ["90002"]
    assert ["NUL" in message for message in found.rejects["message"]] == [True]
