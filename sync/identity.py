"""Which Salesforce account is which SAP customer is which bank counterparty: set-based matching into parties.

An ERP customer is a party of its own per region and number. A CRM account is matched by the ERP number it carries, else by name and
country if that fits exactly one party; one that was merged into another follows it. A bank counterparty is whose invoice it names when it pays. What fits more than one party is
left unlinked and becomes an exception; what a person confirmed is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import sqlalchemy as sa

from db.engine import Writing
from sync import merges, quarantine
from sync.connections import Landscape
from sync.promotion_batch import REJECTED
from sync.systems.registry import names_of

LEGAL_FORMS = "gmbh|ag|kg|se|ltd|limited|plc|inc|incorporated|llc|corp|corporation|co|company|sa|sarl|sas|spa|srl|bv|nv|kk|pte|pty|de|cv"
_PLAIN = "translate(lower({0}), 'äöüßáàâãéèêíìîóòôõúùûñç', 'aousaaaaeeeiiioooouuunc')"
_NAME = rf"regexp_replace(regexp_replace({_PLAIN}, '\m({LEGAL_FORMS})\M\.?', '', 'g'), '[^a-z0-9]+', '', 'g')"
"""A company's name without legal form, accents, case and punctuation, as SQL over a column."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What one resolution did."""

    parties: int = 0
    links: int = 0
    ambiguous: int = 0
    bank_links: int = 0


def resolve(conn: Writing, landscape: Landscape, *, now: datetime) -> Resolved:
    """Links every record that can be linked and is not; `now` is business time. One resolution runs at a time."""
    crm, banks = names_of(landscape, "crm"), names_of(landscape, "bank", "treasury")
    conn.execute(sa.text("select pg_advisory_xact_lock(hashtext('canonical.identity_link'))"))
    parties, links = _erp(conn, [*crm, *banks], now)
    _forget_outdated(conn, crm)
    by_number = _crm_by_number(conn, crm, now)
    by_name = _crm_by_name(conn, crm, now)
    by_merge = merges.follow(conn, crm, mark=_MARK, now=now)
    ambiguous = _ambiguous(conn, landscape, crm, now)
    _close_settled(conn, now)
    bank_links = _banks(conn, banks, now)
    _payers(conn, banks)
    return Resolved(parties, links + by_number + by_name + by_merge, ambiguous, bank_links)


def _erp(conn: Writing, not_erp: Sequence[str], now: datetime) -> tuple[int, int]:
    """Every ERP customer has a party; one number in one region is one party whichever ledger names it."""
    values = {"others": list(not_erp), "now": now}
    unlinked = (
        "canonical.customer c left join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key"
        " where l.source is null and not c.is_deleted and c.source <> all(:others)"
    )
    parties = conn.execute(
        sa.text(
            "insert into canonical.party (name, number, country, region, recorded_at)"
            " select distinct on (c.region, coalesce(c.number, c.source_key)) coalesce(c.name, c.number, c.source_key),"
            f" coalesce(c.number, c.source_key), c.country, c.region, :now from {unlinked}"
            " and not exists (select from canonical.party p where p.region = c.region and p.number = coalesce(c.number, c.source_key))"
            " order by c.region, coalesce(c.number, c.source_key), c.source"
        ),
        values,
    ).rowcount
    links = conn.execute(
        sa.text(
            "with made as (insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, evidence,"
            " recorded_at) select c.source, c.source_key, p.id, c.region, 'erp_customer', 1,"
            " array['number:' || coalesce(c.number, c.source_key)], :now"
            " from canonical.customer c join canonical.party p on p.region = c.region and p.number = coalesce(c.number, c.source_key)"
            " left join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key"
            " where l.source is null and not c.is_deleted and c.source <> all(:others) returning source, source_key)"
            f" {_MARK}"
        ),
        values,
    ).rowcount
    conn.execute(
        sa.text(
            "update canonical.party p set name = c.name, country = coalesce(c.country, p.country) from canonical.customer c"
            " join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key and l.matched_by = 'erp_customer'"
            " where p.id = l.party_id and c.name is not null and not c.is_deleted"
            " and (p.name, p.country) is distinct from (c.name, coalesce(c.country, p.country))"
        )
    )
    conn.execute(
        sa.text(
            "update canonical.party p set parent_id = above.party_id from canonical.customer c"
            " join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key and l.matched_by = 'erp_customer'"
            " join canonical.identity_link above on above.source = c.source and above.source_key = c.parent_key"
            " where p.id = l.party_id and p.id <> above.party_id and p.parent_id is distinct from above.party_id"
        )
    )
    return parties, links


