-- Today's headline figures per region and for all ('*'), out of the read models. Parameters: now, on_date, reporting.
with feed as (select min(newest_changed_at) as oldest from process.stream where newest_changed_at is not null and not is_paused),
region as (select '*' as name union select distinct region from measure.invoice_fact union select distinct region from measure.exposure
           union select distinct region from measure.cash_position),
receivable as (
  select r.name as region, count(f.*) as invoices,
         percentile_cont(0.5) within group (order by f.days_to_pay) filter (where f.cleared_on > %(on_date)s - 90) as p50,
         percentile_cont(0.9) within group (order by f.days_to_pay) filter (where f.cleared_on > %(on_date)s - 90) as p90,
         count(*) filter (where f.cleared_on > %(on_date)s - 90) as cleared,
         count(*) filter (where f.cleared_on > %(on_date)s - 90 and f.cleared_on > f.due_date) as late,
         count(*) filter (where f.is_disputed and f.open_amount > 0) as disputed, count(*) filter (where f.open_amount > 0) as open_count,
         sum(f.open_reporting) filter (where f.open_amount > 0) as open_total,
         bool_or(f.open_amount > 0 and f.open_reporting is null) as unrated,
         count(*) filter (where f.open_amount > 0 and f.due_date < %(on_date)s) as overdue_count,
         sum(f.open_reporting) filter (where f.open_amount > 0 and f.due_date < %(on_date)s) as overdue_total
  from region r left join measure.invoice_fact f on (r.name = '*' or f.region = r.name) and not f.is_credit
  group by r.name
), owed as (
  select r.name as region, count(e.*) as parties, sum(e.exposure) as exposure,
         count(*) filter (where e.limit_state = 'valid' and e.exposure > e.credit_limit) as breaches
  from region r left join measure.exposure e on r.name = '*' or e.region = r.name group by r.name
), held as (
  select r.name as region, count(c.*) as accounts, sum(c.amount_reporting) as amount, bool_or(c.amount is not null and c.amount_reporting is null) as unrated
  from region r left join measure.cash_position c on r.name = '*' or c.region = r.name group by r.name
), figure as (
  select 'invoice_to_payment_p50' as slug, region, p50::numeric as value, 'days' as unit, cleared as count, 'no invoice was cleared in the last 90 days' as missing from receivable
  union all select 'invoice_to_payment_p90', region, p90::numeric, 'days', cleared, 'no invoice was cleared in the last 90 days' from receivable
  union all select 'late_share', region, late / nullif(cleared, 0)::numeric, 'share', cleared, 'no invoice was cleared in the last 90 days' from receivable
  union all select 'open_count', region, case when invoices > 0 then open_count end, 'count', open_count, 'no invoices' from receivable
  union all select 'open_total', region, case when invoices > 0 and not unrated then coalesce(open_total, 0) end, %(reporting)s, open_count, 'no invoices, or no reference rate for one of their currencies' from receivable
  union all select 'overdue_count', region, case when invoices > 0 then overdue_count end, 'count', overdue_count, 'no invoices' from receivable
  union all select 'overdue_total', region, case when invoices > 0 and not unrated then coalesce(overdue_total, 0) end, %(reporting)s, overdue_count, 'no invoices, or no reference rate for one of their currencies' from receivable
  union all select 'disputed_count', region, case when invoices > 0 then disputed end, 'count', disputed, 'no invoices' from receivable
  union all select 'exposure_total', region, exposure, %(reporting)s, parties, 'no customers are linked yet' from owed
  union all select 'exposure_breaches', region, case when parties > 0 then breaches end, 'count', breaches, 'no customers are linked yet' from owed
  union all select 'cash_position', region, case when not unrated then amount end, %(reporting)s, accounts, 'no bank balance yet, or no reference rate for one of its currencies' from held
)
insert into measure.figure (slug, dimension, key, region, on_date, value, unit, count, why_missing, as_of, oldest_feed, computed_at)
select f.slug, '', '', f.region, %(on_date)s, round(f.value, 8), f.unit, f.count, case when f.value is null then f.missing end,
       %(now)s, feed.oldest, %(now)s
from figure f cross join feed
on conflict (slug, dimension, key, region, on_date) do update set
  value = excluded.value, unit = excluded.unit, count = excluded.count, why_missing = excluded.why_missing, as_of = excluded.as_of,
  oldest_feed = excluded.oldest_feed, computed_at = excluded.computed_at
