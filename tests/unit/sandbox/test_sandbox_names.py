"""The S/4 hosts use SAP's own names and types."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sandbox.s4.services import EntitySet, services

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
