-- Customers that were linked to a party after their rows were computed.
select l.source, l.source_key from canonical.identity_link l
where not exists (select from measure.exposure e where e.party_id = l.party_id)
  and exists (select from canonical.customer c where c.source = l.source and c.source_key = l.source_key)
union
select f.source, f.customer_key from measure.invoice_fact f
join canonical.identity_link l on l.source = f.source and l.source_key = f.customer_key where f.party_id is null
