-- Each finds what violates one invariant, as a text `sample` per violation. Parameter: now (business time).
-- name: batches
select 'batch ' || id || ' of ' || connection || '/' || stream as sample from process.batch
where received <> promoted + unchanged + duplicates + superseded + quarantined
-- name: control_totals
select t.connection || ': ' || t.subject as sample from process.control_total t
where not t.agree and not exists (select from process.exception e where e.raw_record_id >> 24 = t.page_id)
  and not exists (select from process.exception e where e.connection = t.connection
                  and e.cause in ('control_total', 'balance_mismatch', 'balance_chain', 'file_conflict'))
-- name: balances
with closing as (
  select source, account, currency, as_of_date, amount,
         lag(as_of_date) over by_day as before_date, lag(amount) over by_day as before_amount
  from canonical.bank_balance where balance_type = 'closing_booked' and not is_deleted
  window by_day as (partition by source, account, currency order by as_of_date)
), chained as (
  select c.* from closing c
  where c.before_date is not null and exists (
    select from canonical.bank_balance o
    where o.source = c.source and o.account = c.account and o.currency = c.currency and o.balance_type = 'opening_booked'
      and not o.is_deleted and o.as_of_date >= c.before_date and o.as_of_date <= c.as_of_date and o.amount = c.before_amount)
), booked as (
  select c.source, c.account, c.currency, c.as_of_date, sum(t.amount) as amount
  from chained c join canonical.bank_transaction t
    on t.source = c.source and t.account = c.account and t.currency = c.currency and not t.is_deleted
      and t.booking_date > c.before_date and t.booking_date <= c.as_of_date
  group by c.source, c.account, c.currency, c.as_of_date
)
select c.source || ' ' || c.account || ' ' || c.as_of_date as sample
from chained c left join booked b using (source, account, currency, as_of_date)
where c.amount <> c.before_amount + coalesce(b.amount, 0)
  -- An entry in another currency than the account's counts by the bank's counter value, which is held when its file is read.
  and not exists (
    select from canonical.bank_transaction f
    where f.source = c.source and f.account = c.account and f.currency <> c.currency and not f.is_deleted
      and f.booking_date > c.before_date and f.booking_date <= c.as_of_date
      and not exists (select from closing k where k.source = f.source and k.account = f.account and k.currency = f.currency))
  and not exists (select from process.exception e where e.connection = c.source and e.entity in ('bank_transaction', 'bank_balance')
                  and e.state not in ('resolved'))
-- name: releases
select f.connection || ' ' || f.object_key as sample from process.effect f
where f.kind = 'release_order' and f.state = 'confirmed'
group by f.connection, f.object_key
having count(*) > greatest(1, (select count(*) from process.event e where e.type = 'order.blocked' and e.source = f.connection
                               and (e.source_key = f.object_key or 'order:' || f.object_key = any(e.objects))))
-- name: write_backs
select effect_key as sample from (
  select effect_key, (payload ->> 'version')::bigint as version,
         max((payload ->> 'version')::bigint) over (partition by connection, object_key order by settled_at, id
                                                    rows between unbounded preceding and 1 preceding) as newest_before
  from process.effect where kind = 'update_collections' and state = 'confirmed' and not coalesce((receipt ->> 'already')::boolean, false)
) written where version < newest_before
-- name: webhooks
select connection || ' ' || event_id as sample from process.webhook
where state = 'new' and received_at < least(clock_timestamp(), %(now)s) - interval '1 hour'
-- name: watermarks
select connection || '/' || stream as sample from process.stream where complete_until > greatest(%(now)s, clock_timestamp())
-- name: audit
select chain || ' #' || id as sample from (
  select *, lag(hash) over (partition by chain order by id) as before from governance.audit
) entry
where previous_hash is distinct from before
   or hash is distinct from governance.audit_digest(previous_hash, chain, at, actor, action, subject_kind, subject_key, reason, detail)
-- name: undecided_effects
select f.effect_key as sample from process.effect f
left join process.decision d on d.id = f.decision_id left join process."case" c on c.id = f.case_id
where f.state in ('sent', 'confirmed', 'unknown') and d.id is null and coalesce(c.state, '') <> 'approved'
-- name: same_person
select 'effect ' || effect_key as sample from process.effect where approved_by = requested_by
union all
select 'case ' || id from process."case" where closed_by = opened_by
-- name: rollups
with counted as (
  select week, region, coalesce(legal_entity, '') as legal_entity, currency, count(*) as invoices, count(cleared_on) as cleared,
         round(percentile_cont(0.5) within group (order by days_to_pay)::numeric, 8) as p50
  from measure.invoice_fact where not is_credit group by 1, 2, 3, 4
)
select week || ' ' || region || ' ' || legal_entity || ' ' || currency as sample
from counted c full join measure.latency_rollup r using (week, region, legal_entity, currency)
where (c.invoices, c.cleared, c.p50) is distinct from (r.invoices::bigint, r.cleared::bigint, r.p50)