# A new link moves facts from a customer to a party: its measures are touched.
_MARK = "insert into measure.touched (kind, source, key, marked_at) select 'customer', source, source_key, :now from made"


def _forget_outdated(conn: Writing, crm: Sequence[str]) -> None:
    """A machine's link goes when the account now carries another ERP number than the one it was linked by."""
    conn.execute(
        sa.text(
            "delete from canonical.identity_link l using canonical.customer c, canonical.party p"
            " where l.source = c.source and l.source_key = c.source_key and p.id = l.party_id and l.source = any(:crm)"
            " and l.confirmed_by is null and not (l.matched_by = 'merged' and c.is_deleted) and coalesce(c.erp_number, '') <> ''"
            " and ltrim(c.erp_number, '0') is distinct from ltrim(p.number, '0')"
        ),
        {"crm": list(crm)},
    )


_UNLINKED_CRM = (
    "select c.source, c.source_key, c.region, c.name, c.country, c.erp_number, c.raw_record_id from canonical.customer c"
    " left join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key"
    " where l.source is null and not c.is_deleted and c.source = any(:crm)"
)
# Numbers may coincide across regions: the account's own region is asked first, then its country, then everywhere.
_BY_NUMBER = (
    f"select c.source, c.source_key, c.region, c.raw_record_id, p.id as party_id, p.name as party_name, p.region as party_region,"
    " case when p.region = c.region then 0 when p.country = c.country then 1 else 2 end as distance"
    f" from ({_UNLINKED_CRM} and coalesce(c.erp_number, '') <> '') c"
    " join canonical.party p on ltrim(p.number, '0') = ltrim(c.erp_number, '0')"
)
_BY_NAME = (
    "select c.source, c.source_key, c.region, c.raw_record_id, p.id as party_id, p.name as party_name, p.region as party_region,"
    f" 0 as distance from ({_UNLINKED_CRM} and coalesce(c.erp_number, '') = '') c join canonical.party p"
    f" on p.country = c.country and {_NAME.format('p.name')} = {_NAME.format('c.name')} and {_NAME.format('c.name')} <> ''"
)
_NEAREST = "select *, rank() over (partition by source, source_key order by distance) as near from ({0}) found"


def _link(conn: Writing, candidates: str, crm: Sequence[str], *, how: str, confidence: str, now: datetime) -> int:
    """Links whoever has exactly one nearest candidate."""
    return conn.execute(
        sa.text(
            "with made as (insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, evidence,"
            f" recorded_at) select source, source_key, min(party_id), min(party_region), :how, {confidence},"
            f" array['party:' || min(party_name)], :now from ({_NEAREST.format(candidates)}) n where near = 1"
            " group by source, source_key having count(distinct party_id) = 1 returning source, source_key)"
            f" {_MARK}"
        ),
        {"crm": list(crm), "how": how, "now": now},
    ).rowcount


def _crm_by_number(conn: Writing, crm: Sequence[str], now: datetime) -> int:
    return _link(conn, _BY_NUMBER, crm, how="erp_number", confidence="1", now=now)


def _crm_by_name(conn: Writing, crm: Sequence[str], now: datetime) -> int:
    return _link(conn, _BY_NAME, crm, how="name_and_country", confidence="0.8", now=now)


