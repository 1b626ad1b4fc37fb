"""JSON pages into frames: numbers to the last digit, broken records apart, and one reject per record by the first rule it breaks."""

from __future__ import annotations

import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import DataError
from sync.ports import REJECT_SCHEMA
from sync.strict_json import NotStrict, TwinKey, loads
from sync.wire_frames import (
    Subject,
    all_rejects,
    broken_rejects,
    decode,
    drifted,
    fields_seen,
    known_currency,
    readable,
    required,
    settle,
    split,
    text_frame,
    to_amount,
    to_date,
    to_number,
    to_utc,
)

AMOUNTS = st.decimals(min_value=Decimal("-99999999999999.9999"), max_value=Decimal("99999999999999.9999"), places=4)


def frame_of(*records: str, **columns: str) -> pl.DataFrame:
    """The text frame of a page of these records."""
    body = ('{"records":[' + ",".join(records) + "]}").encode()
    return text_frame(decode(split(body, "records").records), columns)


@given(st.lists(AMOUNTS, min_size=1, max_size=20))
def test_a_json_number_is_an_amount_to_the_last_digit(amounts: list[Decimal]) -> None:
    """No amount goes through a float on its way from the page's text to the frame."""
    frame = frame_of(*(f'{{"a": {amount:f}}}' for amount in amounts), a="a").select(to_amount("a"))
    assert frame["a"].to_list() == amounts


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1.0E7", Decimal(10_000_000)), ("-2.5e-1", Decimal("-0.25")), ("0", Decimal(0)), ("-0.0", Decimal(0)), ('"12.30"', Decimal("12.30")),
     ("1e400", None), ("1e-9", None), ("0.00001", None), ("123456789012345678901", None), ('"12,30"', None), ('"NaN"', None), ("true", None),
     ('{"value": 1}', None), ("null", None)],
)  # fmt: skip
def test_an_amount_is_exact_or_none(text: str, amount: Decimal | None) -> None:
    """Float notation is made plain; what numeric(19,4) can't hold exactly is no amount."""
    frame = frame_of(f'{{"a": {text}}}', a="a").select(to_amount("a"))
    assert frame["a"].to_list() == [amount]


@pytest.mark.parametrize(
    "record",
    ['{"a": NaN}', '{"a": -Infinity}', '{"a": 1, "a": 1}', '{"n": {"a": 1, "a": 2}, "b": 1}', '{"a" : 1, "b":2, "a" : 3}', "null", '"text"', "[1]",
     "5", '{"a": "\\u0000"}', '{"a": "\\ud800"}'],
)  # fmt: skip
def test_a_broken_record_costs_only_itself(record: str) -> None:
    """A record that can't be believed becomes a malformed_record with its bytes; the others keep their ordinals."""
    rows = decode(split(f'{{"records":[{{"a": 1}},{record},{{"a": 3}}]}}'.encode(), "records").records)
    assert (rows.ordinals, list(rows.broken), rows.total) == ([0, 2], [1], 3)
    rejects = broken_rejects(rows, "invoice")
    assert rejects.schema == pl.Schema(REJECT_SCHEMA)
    assert rejects["cause"].to_list() == ["malformed_record"]
    assert "record" in json.loads(rejects["evidence"][0])


@pytest.mark.parametrize(
    "record", ['{"a\\":b": 1, "c": "x\\":y"}', '{"a" : 1, "b" :2}', '{"a": "x\\\\"}', '{\n  "a": 1,\n  "b": {"a": 1}\n}']
)
def test_an_odd_but_sound_record_is_believed(record: str) -> None:
    """Quotes in keys, blanks before colons and the same key in another object are no twins."""
    assert decode(split(f'{{"records":[{record}]}}'.encode(), "records").records).broken == {}


