-- Invoices as the read model keeps them, cut to what a page asks about. Parameters: legal_entities, customer, week, since (null: all).
select source, source_key, number, customer_key, customer_name, party_id, country, region, legal_entity, currency, issue_date, due_date, cleared_on,
       gross, applied, open_amount, gross_reporting, open_reporting, is_disputed, is_credit, raw_record_id
from measure.invoice_fact f
where (%(regions)s::text[] is null or region = any(%(regions)s::text[]))
  and (%(connection)s::text is null or source = %(connection)s::text)
  and (%(legal_entities)s::text[] is null or legal_entity = any(%(legal_entities)s::text[]))
  and (%(customer)s::text is null or customer_key = %(customer)s::text)
  and (%(week)s::date is null or week = %(week)s::date)
  and (%(since)s::date is null or issue_date >= %(since)s::date or open_amount <> 0)
