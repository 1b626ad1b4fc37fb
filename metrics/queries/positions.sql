-- The newest balance of every bank account: booked before available before intraday. An account that several sources report is shown once.
with named as (
  select b.*, coalesce(a.iban, a.other_id, b.account) as real_account,
         case b.balance_type when 'closing_booked' then 0 when 'available' then 1 else 2 end as rank
  from {bank_balance} b left join lateral (
    select x.iban, x.other_id from {bank_account} x
    where (x.source = b.source and x.source_key = b.account) or x.iban = b.account or x.other_id = b.account
    order by (x.source = b.source) desc, x.iban nulls last limit 1) a on true
  where b.balance_type in ('closing_booked', 'available', 'intraday')
), newest as (
  select distinct on (real_account) * from named
  order by real_account, as_of_date desc, rank, recorded_at desc, source
)
select n.source, n.account, n.region, n.legal_entity, n.currency, n.as_of_date, n.balance_type, n.amount,
       round(n.amount * {rate(n.currency, n.as_of_date)}, 4) as amount_reporting, n.recorded_at, n.raw_record_id
from newest n
