-- The groups of the latency rollup that the invoice facts in question belong to.
select distinct week, region, coalesce(legal_entity, '') as legal_entity, currency from measure.invoice_fact where {only(source, source_key)}
