-- The parties that owe the invoices in question.
select distinct party_id from measure.invoice_fact where {only(source, source_key)} and party_id is not null