def _ambiguous(conn: Writing, landscape: Landscape, crm: Sequence[str], now: datetime) -> int:
    """What fits several parties waits for a person, with the candidates as evidence."""
    count = 0
    for name in crm:
        found = conn.execute(
            sa.text(
                "select source_key, min(region) as region, min(raw_record_id) as raw_record_id,"
                " jsonb_build_object('candidates', jsonb_agg(distinct jsonb_build_object('party', party_id, 'name', party_name,"
                f" 'region', party_region)))::text as evidence from ({_NEAREST.format(f'{_BY_NUMBER} union all {_BY_NAME}')}) n"
                " where near = 1 group by source_key having count(distinct party_id) > 1"
            ),
            {"crm": [name]},
        ).all()
        for region in sorted({row.region for row in found}):
            rows = [row for row in found if row.region == region]
            place = quarantine.Place(name, "identity", region, landscape.reporting_currency)
            fixed = {
                "entity": "customer",
                "cause": "ambiguous_identity",
                "field": "party",
                "message": "more than one party fits this account",
            }
            frame = pl.DataFrame(
                [
                    {**dict.fromkeys(REJECTED), **fixed, "source_key": row.source_key, "customer_key": row.source_key,
                     "evidence": row.evidence, "raw_record_id": row.raw_record_id}
                    for row in rows
                ],
                schema=REJECTED,
            )  # fmt: skip
            count += quarantine.add(conn, place, frame, now=now)
    return count


def _close_settled(conn: Writing, now: datetime) -> None:
    """An ambiguity that a link has settled, by a person or by a corrected number, is resolved."""
    conn.execute(
        sa.text(
            "update process.exception e set state = 'resolved', resolved_at = :now, resolution = 'the customer was linked'"
            " from canonical.identity_link l where e.cause = 'ambiguous_identity' and e.state not in ('resolved', 'dismissed')"
            " and l.source = e.connection and l.source_key = e.source_key"
        ),
        {"now": now},
    )


COUNTERPARTY = "coalesce(nullif(t.counterparty_account, ''), 'name:' || nullif({}, ''))".format(_NAME.format("t.counterparty_name"))
"""A bank's counterparty as a key: its account, else its plain name."""

_NAMED = f"""
select distinct t.source, {COUNTERPARTY} as source_key, l.party_id, l.region
from canonical.bank_transaction t
cross join lateral (
  select t.structured_reference as word where t.structured_reference is not null
  union select t.end_to_end_id where t.end_to_end_id is not null
  union select regexp_split_to_table(coalesce(t.remittance, ''), '[^A-Za-z0-9_-]+')
) w
join canonical.invoice i on (i.number = w.word or i.payment_reference = w.word)
join canonical.identity_link l on l.source = i.source and l.source_key = i.customer_key
where t.source = any(:banks) and t.recorded_at > cast(:now as timestamptz) - interval '30 days' and t.amount > 0 and length(w.word) >= 5 and not t.is_deleted
  and not exists (select from canonical.identity_link k where k.source = t.source and k.source_key = {COUNTERPARTY})
"""


def _banks(conn: Writing, banks: Sequence[str], now: datetime) -> int:
    """A counterparty is the one party whose invoices it names; one that pays for several stays unlinked, as a payer for others."""
    return conn.execute(
        sa.text(
            "insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, evidence, recorded_at)"
            " select source, source_key, min(party_id), min(region), 'invoice_named_in_payment', 0.9, array['invoice reference'], :now"
            f" from ({_NAMED}) n where source_key is not null group by source, source_key having count(distinct party_id) = 1"
        ),
        {"banks": list(banks), "now": now},
    ).rowcount


def _payers(conn: Writing, banks: Sequence[str]) -> int:
    """Gives a bank's payment its payer: the counterparty's key, once that is linked to a party."""
    return conn.execute(
        sa.text(
            f"update canonical.payment p set customer_key = {COUNTERPARTY} from canonical.bank_transaction t"
            " where p.source = any(:banks) and p.customer_key is null and t.source = p.source"
            " and t.source_key = split_part(p.source_key, '#', 1)"
            f" and exists (select from canonical.identity_link k where k.source = t.source and k.source_key = {COUNTERPARTY})"
        ),
        {"banks": list(banks)},
    ).rowcount
