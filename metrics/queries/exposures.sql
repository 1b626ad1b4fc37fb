-- Exposure of every party (or of `parties`) in the reporting currency on `on_date`, each item in flight counted once:
-- an order is open by what is neither delivered nor billed of it; delivered but not billed is a delivery; billed is an invoice.
-- Goods that have left for an order that is not known here are a delivery by themselves, the customer being the delivery's.
-- Orders held by the credit check are not exposure yet: a decision adds the order it is about. A party with an amount that no
-- reference rate can convert has no row.
with linked as (
  select party_id, source, source_key from canonical.identity_link l
  where %(parties)s::bigint[] is null or party_id = any(%(parties)s::bigint[])
), billed as (
  select i.source, i.order_number, sum(i.gross - coalesce(i.tax, 0)) as amount
  from linked k join {invoice} i on i.source = k.source and i.customer_key = k.source_key
  where i.order_number is not null and not i.is_credit and i.cancelled_by is null and i.status <> 'cancelled'
  group by i.source, i.order_number
), ordered as (
  select k.party_id, o.source, o.source_key, o.currency, o.delivery_status, greatest(o.net_value - coalesce(b.amount, 0), 0) as rest
  from linked k join {sales_order} o on o.source = k.source and o.customer_key = k.source_key
  left join billed b on b.source = o.source and b.order_number = o.number
  where coalesce(o.status, 'open') not in ('cancelled', 'complete') and coalesce(o.billing_status, 'open') <> 'complete'
    and coalesce(o.credit_status, '') <> 'blocked' and o.net_value is not null
), shipped as (
  select d.source, d.order_key, sum(d.value) as amount
  from ordered o join {delivery} d on d.source = o.source and d.order_key = o.source_key
  where not d.is_invoiced group by d.source, d.order_key
), in_flight as (
  select o.party_id, o.currency, o.rest,
         least(o.rest, coalesce(s.amount, case when o.delivery_status = 'complete' then o.rest else 0 end)) as delivered
  from ordered o left join shipped s on s.source = o.source and s.order_key = o.source_key
), stray as (
  select k.party_id, d.currency, d.value
  from linked k join {delivery} d on d.source = k.source and d.customer_key = k.source_key
  where not d.is_invoiced and d.goods_issued_on is not null and d.value is not null and d.currency is not null
    and not exists (select from {sales_order} o where o.source = d.source and o.source_key = d.order_key)
    and not exists (select from {sales_order} o where o.source = d.source and o.number = d.order_key)
), agreed as (
  select k.party_id, c.number, c.value, c.currency
  from linked k join {contract} c on c.source = k.source and c.customer_key = k.source_key
  where c.status = 'activated' and c.value is not null
), drawn as (
  select s.contract_number, sum(s.net_value) as amount from {sales_order} s
  where s.contract_number in (select number from agreed) and coalesce(s.status, 'open') <> 'cancelled' and coalesce(s.credit_status, '') <> 'blocked'
  group by s.contract_number
), promised as (
  select c.party_id, c.currency, greatest(c.value - coalesce(d.amount, 0), 0) as amount
  from agreed c left join drawn d on d.contract_number = c.number
), item as (
  select party_id, currency, rest - delivered as orders, delivered as deliveries, 0 as unposted, 0 as receivables, 0 as overdue, 0 as promised
  from in_flight
  union all
  select party_id, currency, 0, value, 0, 0, 0, 0 from stray
  union all
  select k.party_id, i.currency, 0, 0, i.gross, 0, 0, 0
  from linked k join {invoice} i on i.source = k.source and i.customer_key = k.source_key
  where i.status = 'draft' and not i.is_credit
  union all
  select k.party_id, f.currency, 0, 0, 0, f.open_amount, case when f.due_date < %(on_date)s and f.open_amount > 0 and not f.is_credit then f.open_amount else 0 end, 0
  from linked k join {ledger} f on f.source = k.source and f.customer_key = k.source_key where f.open_amount <> 0
  union all
  select party_id, currency, 0, 0, 0, 0, 0, amount from promised
), summed as (
  select party_id, currency, sum(orders) as orders, sum(deliveries) as deliveries, sum(unposted) as unposted, sum(receivables) as receivables,
         sum(overdue) as overdue, sum(promised) as promised
  from item group by party_id, currency
), converted as (
  select party_id, bool_and(rate is not null) as rated, sum(round(orders * rate, 4)) as orders, sum(round(deliveries * rate, 4)) as deliveries,
         sum(round(unposted * rate, 4)) as unposted, sum(round(receivables * rate, 4)) as receivables,
         sum(round(overdue * rate, 4)) as overdue, sum(round(promised * rate, 4)) as promised
  from (select s.*, {rate(s.currency, %(on_date)s)} as rate from summed s) r group by party_id
), granted as (
  select k.party_id, k.source, k.source_key, coalesce(c.secured_amount, 0) as secured, c.limit_amount,
         {rate(c.currency, %(on_date)s)} as rate,
         case when c.is_blocked then 'blocked' when c.limit_amount is null then 'none' when c.limit_amount <= 0 then 'zero'
              when c.valid_to < %(on_date)s or c.valid_from > %(on_date)s then 'expired' else 'valid' end as state
  from linked k join {credit_limit} c on c.source = k.source and c.customer_key = k.source_key
), granted_to as (  -- the smallest segment of a customer holds; a party's customers add up
  select party_id, source_key, min(limit_amount * rate) filter (where state = 'valid') as amount, max(secured * rate) as secured,
         bool_or(rate is null) as unrated, bool_or(state = 'blocked') as blocked, bool_or(state = 'valid') as valid,
         bool_or(state = 'expired') as expired, bool_or(state = 'zero') as zero
  from granted group by party_id, source, source_key
), limited as (
  select party_id, round(sum(amount), 4) as amount, coalesce(round(sum(secured), 4), 0) as secured, bool_or(unrated) as unrated,
         case when bool_or(blocked) then 'blocked' when bool_or(valid) then 'valid' when bool_or(expired) then 'expired'
              when bool_or(zero) then 'zero' else 'none' end as state
  from granted_to group by party_id
), habit as (
  select k.party_id, percentile_disc(0.5) within group (order by f.cleared_on - f.due_date) as days_late
  from linked k join {ledger} f on f.source = k.source and f.customer_key = k.source_key
  where f.cleared_on is not null and f.due_date is not null and not f.is_credit group by k.party_id
), named as (
  select k.party_id, max(c.segment) as segment from linked k join {customer} c on c.source = k.source and c.source_key = k.source_key
  group by k.party_id
), assembled as (
  select p.id as party_id, p.region, p.number, p.name, p.country, n.segment, %(reporting)s::text as currency,
         coalesce(v.orders, 0) as open_orders, coalesce(v.deliveries, 0) as open_deliveries, coalesce(v.unposted, 0) as unposted_billing,
         coalesce(v.receivables, 0) as open_receivables, coalesce(l.secured, 0) as secured,
         coalesce(v.promised, 0) as undelivered_contracts, coalesce(v.overdue, 0) as overdue,
         case when l.state = 'valid' then l.amount end as credit_limit, coalesce(l.state, 'none') as limit_state, h.days_late as median_days_late
  from canonical.party p
  left join converted v on v.party_id = p.id left join limited l on l.party_id = p.id
  left join habit h on h.party_id = p.id left join named n on n.party_id = p.id
  where (%(parties)s::bigint[] is null or p.id = any(%(parties)s::bigint[]))
    and coalesce(v.rated, true) and not coalesce(l.unrated, false)
)
select a.party_id, a.region, a.number, a.name, a.country, a.segment, a.currency, a.open_orders, a.open_deliveries, a.unposted_billing,
       a.open_receivables, a.secured, e.exposure, a.undelivered_contracts, a.overdue, a.credit_limit,
       round(e.exposure / nullif(a.credit_limit, 0), 8) as utilisation, a.limit_state, a.median_days_late
from assembled a
cross join lateral (select a.open_orders + a.open_deliveries + a.unposted_billing + a.open_receivables - a.secured as exposure) e
