-- Every posted invoice and credit note with what was applied to it: one row each. Cancelled ones and drafts are left out.
-- Parameters: reporting (currency), on_date (only what was issued and cleared by then; null: all).
with posted as (
  select source, source_key, number, customer_key, country, region, legal_entity, currency, issue_date, due_date, is_disputed,
         is_credit, raw_record_id, case when is_credit then -abs(gross) else gross end as gross
  from {invoice} i
  where status in ('posted', 'cleared') and cancelled_by is null and {only(source, source_key)}
    and (%(on_date)s::date is null or issue_date <= %(on_date)s::date)
), applied as (
  select source, invoice_key, sum(amount) as amount, max(clearing_date) as last_on
  from {payment_application} a
  where not is_reversed and {only(source, invoice_key)} and (%(on_date)s::date is null or clearing_date <= %(on_date)s::date)
  group by source, invoice_key
), settled as (
  select p.*, {rate(p.currency, p.issue_date)} as rate, a.last_on,
         coalesce(case when p.is_credit then -abs(a.amount) else a.amount end, 0) as applied
  from posted p left join applied a on a.source = p.source and a.invoice_key = p.source_key
)
select s.source, s.source_key, s.number, s.customer_key, c.name as customer_name, l.party_id,
       coalesce(s.country, c.country) as country, s.region, s.legal_entity, s.currency, s.issue_date, s.due_date,
       case when abs(s.applied) >= abs(s.gross) then s.last_on end as cleared_on,
       s.gross, s.applied, s.gross - s.applied as open_amount,
       round(s.gross * s.rate, 4) as gross_reporting, round((s.gross - s.applied) * s.rate, 4) as open_reporting,
       s.is_disputed, s.is_credit, s.raw_record_id
from settled s
left join {customer} c on c.source = s.source and c.source_key = s.customer_key
left join canonical.identity_link l on l.source = s.source and l.source_key = s.customer_key
