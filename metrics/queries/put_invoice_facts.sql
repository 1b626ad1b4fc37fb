-- Brings measure.invoice_fact up to the facts: only the touched invoices, or all.
with fresh as materialized ({query(invoices)}), gone as (
  delete from measure.invoice_fact f
  where {only(f.source, f.source_key)} and not exists (select from fresh n where n.source = f.source and n.source_key = f.source_key)
)
insert into measure.invoice_fact as f
  (source, source_key, number, customer_key, customer_name, party_id, country, region, legal_entity, currency, week, issue_date, due_date,
   cleared_on, gross, applied, open_amount, gross_reporting, open_reporting, days_to_pay, is_disputed, is_credit, raw_record_id)
select source, source_key, number, customer_key, customer_name, party_id, country, region, legal_entity, currency,
       date_trunc('week', issue_date)::date, issue_date, due_date, cleared_on, gross, applied, open_amount, gross_reporting, open_reporting,
       cleared_on - issue_date, is_disputed, is_credit, raw_record_id
from fresh
on conflict (source, source_key) do update set
  number = excluded.number, customer_key = excluded.customer_key, customer_name = excluded.customer_name, party_id = excluded.party_id,
  country = excluded.country, region = excluded.region, legal_entity = excluded.legal_entity, currency = excluded.currency,
  week = excluded.week, issue_date = excluded.issue_date, due_date = excluded.due_date, cleared_on = excluded.cleared_on,
  gross = excluded.gross, applied = excluded.applied, open_amount = excluded.open_amount, gross_reporting = excluded.gross_reporting,
  open_reporting = excluded.open_reporting, days_to_pay = excluded.days_to_pay, is_disputed = excluded.is_disputed,
  is_credit = excluded.is_credit, raw_record_id = excluded.raw_record_id
where (f.*) is distinct from (excluded.*)