def test_bytes_that_are_no_utf_8_cost_only_their_record() -> None:
    """One record in another encoding does not take its page with it."""
    rows = decode(split(b'{"records":[{"a":"\xe4"},{"a":"ok"}]}', "records").records)
    assert (rows.ordinals, list(rows.broken)) == ([1], [0])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"records":5}', b'{"other":[]}', b"<html>", b'{"records":[{"a":1},', b'{"records":[NaN,']
)
def test_a_page_that_is_none_is_refused_with_its_beginning(body: bytes) -> None:
    """What is no page of records can't be believed as a whole."""
    with pytest.raises(DataError) as refused:
        split(body, "records")
    assert refused.value.cause == "file_unreadable"
    assert "begins" in refused.value.evidence


def test_records_are_found_under_a_path_with_what_stands_beside_them() -> None:
    """The path leads to the array; its neighbours are the page's own words, numbers exact."""
    taken = split(b'{"d":{"results":[{"a":1}],"__count":"7","sum":1.10}}', "d", "results")
    assert taken.beside == {"__count": "7", "sum": Decimal("1.10")}
    salvaged = split(b'{"d" : {"sum": 1.10, "results": [ {"a": NaN} , {"a": 1} ], "x": [1, {"y": 2}]}}', "d", "results")
    assert [bytes(record) for record in salvaged.records] == [b'{"a": NaN}', b'{"a": 1}']
    assert salvaged.beside == {"sum": Decimal("1.10"), "x": [1, {"y": 2}]}


def test_text_columns_follow_paths_and_say_nothing_for_what_is_absent() -> None:
    """Dots go into objects; absent and null are null, flags and numbers are their text, objects their JSON."""
    frame = frame_of('{"a": {"b": {"c": "x"}}, "f": true}', '{"a": null, "f": 12}', '{"a": "plain", "f": {"g": 1}}', c="a.b.c", f="f")
    assert frame["c"].to_list() == ["x", None, None]
    assert frame["f"].to_list() == ["true", "12", '{"g":1}']


def test_moments_need_their_offset_and_dates_must_exist() -> None:
    """A naive moment names no instant, and there is no thirtieth of February."""
    stamps = [
        "2026-05-01T07:25:37.000+0000",
        "2026-05-01T09:25:37+02:00",
        "2026-05-01T07:25:37Z",
        "2026-05-01T07:25:37",
        "2026-05-01T25:00:00Z",
    ]
    frame = pl.DataFrame({"t": stamps, "d": ["2026-02-28", "2026-02-30", "28.02.2026", "", None]}).select(to_utc("t"), to_date("d"))
    assert [None if t is None else t.isoformat() for t in frame["t"]] == ["2026-05-01T07:25:37+00:00"] * 3 + [None] * 2
    assert frame["d"].is_null().to_list() == [False, True, True, True, True]
    assert pl.DataFrame({"n": ["50.0", "1e3", "x"]}).select(to_number("n"))["n"].to_list() == [Decimal("50"), None, None]


def test_a_record_is_rejected_once_by_the_first_rule_it_breaks() -> None:
    """One reject each, with key, worth, currency and the values that show why; the good ones go on untouched."""
    frame = pl.DataFrame(
        {
            "ordinal": [0, 1, 2, 3, 4],
            "key": ["k0", None, "k2", "k3", "k4"],
            "said": ["1.00", "x", "x", "1.001", "2.00"],
            "cur": ["EUR", "EUR", "EUR", "EUR", "ZZZ"],
        }
    ).with_columns(amount=to_amount("said"))
    rules = [required("key", "Id"), readable("said", "amount", "bad_amount", "Amount"), *known_currency("amount", "cur", "Currency")]
    good, bad = settle(frame, rules, Subject("invoice", "key", None, "amount", "cur"))
    assert good["ordinal"].to_list() == [0]
    assert bad.schema == pl.Schema(REJECT_SCHEMA)
    assert list(zip(bad["ordinal"], bad["cause"], bad["field"], strict=True)) == [
        (1, "missing_field", "Id"),
        (2, "bad_amount", "Amount"),
        (3, "bad_currency", "Currency"),
        (4, "bad_currency", "Currency"),
    ]
    assert json.loads(bad["evidence"][1]) == {"key": "k2", "said": "x", "cur": "EUR"}
    assert all_rejects(bad, bad)["ordinal"].to_list() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_drift_names_the_field_that_is_gone_or_has_become_an_object() -> None:
    """A promised field that is absent, and a plain one that has become an object, are drift; a null is not."""
    rows = decode(split(b'{"records":[{"a":1,"b":null},{"a":{"x":1},"b":2},{"a":1}]}', "records").records)
    rules = drifted(rows, ["a"], ["a", "b"])
    assert [(rule.field, rule.message) for rule in rules] == [("a", "a has become an object"), ("b", "b is gone")]
    assert drifted(decode(split(b'{"records":[{"a":null}]}', "records").records), ["a"], ["a"]) == []


def test_fields_seen_names_kinds() -> None:
    """Kinds are told from values, and a null says nothing where another record says more."""
    rows = decode(split(b'{"records":[{"a":null,"n":1.5,"o":{},"l":[]},{"a":"x","f":true,"z":null}]}', "records").records)
    assert fields_seen(rows) == {"a": "text", "n": "number", "o": "object", "l": "list", "f": "flag", "z": "null"}


def test_strict_json_refuses_what_python_would_let_pass() -> None:
    """Twins and constants are refused, floats keep their digits."""
    assert loads('{"a": 1.10}') == {"a": Decimal("1.10")}
    with pytest.raises(TwinKey):
        loads('{"a": 1, "a": 2}')
    for text in ("NaN", "[Infinity]", "{", b"\xff", "[" * 100_000):
        with pytest.raises(NotStrict):
            loads(text)
