-- Opens an episode for every touched party above its valid limit, or carries the open one on: its peak and its latest.
insert into measure.breach as b (party_id, region, opened_at, currency, limit_amount, peak, latest)
select e.party_id, e.region, %(now)s, e.currency, e.credit_limit, e.exposure, e.exposure
from measure.exposure e
where e.limit_state = 'valid' and e.exposure > e.credit_limit and (%(parties)s::bigint[] is null or e.party_id = any(%(parties)s::bigint[]))
on conflict (party_id) where cleared_at is null do update set
  peak = greatest(b.peak, excluded.peak), latest = excluded.latest, limit_amount = excluded.limit_amount
returning b.id, b.party_id, b.region, b.opened_at, b.cleared_at, b.currency, b.limit_amount, b.peak, b.latest, (b.xmax = 0) as is_new
