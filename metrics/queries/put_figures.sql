-- Today's headline figures per region and for all ('*'), out of the read models and the index of open invoices.
-- Parameters: now, on_date, reporting.
with feed as (select min(newest_changed_at) as oldest from process.stream where newest_changed_at is not null and not is_paused),
region as (select '*' as name union select distinct region from measure.latency_rollup union select distinct region from measure.exposure
           union select distinct region from measure.cash_position),
issued as (
  select coalesce(region, '*') as region, sum(invoices) as invoices from measure.latency_rollup group by grouping sets ((region), ())
), owing as (
  select coalesce(region, '*') as region, count(*) as open_count, sum(open_reporting) as open_total, bool_or(open_reporting is null) as unrated,
         count(*) filter (where is_disputed) as disputed, count(*) filter (where due_date < %(on_date)s) as overdue_count,
         sum(open_reporting) filter (where due_date < %(on_date)s) as overdue_total
  from measure.invoice_fact where cleared_on is null and open_amount > 0 and not is_credit
  group by grouping sets ((region), ())
), receivable as (
  select r.name as region, coalesce(i.invoices, 0) as invoices, coalesce(o.open_count, 0) as open_count, o.open_total,
         coalesce(o.unrated, false) as unrated, coalesce(o.disputed, 0) as disputed, coalesce(o.overdue_count, 0) as overdue_count, o.overdue_total
  from region r left join issued i on i.region = r.name left join owing o on o.region = r.name
), owed as (
  select r.name as region, count(e.*) as parties, sum(e.exposure) as exposure,
         count(*) filter (where e.limit_state = 'valid' and e.exposure > e.credit_limit) as breaches
  from region r left join measure.exposure e on r.name = '*' or e.region = r.name group by r.name
), held as (
  select r.name as region, count(c.*) as accounts, sum(c.amount_reporting) as amount, bool_or(c.amount is not null and c.amount_reporting is null) as unrated
  from region r left join measure.cash_position c on r.name = '*' or c.region = r.name group by r.name
), figure as (
  select 'open_count' as slug, region, case when invoices > 0 then open_count end as value, 'count' as unit, open_count as count, 'no invoices' as missing from receivable
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
