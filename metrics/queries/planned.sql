-- What treasury and accounts payable plan: forecast items that are not our own echoes, and approved outgoing payments.
-- Parameters: on_date, reporting.
select p.*, {rate(p.currency, %(on_date)s::date)}::numeric(18,8) as rate from (
  select source, source_key as item_key, region, legal_entity, coalesce(category, 'treasury') as category, invoice_number,
         expected_date, amount, currency, confidence
  from {forecast_item} t
  where confidence <> 'actual' and expected_date >= %(on_date)s::date and coalesce(reference, '') not like 'TG-%%'
  union all
  select source, source_key, region, legal_entity, 'disbursement', null, greatest(due_date, %(on_date)s::date), -abs(amount), currency, 'confirmed'
  from {outgoing_payment} o where status = 'approved' and due_date is not null
) p
