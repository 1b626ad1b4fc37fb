"""A service's $metadata: which entity sets, properties and actions this release has, and whether it takes $batch. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sync.errors import TransientError

_Type = tuple[frozenset[str], frozenset[str], str]
"""Properties, navigation properties, and the name of the type it is built on."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a service says of itself. `sets`: entity set -> (properties, navigation properties). `actions`: name in lower case -> its
    qualified name, with "" for the namespace of a V2 function import. `batch` False: it says that it takes no $batch.
    """

    sets: Mapping[str, tuple[frozenset[str], frozenset[str]]]
    actions: Mapping[str, str] = field(default_factory=dict)
    batch: bool = True


def described(metadata: bytes) -> Described:
    """What the $metadata says. Raises TransientError when it is none."""
    try:
        root = fromstring(metadata, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise TransientError(f"$metadata is no XML that can be read: {error}") from error
    types: dict[str, _Type] = {}
    sets: dict[str, str] = {}
    actions: dict[str, str] = {}
    batch = True
    for schema in root.iter():
        if _tag(schema) == "Schema":
            _read(schema, types, sets, actions)
        elif _tag(schema) == "Annotation" and schema.attrib.get("Term", "").endswith("Capabilities.BatchSupported"):
            batch = schema.attrib.get("Bool", "true").lower() != "false"
    return Described({name: _whole(types, kind) for name, kind in sets.items() if kind in types}, actions, batch)


def properties(metadata: bytes) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
    """Entity set -> (properties, navigation properties) of a service's $metadata. Raises TransientError when it is none."""
    return described(metadata).sets


def _whole(types: Mapping[str, _Type], kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """A type's properties and navigation properties, with those of the types it is built on."""
    properties, leads, seen = set[str](), set[str](), set[str]()
    while kind in types and kind not in seen:
        seen.add(kind)
        own, own_leads, kind = types[kind]
        properties |= own
        leads |= own_leads
    return frozenset(properties), frozenset(leads)


def _read(schema: Any, types: dict[str, _Type], sets: dict[str, str], actions: dict[str, str]) -> None:
    for element in schema.iter():
        tag, name = _tag(element), element.attrib.get("Name", "")
        if tag == "EntityType":
            base = element.attrib.get("BaseType", "").rpartition(".")[2]
            types[name] = (_names(element, "Property"), _names(element, "NavigationProperty"), base)
        elif tag == "EntitySet":
            sets[name] = element.attrib.get("EntityType", "").rpartition(".")[2]
        elif tag == "FunctionImport":
            actions.setdefault(name.lower(), name)
        elif tag == "Action":
            actions[name.lower()] = f"{schema.attrib.get('Namespace', '')}.{name}"


def _tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _names(element: Any, tag: str) -> frozenset[str]:
    return frozenset(child.attrib.get("Name", "") for child in element if _tag(child) == tag)
