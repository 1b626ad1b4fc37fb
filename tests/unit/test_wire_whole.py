"""The fast road into a JSON page takes what is beyond doubt and leaves everything else to the slow one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.wire_frames import decode
from sync.wire_whole import whole

DECODER = msgspec.json.Decoder()
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_RECORDS = st.dictionaries(st.text(max_size=4), _VALUES, max_size=5)


@given(st.lists(_RECORDS, min_size=1, max_size=5), st.booleans())
def test_it_reads_what_was_written(records: list[dict[str, Any]], ascii_only: bool) -> None:
    """Where the fast road answers, its records are those that were sent."""
    sent = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in records]
    found = whole(sent, DECODER)
    assert found is None or found == records


@given(st.lists(_RECORDS, min_size=1, max_size=4), st.data())
def test_a_key_that_stands_twice_never_passes(records: list[dict[str, Any]], data: st.DataObject) -> None:
    """A twin anywhere on the page, with blanks, colons and escapes around it, sends the page to the slow road, which sets it apart."""
    at = data.draw(st.integers(0, len(records) - 1))
    text = data.draw(st.text(max_size=6).map(json.dumps))
    blank = data.draw(st.sampled_from(["", " ", "\t", "\n", "  "]))
    twin = f'{{"k"{blank}:{text},"n":{{"\\u003a":":","k"{blank}:1}},"k":"\\":"}}'
    sent = [json.dumps(record).encode() for record in records]
    sent[at] = twin.encode()
    assert whole(sent, DECODER) is None
    assert at in decode(sent).broken


@pytest.mark.parametrize("record", [b"1", b"[1]", b"null", b'{"a":NaN}', b'{"a":"\\u0000"}', b'{"a":"\xff"}', b"", b"{},{}", b'{"a":1'])
def test_what_is_no_sound_record_goes_the_slow_road(record: bytes) -> None:
    """No object, no strict JSON, NUL, bytes that are no UTF-8, two records in the place of one."""
    assert whole([b'{"a":1}', record], DECODER) is None
    assert list(decode([b'{"a":1}', record]).broken) == [1]
