-- The parties that the customers in question are linked to, and those that their invoices were last counted to.
select party_id from canonical.identity_link where {only(source, source_key)}
union
select party_id from measure.invoice_fact where {only(source, customer_key)} and party_id is not null
