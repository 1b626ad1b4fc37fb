-- Exposure as the read model keeps it.
select party_id, region, number, name, country, segment, currency, open_orders, open_deliveries, unposted_billing, open_receivables, secured,
       exposure, undelivered_contracts, overdue, credit_limit, utilisation, limit_state, median_days_late
from measure.exposure e
where (%(regions)s::text[] is null or region = any(%(regions)s::text[])) and (%(parties)s::bigint[] is null or party_id = any(%(parties)s::bigint[]))
