-- Ends the open episodes of touched parties whose exposure is within a valid limit again, or whose limit no longer counts.
update measure.breach b set cleared_at = %(now)s, latest = coalesce(e.exposure, b.latest)
from measure.breach o left join measure.exposure e on e.party_id = o.party_id
where o.id = b.id and b.cleared_at is null and (%(parties)s::bigint[] is null or b.party_id = any(%(parties)s::bigint[]))
  and not coalesce(e.limit_state = 'valid' and e.exposure > e.credit_limit, false)
returning b.id, b.party_id, b.region, b.opened_at, b.cleared_at, b.currency, b.limit_amount, b.peak, b.latest
