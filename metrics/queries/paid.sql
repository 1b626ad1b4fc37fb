-- How each fully cleared invoice was paid: days past due (negative: early), by party and region. The last two years before on_date.
select coalesce('party:' || f.party_id, 'customer:' || f.source || ':' || f.customer_key) as payer, f.region,
       f.cleared_on - f.due_date as days_past_due
from {ledger} f
where f.cleared_on is not null and f.due_date is not null and not f.is_credit and f.cleared_on between %(on_date)s::date - 730 and %(on_date)s::date
