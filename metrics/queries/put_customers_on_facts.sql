-- Gives the invoice facts of touched customers their name, country and party as they are now.
update measure.invoice_fact f
set customer_name = c.name, party_id = l.party_id, country = coalesce(i.country, c.country)
from {customer} c left join canonical.identity_link l on l.source = c.source and l.source_key = c.source_key, canonical.invoice i
where {only(c.source, c.source_key)} and f.source = c.source and f.customer_key = c.source_key
  and i.source = f.source and i.source_key = f.source_key
  and (f.customer_name, f.party_id, f.country) is distinct from (c.name, l.party_id, coalesce(i.country, c.country))
