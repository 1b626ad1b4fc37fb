"""Who is told what: an ERP that could take a CRM's word does not take its place."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.policy import able, takers


def _landscape(*systems: str) -> Landscape:
    return Landscape(connections=tuple(Connection(name=f"c{place}", system=system, region="EMEA") for place, system in enumerate(systems)))


def test_collections_go_to_the_crm_where_there_is_one() -> None:
    """Whatever the order of the file; without a CRM the ERP that is both gets the word."""
    assert takers(_landscape("tryton", "salesforce"), "update_collections", region="EMEA") == ["c1"]
    assert takers(_landscape("tryton"), "update_collections", region="EMEA") == ["c0"]
    assert [connection.name for connection in able(_landscape("tryton", "salesforce", "sap_s4"), "update_collections")] == ["c1"]
    assert takers(_landscape("sap_s4", "salesforce"), "release_order", source="c0") == ["c0"]
    assert takers(_landscape("sap_s4"), "update_collections") == []
