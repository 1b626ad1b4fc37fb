"""The quickest road into a JSON page reads what the slower roads read, and leaves every doubt to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire_alike
from sync.wire_frames import decode, fields_seen, first_texts, split, text_frame

_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
_RECORD = st.fixed_dictionaries(
    {
        "a": _SCALARS,
        "b:": _SCALARS,
        "o": st.none() | st.fixed_dictionaries({"x": _SCALARS, "p": st.fixed_dictionaries({"y": _SCALARS})}),
        "l": st.fixed_dictionaries({"results": st.lists(st.fixed_dictionaries({"k": st.text(max_size=2)}), max_size=3)}),
        "s": st.lists(st.integers(0, 9), max_size=2),
    }
)
_PATHS = ("a", "b:", "o.x", "o.p.y", "o.absent", "l.results.k", "s", "a.b", "absent")


def _page(records: list[str]) -> bytes:
    return ('{"d":{"results":[' + ",".join(records) + "]}}").encode()


@given(st.lists(_RECORD, min_size=1, max_size=12))
def test_it_reads_what_the_slower_roads_read(records: list[dict[str, Any]]) -> None:
    """Columns, first texts and members are the same, whether the records are cut apart or not."""
    page = split(_page([json.dumps(record, separators=(",", ":"), ensure_ascii=False) for record in records]), "d", "results")
    quick, slow = decode(page.records), decode(list(page.records))
    assert slow.alike is None
    assert (quick.total, list(quick.ordinals), quick.sound) == (slow.total, slow.ordinals, slow.sound)
    assert text_frame(quick, _PATHS).equals(text_frame(slow, _PATHS))
    written = [[None if text is None else json.loads(text) for text in text_frame(rows, ("o",))["o"]] for rows in (quick, slow)]
    assert written[0] == written[1]
    assert first_texts(quick, "l.results", "k") == first_texts(slow, "l.results", "k")
    assert quick.members() == slow.members() == set(fields_seen(quick))


@given(st.lists(_RECORD, min_size=1, max_size=8), st.data())
def test_a_twin_never_passes(records: list[dict[str, Any]], data: st.DataObject) -> None:
    """A member that stands twice, at the top or within, with blanks or escapes, even in the place of another, is left to the slow road."""
    sent = [json.dumps(record, separators=(",", ":")) for record in records]
    blank = data.draw(st.sampled_from(["", " ", "\t", "\n", "  "]))
    twin = data.draw(
        st.sampled_from(
            [f'"a"{blank}:1', '"\\u0061":1', f'"l"{blank}:{{"results":[]}}', '"o":{"x":1,"x":2,"p":{"y":1}}', '"o":{"x":1,"x":2}']
        )
    )
    at = data.draw(st.integers(0, len(sent) - 1))
    sent[at] = sent[at][:-1] + "," + twin + "}"
    rows = decode(split(_page(sent), "d", "results").records)
    assert rows.alike is None
    assert at in rows.broken


@pytest.mark.parametrize(
    "records",
    [[], ["1"], ['{"a":1}', "null"], ['{"a":1}', '{"b":1}'], ['{"a":1}', '{"a":1,"b":1}'], ['{"a":"\\u0000"}'], ['{"a":"x\\":y"}'],
     ['{"a":null}'] * 6 + ['{"a":{"x":1}}'], ['{"a":1}', '{"a":1,"a":1}']],
)  # fmt: skip
def test_what_is_in_doubt_is_left_alone(records: list[str]) -> None:
    """Other members, other shapes, NUL, something that looks like a key in a text."""
    assert wire_alike.read(("[" + ",".join(records) + "]").encode(), str) is None


def test_numbers_keep_their_text() -> None:
    """An amount that is no text in the page goes through no float, and is seen as a number."""
    rows = decode(split(_page(['{"n":0.10}', '{"n":12345678901234567890.123456789}', '{"n":1.5e3}']), "d", "results").records)
    assert rows.alike is not None
    assert text_frame(rows, ("n",))["n"].to_list() == ["0.10", "12345678901234567890.123456789", "1500"]
    assert fields_seen(rows) == {"n": "number"}
