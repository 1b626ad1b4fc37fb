-- Brings measure.exposure up to the facts for touched parties, or for all.
with fresh as materialized ({query(exposures)}), gone as (
  delete from measure.exposure e
  where (%(parties)s::bigint[] is null or e.party_id = any(%(parties)s::bigint[]))
    and not exists (select from fresh n where n.party_id = e.party_id)
)
insert into measure.exposure
  (party_id, region, number, name, country, segment, currency, open_orders, open_deliveries, unposted_billing, open_receivables, secured,
   exposure, undelivered_contracts, overdue, credit_limit, utilisation, limit_state, median_days_late, computed_at)
select fresh.*, %(now)s from fresh
on conflict (party_id) do update set
  region = excluded.region, number = excluded.number, name = excluded.name, country = excluded.country, segment = excluded.segment,
  currency = excluded.currency, open_orders = excluded.open_orders, open_deliveries = excluded.open_deliveries,
  unposted_billing = excluded.unposted_billing, open_receivables = excluded.open_receivables, secured = excluded.secured,
  exposure = excluded.exposure, undelivered_contracts = excluded.undelivered_contracts, overdue = excluded.overdue,
  credit_limit = excluded.credit_limit, utilisation = excluded.utilisation, limit_state = excluded.limit_state,
  median_days_late = excluded.median_days_late, computed_at = excluded.computed_at
