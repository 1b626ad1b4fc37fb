"""camt.052, 053 and 054 as they stand in the file: streamed, hardened, every version alike, with a namespace, any namespace or none."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml import etree

from sync.errors import DataError
from sync.statements.camt_parts import PROPRIETARY, STATUSES, Contradicted, balance, detail, entry, local, party_account, summary, text
from sync.statements.model import Detail, Kind, Sink, Statement, refuse
from sync.statements.reckoning import currency_of

_KINDS: dict[str, Kind] = {"Stmt": "statement", "Rpt": "report", "Ntfctn": "notification"}
_MESSAGES = {"Stmt": "camt.053", "Rpt": "camt.052", "Ntfctn": "camt.054"}
_SAMPLE = 50
_HEAD = 64
_NAMESPACE = re.compile(r"camt\.05[234]\.\d{3}\.\d{2}")
_PROLOG = (("<?", "?>"), ("<!--", "-->"))
_UTF8_MARK = b"\xef\xbb\xbf"
_DECLARATION = 200
_ENCODING = re.compile(
    rb"<\?xml[^>]*?(\s+encoding\s*=\s*[\"'](?:utf-?(?:16|32)\w*|ucs-?[24]|iso-10646-ucs-[24]|(?:us-)?ascii)[\"'])", re.IGNORECASE
)
_BOMS = ((_UTF8_MARK, "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def read(body: bytes, sink: Sink) -> None:
    """Every statement, report and notification of the document. Raises DataError (file_unreadable) with evidence: not well-formed,
    a DOCTYPE, none of the three messages.
    """
    body = _without_wrong_encoding(body.lstrip(b" \t\r\n").removeprefix(_UTF8_MARK).lstrip(b" \t\r\n"))
    if body[-1:] in (b"\0", b"\x1a") and b"\0" not in body[:_HEAD]:
        body = body.rstrip(b"\0\x1a \t\r\n")  # a transfer in blocks fills up the last one; in 16 bits a zero is half a sign
    _refuse_doctype(body)
    reader = _Reader(sink)
    try:
        reader.read(_elements(body))
    except etree.XMLSyntaxError as error:
        evidence: dict[str, object] = {"line": error.lineno, "parser": error.msg, "read_until": reader.place}
        raise DataError(f"the file is not well-formed XML: {error.msg}", cause="file_unreadable", evidence=evidence) from error
    if not reader.found:
        refuse("file_unreadable", "the XML holds no camt.052, 053 or 054 statement", head=repr(body[:120]))


def _without_wrong_encoding(body: bytes) -> bytes:
    """The document without an encoding that its declaration names and that its bytes show it not to be in: a program that wrote a text of
    16 bits to a file of 8 has left `utf-16` there. It is then UTF-8, of which ASCII is a part.
    """
    found = _ENCODING.match(body[:_DECLARATION])
    return body if found is None else body[: found.start(1)] + body[found.end(1) :]


def _refuse_doctype(body: bytes) -> None:
    """Before a parser sees it: what stands before the root element is read here, whatever its encoding."""
    encoding = next((name for mark, name in _BOMS if body.startswith(mark)), "utf-16-le" if body[1:2] == b"\0" else "utf-8")
    if body[:1] == b"\0":
        encoding = "utf-16-be"
    at = 0
    while (at := body.find("<".encode(encoding), at)) >= 0:
        rest = body[at : at + 20].decode(encoding, "replace")
        if rest.upper().startswith("<!D"):
            refuse("file_unreadable", "the file carries a DOCTYPE, which no bank statement needs", head=repr(rest))
        close = next((end for start, end in _PROLOG if rest.startswith(start)), None)
        if close is None:
            return
        at = body.find(close.encode(encoding), at)
        if at < 0:
            return


def _elements(body: bytes) -> Iterator[Any]:
    """The ends of the elements worth reading; entities are never resolved, nothing is fetched."""
    wanted = ("{*}Ntry", "{*}TxDtls", "{*}GrpHdr", *(f"{{*}}{name}" for name in _KINDS))
    events = etree.iterparse(
        io.BytesIO(body), events=("end",), tag=wanted, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    for _, element in events:
        if element.getroottree().docinfo.doctype:
            refuse("file_unreadable", "the file carries a DOCTYPE, which no bank statement needs")
        yield element


class _Reader:
    """Takes elements as they end. What stands before an entry is read when the entry comes, and then let go of."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._owner: Any = None
        self._statement = Statement("")
        self._details: list[Detail] = []
        self._entries = 0
        self._made: str | None = None
        self.found = 0

    @property
    def place(self) -> dict[str, object]:
        """How far it came: evidence for a file that breaks off."""
        return {"statements": self.found, "statement": self._statement.id, "entries": self._entries}

    def read(self, elements: Iterable[Any]) -> None:
        for element in elements:
            name = local(element.tag)
            owner = _owner_of(element, name)
            if owner is None or (owner is not self._owner and _is_enclosed(owner)):
                continue  # called like something of ours in an envelope of the bank's own
            if name == "GrpHdr":
                self._made = text(element, "CreDtTm")
            elif name in _KINDS:
                self._open(element)
                self._head(element, element)
                self._sink.end()
                self._owner = None
                element.clear()
            elif name == "TxDtls":
                self._detail(element)
            elif name == "Ntry":
                self._open(owner)
                self._entry(element)

    def _open(self, owner: Any) -> None:
        if self._owner is owner:
            return
        if self._owner is not None:
            refuse("file_unreadable", "a statement stands inside another statement", self._statement)
        self._owner = owner
        self.found += 1
        self._entries = 0
        name = local(owner.tag)
        version = _NAMESPACE.search(str(owner.tag))
        self._statement = Statement(version[0] if version else _MESSAGES[name], _KINDS[name], created=self._made)
        self._sink.begin(self._statement)

    def _detail(self, element: Any) -> None:
        if self._entries < _SAMPLE:
            self._statement.elements.update(_names(element))
        self._details.append(detail(element))
        element.clear()
        # In version 01 the entry's own amount stands before its transactions: only those that were read may go.
        before = element.getprevious()
        if before is not None and local(before.tag) == "TxDtls":
            element.getparent().remove(before)

    def _entry(self, element: Any) -> None:
        self._head(self._owner, element)
        if self._entries < _SAMPLE:
            self._statement.elements.update(_names(element))
        try:
            found = entry(element, self._details, currency_of(self._statement))
        except Contradicted as error:
            words = f"entry {self._entries + 1} says its {error} twice, and not alike"
            refuse("bad_value", words, self._statement, element=str(error))
        if found.status and found.status != PROPRIETARY and found.status.upper() not in STATUSES:  # whether money moved is anyone's guess
            refuse("bad_value", f"entry {self._entries + 1} has a status of its own, {found.status}", self._statement, element="Sts")
        self._sink.entry(found)
        self._details = []
        self._entries += 1
        element.clear()
        while element.getprevious() is not None:
            del self._owner[0]

    def _head(self, owner: Any, until: Any) -> None:
        """Reads what the statement says of itself before `until`, as far as it was not read yet."""
        statement = self._statement
        for child in owner:
            if child is until:
                return
            name = local(child.tag)
            if name == "Ntry":
                continue
            statement.elements.update(_names(child))
            if name == "Id":
                statement.id = (child.text or "").strip()
            elif name in ("ElctrncSeqNb", "LglSeqNb"):
                if name == "ElctrncSeqNb" or statement.sequence is None:
                    statement.sequence = (child.text or "").strip() or None
            elif name == "CreDtTm":
                statement.created = (child.text or "").strip() or self._made
            elif name in ("StmtPgntn", "RptPgntn", "NtfctnPgntn"):
                number = text(child, "PgNb") or ""
                statement.page = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None
            elif name == "Acct":
                statement.iban, other = party_account(child)
                statement.account = statement.iban or other or ""
                statement.currency = text(child, "Ccy")
                statement.name = text(child, "Nm")
                statement.bank = text(child, "Svcr/FinInstnId/BICFI") or text(child, "Svcr/FinInstnId/BIC")
            elif name == "Bal":
                statement.balances.append(balance(child))
            elif name == "TxsSummry":
                statement.declared += summary(child)


def _owner_of(element: Any, name: str) -> Any:
    """The statement that an entry or a transaction belongs to by its place, or the element itself; None where it stands elsewhere."""
    if name not in ("Ntry", "TxDtls"):
        return element
    above = element.getparent()
    if name == "TxDtls":
        if above is not None and local(above.tag) == "NtryDtls":
            above = above.getparent()
        if above is None or local(above.tag) != "Ntry":
            return None
        above = above.getparent()
    return above if above is not None and local(above.tag) in _KINDS else None


def _is_enclosed(element: Any) -> bool:
    return any(local(each.tag) == "SplmtryData" for each in element.iterancestors())


def _names(element: Any) -> set[str]:
    return {local(each.tag) for each in element.iter(etree.Element)}
