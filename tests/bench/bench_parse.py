"""Case 4: a page of 1000 billing documents from bytes to checked canonical rows, against json and a pydantic model per row."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from sync.pull_pipeline import TOGETHER_PAGES
from sync.systems.sap_s4.mapping import bills_of, map_billing, read_page
from sync.systems.sap_s4.settings import Settings
from sync.wire_together import together
from tests.bench.billing_pages import STEP, page
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

PAGES = 20
SETTINGS = Settings(
    base_url="http://127.0.0.1", region="EMEA", legal_entity="DE01", company_codes=("1010",), entity_by_company_code={"1010": "DE01"}
)
_STAMP = re.compile(r"^/Date\((-?\d+)(?:[+-]\d+)?\)/$")


def run(bench: Bench) -> Iterator[Ratio]:
    """Both arms on the same pages, after making sure that they understand the same of them."""
    bodies = [page(number, PAGES) for number in range(PAGES)]
    _agree(bodies[0])
    arms: dict[str, Callable[[], float]] = {
        "ours": lambda: seconds(lambda: _mapped(bodies)),
        "pydantic": lambda: seconds(lambda: [_rows(body) for body in bodies]),
    }
    for arm in arms.values():
        arm()
    found = rounds(max(bench.rounds, 5), arms)
    rate = PAGES * STEP / statistics.median(found["ours"])
    yield Ratio(
        "4 parse and validate", "Tidegate", "json+pydantic", faster(found["ours"], found["pydantic"]), 10.0, rate=rate, unit="records/s"
    )


def _mapped(bodies: list[bytes]) -> None:
    """As the pipeline maps pages that wait: some at a time, each read by itself."""
    for first in range(0, len(bodies), TOGETHER_PAGES):
        read = [read_page(body) for body in bodies[first : first + TOGETHER_PAGES]]
        together([rows for rows, _ in read], lambda rows: bills_of(rows, "v2", SETTINGS))


def _moment(value: Any) -> Any:
    found = _STAMP.match(value) if isinstance(value, str) else None
    return value if found is None else datetime.fromtimestamp(int(found[1]) / 1000, tz=UTC)


def _day(value: Any) -> Any:
    moment = _moment(value)
    return moment.date() if isinstance(moment, datetime) else moment


class Billing(BaseModel):
    """A billing document, row by row."""

    number: str = Field(alias="BillingDocument", min_length=1)
    category: str = Field(alias="SDDocumentCategory")
    issued: Annotated[date, BeforeValidator(_day)] = Field(alias="BillingDocumentDate")
    changed_at: Annotated[datetime, BeforeValidator(_moment)] = Field(alias="LastChangeDateTime")
    gross: Decimal = Field(alias="TotalGrossAmount", max_digits=19, decimal_places=4)
    tax: Decimal = Field(alias="TaxAmount", max_digits=19, decimal_places=4)
    currency: str = Field(alias="TransactionCurrency", pattern="^[A-Z]{3}$")
    payer: str = Field(alias="PayerParty", min_length=1)
    company: str = Field(alias="CompanyCode")
    document: str = Field(alias="AccountingDocument")
    reference: str = Field(alias="PaymentReference")
    terms: str = Field(alias="CustomerPaymentTerms")
    country: str = Field(alias="Country")
    block: str = Field(alias="DunningBlockingReason")
    is_cancelled: bool = Field(alias="BillingDocumentIsCancelled")
    posting: str = Field(alias="AccountingPostingStatus")


def _rows(body: bytes) -> list[Billing]:
    return [Billing.model_validate(record) for record in json.loads(body)["d"]["results"]]


def _agree(body: bytes) -> None:
    """Raises when the arms differ in what they read: a ratio between different work says nothing."""
    frame = map_billing(body, SETTINGS).frames["invoice"].sort("ordinal")
    ours = frame.select("number", "gross", "tax", "issue_date", "changed_at", "customer_key").rows()
    theirs = [(row.number, row.gross, row.tax, row.issued, row.changed_at, row.payer) for row in _rows(body)]
    if ours != theirs:
        raise AssertionError("the two arms read different things from the same page")
