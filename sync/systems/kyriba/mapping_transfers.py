"""Payment transfers in canonical words: what was asked for, and how far it has come. Pure.

The answer's complete description is not public: what it is known to hold has fixed names here, the rest is looked for under the names
that are likely, and `transfer_fields` names the right ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from sync.canonical.contracts import OutgoingPayment
from sync.ports import Mapped, Page
from sync.systems.kyriba.columns import asked, companies, double_amount, entity, finish, moment, plain_code, region
from sync.systems.kyriba.settings import Settings
from sync.wire_frames import (
    Rows,
    Rule,
    Subject,
    blank_to_null,
    drifted,
    known_currency,
    readable,
    required,
    text_frame,
    to_date,
)

STATUSES = {
    "REGISTERED": "requested", "TO_BE_APPROVED": "requested", "PENDING_APPROVAL": "requested", "IN_APPROVAL": "requested",
    "APPROVED": "approved", "VALIDATED": "approved", "REMITTED": "approved",
    "REJECTED": "rejected", "REFUSED": "rejected", "CANCELLED": "rejected", "DELETED": "rejected",
    "TRANSMITTED": "executed", "EXECUTED": "executed", "PROCESSED": "executed", "SETTLED": "executed",
    "BANK_REJECTED": "failed", "FAILED": "failed", "ERROR": "failed", "RETURNED": "failed",
}  # fmt: skip
REMITTANCE_STATUSES = {
    "CONSTITUTED": "approved", "GENERATED": "approved", "TO_BE_MODIFIED": "requested", "TO_BE_DELETED": "rejected",
    "PUSHED_TO_COMMUNICATION_CHANNEL": "approved", "TRANSMITTED": "executed",
}  # fmt: skip
"""A transfer is batched into a remittance, whose way to the bank is also the transfer's."""
LIKELY: dict[str, tuple[str, ...]] = {
    "amount": ("amount.value", "amount.amount", "amount", "transactionAmount.value", "transactionAmount.amount", "transactionAmount"),
    "currency": ("amount.currency.code", "amount.currency", "currency.code", "currency", "transactionAmount.currency.code",
                 "transactionCurrency.code", "transactionCurrency"),
    "due_date": ("valueDate", "transactionDate", "date.valueDate", "date.transactionDate", "executionDate"),
    "payee": ("counterparty.name", "beneficiary.name", "thirdParty.name", "thirdParty.description", "counterparty.code", "thirdParty.code",
              "beneficiary.code"),
    "account": ("debitAccount.code", "account.code", "debitingAccount.code", "debitAccount", "debitingAccount"),
    "company": ("payor.company.code", "company.code", "payor.code"),
    "requester": ("createdBy.code", "createdBy", "creationUser.code", "creationUser"),
    "approvals": ("approvals", "numberOfApprovals"),
    "updated": ("updateDateTime", "date.updateDateTime", "statusDateTime", "updateDate"),
}  # fmt: skip
"""Our column -> where it may stand in their record, the likeliest first; an object is no value, so its plain form comes after."""
_KNOWN = {
    "uuid": "uuid", "number": "transactionNumber", "reference": "reference", "status_code": "status", "next_action": "nextAction",
    "remittance_status": "remittance.status",
}  # fmt: skip
_FINAL = ("rejected", "executed", "failed")


def transfers(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """A page of transfers. One without a stamp of its own has the day of asking as its version, like everything that is only listed."""
    when, listed = asked(page), companies(page)
    paths = _KNOWN | {f"{column}_{n}": path for column in LIKELY for n, path in enumerate(_paths(column, settings))}
    frame = text_frame(rows, paths).with_columns(
        source_key=pl.coalesce(blank_to_null("uuid"), blank_to_null("number")),
        **{f"{column}_said": pl.coalesce(*_values(column, settings)) for column in LIKELY},
    )
    frame = frame.with_columns(
        currency=plain_code("currency_said"),
        amount=double_amount("amount_said"),
        due_date=to_date("due_date_said"),
        stamp=moment("updated_said"),
        payee=pl.col("payee_said"),
        requester=pl.col("requester_said"),
        approvals=pl.col("approvals_said").cast(pl.Int64, strict=False),
        bank_account=pl.col("account_said"),
        own_status=_status("status_code", STATUSES | settings.transfer_statuses),
        batch_status=_status("remittance_status", REMITTANCE_STATUSES | settings.transfer_statuses),
        legal_entity=entity(
            pl.coalesce("company_said", pl.col("account_said").replace_strict(listed, default=None, return_dtype=pl.String)), settings
        ),
    ).with_columns(
        status=pl.when(pl.col("own_status").is_in(_FINAL)).then("own_status").otherwise(pl.coalesce("batch_status", "own_status")),
        changed_at=pl.coalesce("stamp", pl.lit(when).dt.convert_time_zone("UTC")),
        source_version=pl.coalesce(pl.col("stamp").dt.epoch("ms"), pl.lit(when.date().toordinal(), pl.Int64)),
        is_deleted=pl.lit(value=False),
        region=region(settings),
    )
    own = ("payee", "amount", "currency", "due_date", "requester", "approvals", "status", "bank_account")
    promised = ("uuid", "status") if "uuid" in rows.members() else ("status",)  # under its number alone it would be another transfer
    rules = [*drifted(rows, ("uuid", "reference", "status"), promised), *_rules()]
    return finish(rows, frame, rules, Subject(OutgoingPayment.entity, "source_key", None, "amount", "currency"), own=own, paths=_KNOWN)


def _paths(column: str, settings: Settings) -> tuple[str, ...]:
    named = settings.transfer_fields.get(column)
    return LIKELY[column] if named is None else (named,)


def _values(column: str, settings: Settings) -> list[pl.Expr]:
    """What the record says under each path; the text of an object or a list is no value."""
    plain = [blank_to_null(f"{column}_{n}") for n in range(len(_paths(column, settings)))]
    return [pl.when(~each.str.contains(r"^[\[{]")).then(each) for each in plain]


def _status(column: str, known: Mapping[str, str]) -> pl.Expr:
    return (
        pl.col(column)
        .str.to_uppercase()
        .str.replace_all(" ", "_", literal=True)
        .replace_strict(known, default=None, return_dtype=pl.String)
    )


def _rules() -> list[Rule]:
    return [
        required("source_key", "uuid"),
        required("status_code", "status"),
        readable("status_code", "own_status", "bad_value", "status"),
        readable("remittance_status", "batch_status", "bad_value", "remittance.status"),
        Rule(
            "missing_field", "amount", pl.col("amount_said").is_null(), "the status names no amount; transfer_fields says where it stands"
        ),
        readable("amount_said", "amount", "bad_amount", "amount"),
        *known_currency("amount", "currency", "currency"),
        readable("due_date_said", "due_date", "bad_date", "valueDate"),
        readable("updated_said", "stamp", "bad_time", "updateDateTime"),
    ]
