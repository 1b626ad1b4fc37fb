"""Pages mapped in one go are what each of them is by itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sync.ports import Mapped
from sync.systems.sap_s4.mapping import bills_of, map_billing, read_page
from sync.systems.sap_s4.settings import Settings
from sync.wire_together import together

_SETTINGS = Settings(
    base_url="https://erp", region="EMEA", legal_entity="DE01", company_codes=("1010",), entity_by_company_code={"1010": "DE01"}
)

_DAY = st.sampled_from(["/Date(1704067200000)/", "/Date(1704067200000+0060)/", None, "x"])
_RECORD = st.fixed_dictionaries(
    {
        "BillingDocument": st.sampled_from(["90000001", "90000002", "", None]),
        "SDDocumentCategory": st.sampled_from(["M", "O", "N"]),
        "BillingDocumentDate": _DAY,
        "LastChangeDateTime": st.sampled_from(["/Date(1704067200000+0000)/", "/Date(1704067200000)/", ""]),
        "TotalGrossAmount": st.sampled_from(["12.50", "1.234,5x", None, "-3"]),
        "TaxAmount": st.sampled_from(["1.00", "", None]),
        "TransactionCurrency": st.sampled_from(["EUR", "JPY", None]),
        "PayerParty": st.sampled_from(["101", "", None]),
        "SoldToParty": st.just("102"),
        "CompanyCode": st.sampled_from(["1010", "9999"]),
        "CustomerPaymentTerms": st.sampled_from(["NT30", "?", None]),
        "FixedValueDate": _DAY,
        "AdditionalValueDays": st.sampled_from(["0", "5", "99999999999", None]),
        "BillingDocumentIsCancelled": st.booleans(),
        "to_Item": st.fixed_dictionaries(
            {"results": st.lists(st.fixed_dictionaries({"SalesDocument": st.sampled_from(["7", ""])}), max_size=2)}
        ),
    }
)
_PAGE = st.lists(_RECORD, max_size=4) | st.lists(_RECORD | st.just({"BillingDocument": "1"}), max_size=3)


def _page(records: list[dict[str, Any]]) -> bytes:
    return json.dumps({"d": {"results": records}}, separators=(",", ":")).encode()


def _said(mapped: Mapped) -> tuple[Any, ...]:
    return (
        mapped.records,
        {entity: frame.rows(named=True) for entity, frame in mapped.frames.items()},
        {entity: frame.schema for entity, frame in mapped.frames.items()},
        mapped.rejects.rows(named=True),
        set(mapped.fields_seen),
    )


@settings(deadline=None)
@given(st.lists(_PAGE, min_size=1, max_size=4))
def test_together_is_as_alone(pages: list[list[dict[str, Any]]]) -> None:
    """Records, rejects with their words, types and fields: the same for every page, whatever its neighbours hold."""
    bodies = [_page(records) for records in pages]
    alone = [map_billing(body, _SETTINGS) for body in bodies]
    joined = together([read_page(body)[0] for body in bodies], lambda rows: bills_of(rows, "v2", _SETTINGS))
    assert [_said(one) for one in joined] == [_said(one) for one in alone]
