"""Accounts that became one in the CRM: what the loser's links and facts are about is the winner's party from then on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from db.engine import Writing

# Each loser with the account that lives on, however many merges away; a circle ends at its tenth step.
_ENDS = """
with recursive way as (
  select m.source, m.source_key as loser, m.into_key as winner, 1 as steps from canonical.customer_merge m
  join canonical.customer c on c.source = m.source and c.source_key = m.source_key and c.is_deleted
  where m.source = any(:crm) and not m.is_deleted
  union all
  select w.source, w.loser, m.into_key, w.steps + 1 from way w
  join canonical.customer_merge m on m.source = w.source and m.source_key = w.winner and not m.is_deleted
  join canonical.customer c on c.source = m.source and c.source_key = m.source_key and c.is_deleted
  where w.steps < 10
), ends as (
  select distinct on (w.source, w.loser) w.source, w.loser, w.winner, w.steps from way w
  join canonical.customer c on c.source = w.source and c.source_key = w.winner and not c.is_deleted
  order by w.source, w.loser, w.steps desc
)"""
_INHERITS = (
    _ENDS
    + """, heirs as (
  select e.source, e.winner, min(l.party_id) as party_id, min(l.region) as region, min(l.confidence) as confidence, min(e.loser) as loser from ends e
  join canonical.identity_link l on l.source = e.source and l.source_key = e.loser
  join canonical.customer c on c.source = e.source and c.source_key = e.winner and coalesce(c.erp_number, '') = ''
  where not exists (select from canonical.identity_link k where k.source = e.source and k.source_key = e.winner)
  group by e.source, e.winner having count(distinct l.party_id) = 1
), made as (
  insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, evidence, recorded_at)
  select source, winner, party_id, region, 'merged', confidence, array['merged with:' || loser], :now from heirs returning source, source_key
) """
)
_FOLLOWS = (
    _ENDS
    + """, made as (
  insert into canonical.identity_link as held (source, source_key, party_id, region, matched_by, confidence, evidence, recorded_at)
  select e.source, e.loser, l.party_id, l.region, 'merged', l.confidence, array['merged into:' || e.winner], :now from ends e
  join canonical.identity_link l on l.source = e.source and l.source_key = e.winner
  on conflict (source, source_key) do update set party_id = excluded.party_id, region = excluded.region, matched_by = excluded.matched_by,
    confidence = excluded.confidence, evidence = excluded.evidence, recorded_at = excluded.recorded_at
  where held.confirmed_by is null and held.party_id <> excluded.party_id returning source, source_key
) """
)


def follow(conn: Writing, crm: Sequence[str], *, mark: str, now: datetime) -> int:
    """Lets each merged account of the `crm` connections follow the one that lives on; returns how many links were made or moved.

    A winner that no number and no name has linked takes over its losers' party, if that is one. What a person confirmed stays. `mark`
    is the statement that marks the measures of what was `made` as touched; `now` is business time.
    """
    values = {"crm": list(crm), "now": now}
    return sum(conn.execute(sa.text(f"{statement}{mark}"), values).rowcount for statement in (_INHERITS, _FOLLOWS))
