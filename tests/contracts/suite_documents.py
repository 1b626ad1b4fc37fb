"""Documents whose values are not what was agreed, the same for every adapter that reads files: each value of a document is gone, another
text, no number, a number beyond any, or holds a NUL.

An author gives the case of tests/contracts/suite.py whose files go through `rewrite` before they are where they are read. Whatever becomes
of a document: it lands with the worth it has or is refused with a known cause, whole or record by record; the documents around it land.
No error is foreign.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from decimal import Decimal

import pytest

from sync.canonical.causes import CAUSES
from tests.contracts.suite import DAY, MINUTE, AdapterCase
from tests.contracts.suite_drift import read

_XML = re.compile(rb'(?<=>)[^<>\s][^<>]*(?=<)|(?<==")[^"]*(?=")')
_CELL = re.compile(rb"[^;,:/{}?\r\n]+")
CHANGES = (b"", b"n/a", b"NaN", b"9" * 60, b"a\x00b")


class DocumentCase(AdapterCase):
    """A case of files; `records` of them, in the order in which they were put, stand in one."""

    records = 1
    at_once = True
    """Whether it holds many documents; else it is one that is read whole each time."""

    nothing: tuple[bytes, ...] = ()
    """What says in its documents that there is no value."""

    change: Callable[[bytes], bytes] | None = None

    def rewrite(self, body: bytes) -> bytes:
        """What a document becomes on its way, by the `change` that a test has named."""
        return body if self.change is None else self.change(body)


def values(body: bytes) -> list[re.Match[bytes]]:
    """Where the values of a document stand: texts and attributes of XML, cells of anything else."""
    return list((_XML if body.lstrip()[:1] == b"<" else _CELL).finditer(body))


def changed(body: bytes, place: int, value: bytes) -> bytes:
    """The document with another value at a place."""
    found = values(body)[place]
    return body[: found.start()] + value + body[found.end() :]


class DocumentSuite:
    """Give it a `documents` fixture; the test below then runs."""

    @pytest.fixture
    def documents(self) -> DocumentCase:
        raise NotImplementedError("give the subclass a documents fixture")

    def test_a_value_that_is_not_what_it_was_costs_its_document_at_most(self, documents: DocumentCase) -> None:
        """Every change of every value, each in a document of its own, all in one pull, and sound documents after them; or one by one."""
        if documents.at_once:
            self._at_once(documents)
        else:
            self._one_by_one(documents)

    def _one_by_one(self, case: DocumentCase) -> None:
        seen: list[bytes] = []
        for n in range(1, 4):
            case.put(f"k{n}", n, case.now - DAY)
        truth = {case.source_key(f"k{n}"): Decimal(n) for n in range(1, 4)}
        case.change = lambda body: seen.append(body) or body  # type: ignore[func-returns-value]
        assert read(case).landed >= len(truth)
        for place, value in itertools.product(range(len(values(seen[0]))), CHANGES):
            case.change = functools.partial(changed, place=place, value=value)
            done = read(case)
            held = {key: case.worth(row) for key, row in done.store.live(case.entity).items()}
            told = done.error is not None or bool(done.refused) or bool(done.store.rejects)
            assert set(held.values()) <= set(truth.values()), (place, value)
            assert told or value in case.nothing or len(held) == len(truth), (place, value, held)
            case.change = None
            healed = read(case, done.store, done.cursor)
            found = {key: case.worth(row) for key, row in healed.store.live(case.entity).items()}
            assert healed.error is None
            assert truth.items() <= found.items(), (place, value)

    def _at_once(self, case: DocumentCase) -> None:
        seen = list[bytes]()
        numbers = itertools.count(1)

        def put(change: Callable[[bytes], bytes] | None = None) -> None:
            case.change = change
            for _ in range(case.records):
                n = next(numbers)
                case.put(f"k{n}", case.base + n, case.now - DAY + n * MINUTE / 10)
            case.source().close()  # files are written when a source is opened

        def look(body: bytes) -> bytes:
            seen.append(body)
            return body

        put(look)
        changes = list(itertools.product(range(len(values(seen[0]))), CHANGES))
        for place, value in changes:
            put(functools.partial(changed, place=place, value=value))
        put()
        done = read(case)
        assert done.error is None, done.error
        total = next(numbers) - 1
        truth = {case.source_key(f"k{n}"): Decimal(case.base + n) for n in range(1, total + 1)}
        held = {key: case.worth(row) for key, row in done.store.live(case.entity).items()}
        assert set(held.values()) <= set(truth.values()), "a worth that was never told"
        assert {key: worth for key, worth in held.items() if truth.get(key, worth) != worth} == {}
        sound = {case.source_key(f"k{n}") for n in (*range(1, case.records + 1), *range(total - case.records + 1, total + 1))}
        assert sound <= held.keys(), "a sound document was lost"
        causes = {error.cause for error in done.refused} | {reject["cause"] for reject in done.store.rejects}
        assert causes
        assert causes <= CAUSES.keys()
        assert all(error.detail for error in done.refused)
        assert total - done.landed <= case.records * len(done.refused) + len(done.store.rejects)
