-- Breach episodes, open ones first, as they stood at `at`. Parameters: at, parties (null: all).
select b.id, b.party_id, coalesce(p.name, p.number) as name, b.region, b.opened_at, case when b.cleared_at <= %(at)s then b.cleared_at end as cleared_at,
       b.currency, b.limit_amount, b.peak, b.latest
from measure.breach b left join canonical.party p on p.id = b.party_id
where b.opened_at <= %(at)s and (%(regions)s::text[] is null or b.region = any(%(regions)s::text[]))
  and (%(parties)s::bigint[] is null or b.party_id = any(%(parties)s::bigint[]))
