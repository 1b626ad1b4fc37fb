"""An IDoc file in XML -> its table: every IDOC below the root, one after the other, with its segments as a tree. Pure and hardened."""

from __future__ import annotations

import io
from collections.abc import Iterator

from lxml import etree

from sync.systems.flat_files import idoc
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.idoc import Idoc, Segment
from sync.systems.flat_files.wire import Table, unreadable


def table(plain: bytes, kind: FileKind) -> Table:
    """The IDocs of the document. One that is no XML, has a DOCTYPE, is cut or holds no IDOC is refused; with `salvage`, what came whole
    before a cut is taken.
    """
    if not plain.strip():
        raise unreadable("the file is empty", bytes=len(plain))
    # Blank lines before the declaration and DOS's mark at the end come from the way of transfer, and no XML parser takes them.
    return idoc.table(_idocs(plain.lstrip(b" \t\r\n").rstrip(b"\x1a"), kind), kind)


def _idocs(plain: bytes, kind: FileKind) -> Iterator[Idoc]:
    found = 0
    try:
        parser = etree.iterparse(
            io.BytesIO(plain),
            events=("end",),
            tag="{*}IDOC",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        for _, element in parser:
            if not found and element.getroottree().docinfo.doctype:
                raise unreadable("the file has a DOCTYPE, which no IDoc has")
            found += 1
            yield _idoc(element)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        if not (kind.salvage and found):
            raise unreadable(f"the file is no whole XML: {error.msg}", line=error.lineno) from error
        yield Idoc(Segment("IDOC"), "the file was cut inside this IDoc")
    if not found:
        raise unreadable("the file holds no IDOC")


def _idoc(element: etree._Element) -> Idoc:
    doubled: list[str] = []
    found = Idoc(_segment(element, doubled))
    if doubled:
        found.wrong = f"the field {doubled[0]} stands twice in its segment"
    return found


def _segment(element: etree._Element, doubled: list[str]) -> Segment:
    """The segment of an element: elements with elements in them, or with the attribute SEGMENT, are segments; the others are fields."""
    found = Segment(_name(element))
    for child in element.iterchildren(tag=etree.Element):
        if len(child) or "SEGMENT" in child.attrib:
            found.children.append(_segment(child, doubled))
            continue
        name, text = _name(child), (child.text or "").strip()
        if name in found.fields:
            doubled.append(f"{found.name}.{name}")
        if text:
            found.fields[name] = text
    return found


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
