"""The S/4 hosts use SAP's own names and types."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sandbox.s4.services import EntitySet, services
from tests.unit.sandbox.conftest import Box

SPECS = Path(__file__).parents[4] / "shared" / "contracts" / "specs"
UNPUBLISHED = {"API_CRDTMBUSINESSPARTNER", "API_OUTBOUND_DELIVERY_SRV", "API_GLACCOUNTLINEITEM"}
"""Services whose metadata is not at hand: their names are those of public clients, which no file here can prove."""
NAMED = [(name, one) for name, sets in services("sap-emea").items() for one in sets.values() if name not in UNPUBLISHED]


@pytest.mark.skipif(not SPECS.is_dir(), reason="../shared/contracts/specs is not here")
@pytest.mark.parametrize(("service", "entity_set"), NAMED, ids=[f"{n}.{s.entity.name}" for n, s in NAMED])
def test_every_property_is_in_saps_metadata(service: str, entity_set: EntitySet) -> None:
    """Each property, key and navigation a host serves is in the vendor's metadata with the same type and length."""
    root = ET.parse(SPECS / f"{service}.edmx").getroot()
    types = {e.get("Name"): e for e in root.iter() if e.tag.endswith("}EntityType")}
    sets = {e.get("Name"): (e.get("EntityType") or "").rpartition(".")[2] for e in root.iter() if e.tag.endswith("}EntitySet")}
    assert sets[entity_set.entity.name] == entity_set.type
    theirs = types[entity_set.type]
    properties = {p.get("Name"): p for p in theirs if p.tag.endswith("}Property")}
    for field in entity_set.entity.fields.values():
        assert field.name in properties, field.name
        assert properties[field.name].get("Type") == field.type, field.name
        if field.type == "Edm.String":
            assert int(properties[field.name].get("MaxLength") or 0) == field.length, field.name
    assert tuple(k.get("Name") for k in theirs.iter() if k.tag.endswith("}PropertyRef")) == entity_set.keys
    assert set(entity_set.items) <= {p.get("Name") for p in theirs if p.tag.endswith("}NavigationProperty")}


_MOMENT = r"/Date\(-?\d+(?:[+-]\d{4})?\)/"
SHAPES = {"Edm.String": ".*", "Edm.DateTime": r"/Date\(-?\d+\)/", "Edm.DateTimeOffset": _MOMENT, "Edm.Time": r"PT\d{2}H\d{2}M\d{2}S"}


def misfit(theirs: ET.Element, value: object) -> str | None:
    """What is wrong with a JSON value by SAP's type, length, precision and scale of its property; None when nothing is."""
    kind, name = theirs.get("Type") or "", theirs.get("Name")
    if value is None:
        return f"{name} is null" if theirs.get("Nullable") == "false" else None
    if kind == "Edm.Boolean":
        return None if isinstance(value, bool) else f"{name} is {value!r}"
    if not isinstance(value, str):
        return f"{name} is no text in JSON: {value!r}"
    if kind == "Edm.Decimal":
        whole, _, part = value.lstrip("-").partition(".")
        digits, scale = int(theirs.get("Precision") or 38), int(theirs.get("Scale") or 0)
        fits = (whole + part).isdigit() and len(part) <= scale and len(whole.lstrip("0")) + len(part) <= digits
        return None if fits else f"{name} is {value!r}, not Decimal({digits}/{scale})"
    if re.fullmatch(SHAPES.get(kind, "$^"), value, re.DOTALL) is None:
        return f"{name} is {value!r}, not {kind}"
    return f"{name} is longer than {theirs.get('MaxLength')}" if len(value) > int(theirs.get("MaxLength") or 10**6) else None


@pytest.mark.skipif(not SPECS.is_dir(), reason="../shared/contracts/specs is not here")
@pytest.mark.parametrize(("service", "entity_set"), NAMED, ids=[f"{n}.{s.entity.name}" for n, s in NAMED])
def test_every_value_is_of_saps_type(box: Box, service: str, entity_set: EntitySet) -> None:
    """What a host serves is what the vendor's metadata promises: each value of some records, by type, length, precision and scale."""
    root = ET.parse(SPECS / f"{service}.edmx").getroot()
    theirs = next(e for e in root.iter() if e.tag.endswith("}EntityType") and e.get("Name") == entity_set.type)
    properties = {p.get("Name"): p for p in theirs if p.tag.endswith("}Property")}
    records = box.s4(f"{service}/{entity_set.entity.name}?$top=40").json()["d"]["results"]
    assert records
    wrong = [
        found for record in records for name, value in record.items() if name in properties and (found := misfit(properties[name], value))
    ]
    assert wrong == []
    assert set().union(*records) <= {*properties, "__metadata", *entity_set.items}
