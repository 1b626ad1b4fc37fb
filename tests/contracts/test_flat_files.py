"""A declared delimited drop passes the contract suite of every adapter."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sync.connections import Connection, Landscape
from sync.ports import Cursor, Source
from sync.systems.flat_files import make_source
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_documents import DocumentCase, DocumentSuite

OPTIONS = {
    "archive": "",
    "files": [
        {
            "stream": "items",
            "pattern": "items_*.csv",
            "name": r"_(?P<sequence>\d+)\.csv$",
            "delimiter": ";",
            "encoding": "cp1252",
            "decimal": ",",
            "thousands": ".",
            "trailing_minus": True,
            "trailer": {"marker": "T", "fields": ["records", "totals"]},
            "totals": {"amount": "BETRAG", "currency": "EUR"},
            "manifest": {},
            "columns": {
                "NUMMER": {"required": True},
                "KUNDE": {"required": True},
                "DATUM": {"type": "date", "formats": ["%d.%m.%Y"], "required": True},
                "BETRAG": {"type": "amount", "required": True},
                "GEAENDERT": {"type": "time", "formats": ["%Y-%m-%dT%H:%M:%S%z"], "required": True},
            },
            "entities": [
                {
                    "entity": "invoice",
                    "key": "NUMMER",
                    "version": "GEAENDERT",
                    "changed_at": "GEAENDERT",
                    "fields": {
                        "number": "NUMMER",
                        "customer_key": "KUNDE",
                        "issue_date": "DATUM",
                        "gross": "BETRAG",
                        "currency": {"value": "EUR"},
                        "status": {"value": "posted"},
                    },
                },
                {
                    "entity": "customer",
                    "key": "KUNDE",
                    "once": "first",
                    "version": "GEAENDERT",
                    "changed_at": "GEAENDERT",
                    "fields": {"number": "KUNDE"},
                },
            ],
        }
    ],
}
NAMES = "NUMMER;KUNDE;DATUM;BETRAG;GEAENDERT"


class Drop(DocumentCase):
    """A folder into which files of at most three lines are dropped whenever the source is opened."""

    system = "flat_files"

    stream = "items"
    entity = "invoice"
    value_column = "gross"
    records = 3

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        self._folder = Path(self._home.name)
        self._waiting: list[tuple[str, str, Decimal]] = []
        self._sequence = 0
        self._extra: list[Path] = []

    def source(self) -> Source:
        while self._waiting:
            self._drop(self._waiting[:3])
            self._waiting = self._waiting[3:]
        return make_source(self.connection(), Landscape())

    def connection(self) -> Connection:
        """The connection that reads the folder."""
        return Connection(name="drop", system="flat_files", region="EMEA", options={**OPTIONS, "folders": [str(self._folder)]})

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._waiting.append((f"{key};c-{key};01.05.2026;{worth},00", at.isoformat(), Decimal(worth)))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.put(key, worth, at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._waiting.append((f"{key};c-{key};31.02.2026;1,00", at.isoformat(), Decimal(1)))

    def repeat_page(self) -> None:
        self.source().close()
        first = self._folder / "items_1.csv"
        self._extra = [self._folder / "items_again_1.csv"]
        self._write(self._extra[0], first.read_bytes(), 3)

    def heal(self) -> None:
        for path in self._extra:
            path.unlink()

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {**(cursor or {}), "last_sequence": 10_000}

    def close(self) -> None:
        self._home.cleanup()

    def _drop(self, lines: list[tuple[str, str, Decimal]]) -> None:
        self._sequence += 1
        total = f"{sum((line[2] for line in lines), Decimal(0)):.2f}".replace(".", ",")
        rows = [NAMES, *(f"{text};{stamp}" for text, stamp, _ in lines), f"T;{len(lines)};EUR;{total}"]
        body = self.rewrite("".join(row + "\r\n" for row in rows).encode("cp1252"))
        self._write(self._folder / f"items_{self._sequence}.csv", body, len(lines))

    def _write(self, path: Path, body: bytes, records: int) -> None:
        path.write_bytes(body)
        manifest = {"sha256": hashlib.sha256(body).hexdigest(), "records": records}
        path.with_name(path.name + ".manifest.json").write_text(json.dumps(manifest))


class TestFlatFiles(AdapterSuite, DocumentSuite):
    @pytest.fixture
    def documents(self, case: DocumentCase) -> DocumentCase:
        return case

    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Drop() as case:
            yield case
