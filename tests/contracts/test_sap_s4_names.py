"""Every property that we ask S/4HANA for is one that SAP's own metadata names."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.systems.sap_s4.items import _DAYS
from sync.systems.sap_s4.metadata import properties
from sync.systems.sap_s4.target import _FIELDS
from sync.systems.sap_s4.wire import DESCRIBED, ITEMS, ORDERS, EntitySet

SPECS = Path(__file__).parents[3] / "shared" / "contracts" / "specs"

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="../shared/contracts/specs is not here")


@pytest.mark.parametrize("entity_set", DESCRIBED, ids=lambda one: one.name)
def test_every_property_exists(entity_set: EntitySet) -> None:
    """The set, each selected property and each expanded navigation stand in the .edmx of its service."""
    known = properties((SPECS / f"{entity_set.service}.edmx").read_bytes())
    has, leads = known[entity_set.name]
    assert {*entity_set.needed, *entity_set.wanted} <= has
    assert {name for name, _ in entity_set.expand} <= leads
    if entity_set.expand:
        items, _ = known["A_BillingDocumentItem"]
        assert {field for _, fields in entity_set.expand for field in fields} <= items


def test_what_is_mapped_and_written_is_selected() -> None:
    """The days of an item and the fields that a release reads are among the properties that the test above holds."""
    assert set(_DAYS.values()) <= {*ITEMS.needed, *ITEMS.wanted}
    assert set(_FIELDS) <= {*ORDERS.needed, *ORDERS.wanted}
