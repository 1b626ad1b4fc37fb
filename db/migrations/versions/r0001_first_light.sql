do $$ begin
  if not exists (select from pg_roles where rolname = 'tidegate_pages') then
    begin
      create role tidegate_pages nologin;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  begin
    execute format('grant tidegate_pages to %I', current_user);
  exception when insufficient_privilege then
    if not pg_has_role(current_user, 'tidegate_pages', 'MEMBER') then raise; end if;
  end;
exception
  when insufficient_privilege then
    raise exception 'role tidegate_pages is missing, or this user is no member of it, and this user may not create or grant roles'
      using hint = 'ask the database administrator for: create role tidegate_pages nologin; grant tidegate_pages to <this user>';
end $$;

create schema if not exists raw;

create schema if not exists canonical;

create schema if not exists process;

create schema if not exists measure;

create schema if not exists governance;

CREATE TABLE canonical.customer (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT, 
	name TEXT, 
	parent_key TEXT, 
	country TEXT, 
	segment TEXT, 
	erp_number TEXT, 
	payment_terms_days INTEGER, 
	credit_segment TEXT, 
	order_block BOOLEAN DEFAULT false NOT NULL, 
	delivery_block BOOLEAN DEFAULT false NOT NULL, 
	billing_block BOOLEAN DEFAULT false NOT NULL, 
	posting_block BOOLEAN DEFAULT false NOT NULL, 
	owner TEXT, 
	CONSTRAINT pk_customer PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_customer_number ON canonical.customer (number);

CREATE TABLE canonical.customer_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT, 
	name TEXT, 
	parent_key TEXT, 
	country TEXT, 
	segment TEXT, 
	erp_number TEXT, 
	payment_terms_days INTEGER, 
	credit_segment TEXT, 
	order_block BOOLEAN DEFAULT false NOT NULL, 
	delivery_block BOOLEAN DEFAULT false NOT NULL, 
	billing_block BOOLEAN DEFAULT false NOT NULL, 
	posting_block BOOLEAN DEFAULT false NOT NULL, 
	owner TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_customer_history_key ON canonical.customer_history (source, source_key, source_version);

CREATE TABLE canonical.opportunity (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	name TEXT, 
	customer_key TEXT, 
	stage TEXT, 
	amount NUMERIC(19, 4) CONSTRAINT ck_opportunity_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT CONSTRAINT ck_opportunity_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	close_date DATE, 
	probability NUMERIC(18, 8), 
	is_closed BOOLEAN DEFAULT false NOT NULL, 
	is_won BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_opportunity PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.opportunity_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	name TEXT, 
	customer_key TEXT, 
	stage TEXT, 
	amount NUMERIC(19, 4), 
	currency TEXT, 
	close_date DATE, 
	probability NUMERIC(18, 8), 
	is_closed BOOLEAN DEFAULT false NOT NULL, 
	is_won BOOLEAN DEFAULT false NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_opportunity_history_key ON canonical.opportunity_history (source, source_key, source_version);

CREATE TABLE canonical.quote (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT, 
	opportunity_key TEXT, 
	customer_key TEXT, 
	status TEXT, 
	expires_on DATE, 
	amount NUMERIC(19, 4) CONSTRAINT ck_quote_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT CONSTRAINT ck_quote_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT pk_quote PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.quote_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT, 
	opportunity_key TEXT, 
	customer_key TEXT, 
	status TEXT, 
	expires_on DATE, 
	amount NUMERIC(19, 4), 
	currency TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_quote_history_key ON canonical.quote_history (source, source_key, source_version);

CREATE TABLE canonical.contract (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	customer_key TEXT, 
	opportunity_key TEXT, 
	value NUMERIC(19, 4) CONSTRAINT ck_contract_value_finite CHECK (value <> 'NaN'), 
	currency TEXT CONSTRAINT ck_contract_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	start_date DATE, 
	end_date DATE, 
	status TEXT NOT NULL, 
	approved_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_contract PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_contract_number ON canonical.contract (number);

CREATE TABLE canonical.contract_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	customer_key TEXT, 
	opportunity_key TEXT, 
	value NUMERIC(19, 4), 
	currency TEXT, 
	start_date DATE, 
	end_date DATE, 
	status TEXT NOT NULL, 
	approved_at TIMESTAMP WITH TIME ZONE, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_contract_history_key ON canonical.contract_history (source, source_key, source_version);

CREATE TABLE canonical.sales_order (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	contract_number TEXT, 
	customer_key TEXT NOT NULL, 
	net_value NUMERIC(19, 4) CONSTRAINT ck_sales_order_net_value_finite CHECK (net_value <> 'NaN'), 
	currency TEXT CONSTRAINT ck_sales_order_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	order_date DATE, 
	requested_delivery DATE, 
	credit_status TEXT, 
	delivery_block TEXT, 
	billing_block TEXT, 
	delivery_status TEXT, 
	billing_status TEXT, 
	status TEXT, 
	etag TEXT, 
	released_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_sales_order PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_sales_order_contract_number ON canonical.sales_order (contract_number);

CREATE INDEX ix_sales_order_number ON canonical.sales_order (number);

CREATE INDEX ix_sales_order_source_customer_key ON canonical.sales_order (source, customer_key);

CREATE TABLE canonical.sales_order_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	contract_number TEXT, 
	customer_key TEXT NOT NULL, 
	net_value NUMERIC(19, 4), 
	currency TEXT, 
	order_date DATE, 
	requested_delivery DATE, 
	credit_status TEXT, 
	delivery_block TEXT, 
	billing_block TEXT, 
	delivery_status TEXT, 
	billing_status TEXT, 
	status TEXT, 
	etag TEXT, 
	released_at TIMESTAMP WITH TIME ZONE, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_sales_order_history_key ON canonical.sales_order_history (source, source_key, source_version);

CREATE TABLE canonical.delivery (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	order_key TEXT, 
	customer_key TEXT, 
	goods_issued_on DATE, 
	value NUMERIC(19, 4) CONSTRAINT ck_delivery_value_finite CHECK (value <> 'NaN'), 
	currency TEXT CONSTRAINT ck_delivery_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	is_invoiced BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_delivery PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_delivery_order_key ON canonical.delivery (order_key);

CREATE TABLE canonical.delivery_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	order_key TEXT, 
	customer_key TEXT, 
	goods_issued_on DATE, 
	value NUMERIC(19, 4), 
	currency TEXT, 
	is_invoiced BOOLEAN DEFAULT false NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_delivery_history_key ON canonical.delivery_history (source, source_key, source_version);

CREATE TABLE canonical.invoice (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	order_number TEXT, 
	customer_key TEXT NOT NULL, 
	country TEXT, 
	issue_date DATE NOT NULL, 
	posting_date DATE, 
	due_date DATE, 
	gross NUMERIC(19, 4) NOT NULL CONSTRAINT ck_invoice_gross_finite CHECK (gross <> 'NaN'), 
	tax NUMERIC(19, 4) CONSTRAINT ck_invoice_tax_finite CHECK (tax <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_invoice_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	source_open NUMERIC(19, 4) CONSTRAINT ck_invoice_source_open_finite CHECK (source_open <> 'NaN'), 
	status TEXT NOT NULL, 
	is_disputed BOOLEAN DEFAULT false NOT NULL, 
	dispute_reason TEXT, 
	is_credit BOOLEAN DEFAULT false NOT NULL, 
	cancelled_by TEXT, 
	accounting_document TEXT, 
	payment_reference TEXT, 
	CONSTRAINT pk_invoice PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_invoice_number ON canonical.invoice (number);

CREATE INDEX ix_invoice_order_number ON canonical.invoice (order_number);

CREATE INDEX ix_invoice_payment_reference ON canonical.invoice (payment_reference);

CREATE INDEX ix_invoice_source_customer_key ON canonical.invoice (source, customer_key);

CREATE TABLE canonical.invoice_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	number TEXT NOT NULL, 
	order_number TEXT, 
	customer_key TEXT NOT NULL, 
	country TEXT, 
	issue_date DATE NOT NULL, 
	posting_date DATE, 
	due_date DATE, 
	gross NUMERIC(19, 4) NOT NULL, 
	tax NUMERIC(19, 4), 
	currency TEXT NOT NULL, 
	source_open NUMERIC(19, 4), 
	status TEXT NOT NULL, 
	is_disputed BOOLEAN DEFAULT false NOT NULL, 
	dispute_reason TEXT, 
	is_credit BOOLEAN DEFAULT false NOT NULL, 
	cancelled_by TEXT, 
	accounting_document TEXT, 
	payment_reference TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_invoice_history_key ON canonical.invoice_history (source, source_key, source_version);

CREATE TABLE canonical.payment (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	reference TEXT, 
	customer_key TEXT, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_payment_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_payment_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	value_date DATE, 
	received_at TIMESTAMP WITH TIME ZONE, 
	bank_account TEXT, 
	status TEXT NOT NULL, 
	reason TEXT, 
	end_to_end_id TEXT, 
	CONSTRAINT pk_payment PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_payment_reference ON canonical.payment (reference);

CREATE INDEX ix_payment_source_customer_key ON canonical.payment (source, customer_key);

CREATE TABLE canonical.payment_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	reference TEXT, 
	customer_key TEXT, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	value_date DATE, 
	received_at TIMESTAMP WITH TIME ZONE, 
	bank_account TEXT, 
	status TEXT NOT NULL, 
	reason TEXT, 
	end_to_end_id TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_payment_history_key ON canonical.payment_history (source, source_key, source_version);

CREATE TABLE canonical.payment_application (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	invoice_key TEXT NOT NULL, 
	payment_key TEXT, 
	customer_key TEXT, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_payment_application_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_payment_application_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	clearing_date DATE NOT NULL, 
	is_reversed BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_payment_application PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_payment_application_source_invoice_key ON canonical.payment_application (source, invoice_key);

CREATE TABLE canonical.payment_application_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	invoice_key TEXT NOT NULL, 
	payment_key TEXT, 
	customer_key TEXT, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	clearing_date DATE NOT NULL, 
	is_reversed BOOLEAN DEFAULT false NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_payment_application_history_key ON canonical.payment_application_history (source, source_key, source_version);

CREATE TABLE canonical.outgoing_payment (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	payee TEXT, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_outgoing_payment_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_outgoing_payment_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	due_date DATE, 
	requester TEXT, 
	approvals INTEGER, 
	status TEXT NOT NULL, 
	bank_account TEXT, 
	CONSTRAINT pk_outgoing_payment PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.outgoing_payment_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	payee TEXT, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	due_date DATE, 
	requester TEXT, 
	approvals INTEGER, 
	status TEXT NOT NULL, 
	bank_account TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_outgoing_payment_history_key ON canonical.outgoing_payment_history (source, source_key, source_version);

CREATE TABLE canonical.credit_limit (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	customer_key TEXT NOT NULL, 
	segment TEXT, 
	limit_amount NUMERIC(19, 4) CONSTRAINT ck_credit_limit_limit_amount_finite CHECK (limit_amount <> 'NaN'), 
	currency TEXT CONSTRAINT ck_credit_limit_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	valid_from DATE, 
	valid_to DATE, 
	secured_amount NUMERIC(19, 4) CONSTRAINT ck_credit_limit_secured_amount_finite CHECK (secured_amount <> 'NaN'), 
	is_blocked BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_credit_limit PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_credit_limit_source_customer_key ON canonical.credit_limit (source, customer_key);

CREATE TABLE canonical.credit_limit_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	customer_key TEXT NOT NULL, 
	segment TEXT, 
	limit_amount NUMERIC(19, 4), 
	currency TEXT, 
	valid_from DATE, 
	valid_to DATE, 
	secured_amount NUMERIC(19, 4), 
	is_blocked BOOLEAN DEFAULT false NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_credit_limit_history_key ON canonical.credit_limit_history (source, source_key, source_version);

CREATE TABLE canonical.bank_account (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	iban TEXT, 
	other_id TEXT, 
	bank TEXT, 
	name TEXT, 
	currency TEXT CONSTRAINT ck_bank_account_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT pk_bank_account PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.bank_account_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	iban TEXT, 
	other_id TEXT, 
	bank TEXT, 
	name TEXT, 
	currency TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_bank_account_history_key ON canonical.bank_account_history (source, source_key, source_version);

CREATE TABLE canonical.bank_balance (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	account TEXT NOT NULL, 
	balance_type TEXT NOT NULL, 
	as_of_date DATE NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_bank_balance_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_bank_balance_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT pk_bank_balance PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_bank_balance_account_as_of_date ON canonical.bank_balance (account, as_of_date);

CREATE TABLE canonical.bank_balance_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	account TEXT NOT NULL, 
	balance_type TEXT NOT NULL, 
	as_of_date DATE NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_bank_balance_history_key ON canonical.bank_balance_history (source, source_key, source_version);

CREATE TABLE canonical.bank_transaction (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	account TEXT NOT NULL, 
	statement_id TEXT, 
	entry_reference TEXT, 
	booking_date DATE, 
	value_date DATE, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_bank_transaction_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_bank_transaction_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	counterparty_name TEXT, 
	counterparty_account TEXT, 
	remittance TEXT, 
	end_to_end_id TEXT, 
	structured_reference TEXT, 
	bank_code TEXT, 
	is_reversal BOOLEAN DEFAULT false NOT NULL, 
	return_reason TEXT, 
	CONSTRAINT pk_bank_transaction PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_bank_transaction_account_booking_date ON canonical.bank_transaction (account, booking_date);

CREATE INDEX ix_bank_transaction_structured_reference ON canonical.bank_transaction (structured_reference);

CREATE TABLE canonical.bank_transaction_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	account TEXT NOT NULL, 
	statement_id TEXT, 
	entry_reference TEXT, 
	booking_date DATE, 
	value_date DATE, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	counterparty_name TEXT, 
	counterparty_account TEXT, 
	remittance TEXT, 
	end_to_end_id TEXT, 
	structured_reference TEXT, 
	bank_code TEXT, 
	is_reversal BOOLEAN DEFAULT false NOT NULL, 
	return_reason TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_bank_transaction_history_key ON canonical.bank_transaction_history (source, source_key, source_version);

CREATE TABLE canonical.forecast_item (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	run TEXT, 
	made_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	expected_date DATE NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_forecast_item_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_forecast_item_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	customer_key TEXT, 
	invoice_number TEXT, 
	account TEXT, 
	category TEXT, 
	confidence TEXT NOT NULL, 
	reference TEXT, 
	CONSTRAINT pk_forecast_item PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_forecast_item_expected_date ON canonical.forecast_item (expected_date);

CREATE INDEX ix_forecast_item_reference ON canonical.forecast_item (reference);

CREATE INDEX ix_forecast_item_run ON canonical.forecast_item (run);

CREATE TABLE canonical.forecast_item_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	run TEXT, 
	made_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	expected_date DATE NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	customer_key TEXT, 
	invoice_number TEXT, 
	account TEXT, 
	category TEXT, 
	confidence TEXT NOT NULL, 
	reference TEXT, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_forecast_item_history_key ON canonical.forecast_item_history (source, source_key, source_version);

CREATE TABLE canonical.gl_posting (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	document TEXT NOT NULL, 
	line TEXT NOT NULL, 
	account TEXT NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_gl_posting_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_gl_posting_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	posting_date DATE, 
	status TEXT NOT NULL, 
	CONSTRAINT pk_gl_posting PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.gl_posting_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	document TEXT NOT NULL, 
	line TEXT NOT NULL, 
	account TEXT NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL, 
	currency TEXT NOT NULL, 
	posting_date DATE, 
	status TEXT NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_gl_posting_history_key ON canonical.gl_posting_history (source, source_key, source_version);

CREATE TABLE canonical.fx_rate (
	rate_date DATE NOT NULL, 
	currency TEXT NOT NULL CONSTRAINT ck_fx_rate_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	units_per_eur NUMERIC(18, 8) NOT NULL, 
	source TEXT NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_fx_rate PRIMARY KEY (currency, rate_date)
);

CREATE TABLE canonical.collection_status (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	party_id BIGINT, 
	customer_key TEXT NOT NULL, 
	level TEXT NOT NULL, 
	promised_date DATE, 
	amount_overdue NUMERIC(19, 4) CONSTRAINT ck_collection_status_amount_overdue_finite CHECK (amount_overdue <> 'NaN'), 
	currency TEXT CONSTRAINT ck_collection_status_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	status TEXT NOT NULL, 
	CONSTRAINT pk_collection_status PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.collection_status_history (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	content_hash BIGINT NOT NULL, 
	legal_entity TEXT, 
	region TEXT NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	contract_version SMALLINT NOT NULL, 
	backfilled BOOLEAN DEFAULT false NOT NULL, 
	is_deleted BOOLEAN DEFAULT false NOT NULL, 
	party_id BIGINT, 
	customer_key TEXT NOT NULL, 
	level TEXT NOT NULL, 
	promised_date DATE, 
	amount_overdue NUMERIC(19, 4), 
	currency TEXT, 
	status TEXT NOT NULL, 
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_collection_status_history_key ON canonical.collection_status_history (source, source_key, source_version);

CREATE TABLE canonical.party (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	name TEXT NOT NULL, 
	number TEXT, 
	country TEXT, 
	region TEXT NOT NULL, 
	parent_id BIGINT, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_party PRIMARY KEY (id)
);

CREATE INDEX ix_party_number ON canonical.party (number);

CREATE TABLE canonical.identity_link (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	party_id BIGINT NOT NULL, 
	region TEXT NOT NULL, 
	matched_by TEXT NOT NULL, 
	confidence NUMERIC(18, 8) NOT NULL, 
	confirmed_by TEXT, 
	confirmed_at TIMESTAMP WITH TIME ZONE, 
	evidence TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_identity_link PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_identity_link_party_id ON canonical.identity_link (party_id);

CREATE TABLE governance.audit (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	chain TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	subject_kind TEXT NOT NULL, 
	subject_key TEXT NOT NULL, 
	reason TEXT, 
	detail JSONB DEFAULT '{}'::jsonb NOT NULL, 
	previous_hash BYTEA, 
	hash BYTEA, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);

CREATE INDEX ix_audit_chain_id ON governance.audit (chain, id);

CREATE INDEX ix_audit_subject ON governance.audit (subject_kind, subject_key);

CREATE TABLE governance.person (
	subject TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	name TEXT, 
	email TEXT, 
	groups TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	roles TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	regions TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_seen TIMESTAMP WITH TIME ZONE NOT NULL, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_person PRIMARY KEY (subject, issuer)
);

CREATE TABLE governance.session (
	id TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_active_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_session PRIMARY KEY (id)
);

CREATE TABLE governance.api_token (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	name TEXT NOT NULL, 
	digest BYTEA NOT NULL, 
	scopes TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	regions TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_by TEXT NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	last_used_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_api_token PRIMARY KEY (id), 
	CONSTRAINT uq_api_token_digest UNIQUE (digest)
);

CREATE TABLE governance.setting (
	name TEXT NOT NULL, 
	value JSONB DEFAULT '{}'::jsonb NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	changed_by TEXT NOT NULL, 
	version BIGINT DEFAULT 1 NOT NULL, 
	CONSTRAINT pk_setting PRIMARY KEY (name)
);

CREATE TABLE measure.touched (
	kind TEXT NOT NULL, 
	source TEXT NOT NULL, 
	key TEXT NOT NULL, 
	marked_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_touched PRIMARY KEY (kind, source, key)
);

CREATE TABLE measure.invoice_fact (
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	number TEXT NOT NULL, 
	customer_key TEXT NOT NULL, 
	customer_name TEXT, 
	party_id BIGINT, 
	country TEXT, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	currency TEXT NOT NULL CONSTRAINT ck_invoice_fact_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	week DATE NOT NULL, 
	issue_date DATE NOT NULL, 
	due_date DATE, 
	cleared_on DATE, 
	gross NUMERIC(19, 4) NOT NULL CONSTRAINT ck_invoice_fact_gross_finite CHECK (gross <> 'NaN'), 
	applied NUMERIC(19, 4) NOT NULL CONSTRAINT ck_invoice_fact_applied_finite CHECK (applied <> 'NaN'), 
	open_amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_invoice_fact_open_amount_finite CHECK (open_amount <> 'NaN'), 
	gross_reporting NUMERIC(19, 4) CONSTRAINT ck_invoice_fact_gross_reporting_finite CHECK (gross_reporting <> 'NaN'), 
	open_reporting NUMERIC(19, 4) CONSTRAINT ck_invoice_fact_open_reporting_finite CHECK (open_reporting <> 'NaN'), 
	days_to_pay INTEGER, 
	is_disputed BOOLEAN DEFAULT false NOT NULL, 
	is_credit BOOLEAN DEFAULT false NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	CONSTRAINT pk_invoice_fact PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_invoice_fact_customer ON measure.invoice_fact (source, customer_key);

CREATE INDEX ix_invoice_fact_group ON measure.invoice_fact (week, region, legal_entity, currency);

CREATE INDEX ix_invoice_fact_open ON measure.invoice_fact (due_date) WHERE cleared_on is null;

CREATE INDEX ix_invoice_fact_party_id ON measure.invoice_fact (party_id);

CREATE TABLE measure.latency_rollup (
	week DATE NOT NULL, 
	region TEXT NOT NULL, 
	legal_entity TEXT NOT NULL, 
	currency TEXT NOT NULL CONSTRAINT ck_latency_rollup_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	invoices INTEGER NOT NULL, 
	cleared INTEGER NOT NULL, 
	late INTEGER NOT NULL, 
	disputed INTEGER NOT NULL, 
	gross_reporting NUMERIC(19, 4) CONSTRAINT ck_latency_rollup_gross_reporting_finite CHECK (gross_reporting <> 'NaN'), 
	p50 NUMERIC(18, 8), 
	p90 NUMERIC(18, 8), 
	p95 NUMERIC(18, 8), 
	weighted_mean NUMERIC(18, 8), 
	histogram JSONB DEFAULT '{}'::jsonb NOT NULL, 
	computed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_latency_rollup PRIMARY KEY (week, region, legal_entity, currency)
);

CREATE TABLE measure.exposure (
	party_id BIGSERIAL NOT NULL, 
	region TEXT NOT NULL, 
	number TEXT, 
	name TEXT, 
	country TEXT, 
	segment TEXT, 
	currency TEXT NOT NULL CONSTRAINT ck_exposure_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	open_orders NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_open_orders_finite CHECK (open_orders <> 'NaN'), 
	open_deliveries NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_open_deliveries_finite CHECK (open_deliveries <> 'NaN'), 
	unposted_billing NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_unposted_billing_finite CHECK (unposted_billing <> 'NaN'), 
	open_receivables NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_open_receivables_finite CHECK (open_receivables <> 'NaN'), 
	secured NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_secured_finite CHECK (secured <> 'NaN'), 
	exposure NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_exposure_finite CHECK (exposure <> 'NaN'), 
	undelivered_contracts NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_undelivered_contracts_finite CHECK (undelivered_contracts <> 'NaN'), 
	overdue NUMERIC(19, 4) NOT NULL CONSTRAINT ck_exposure_overdue_finite CHECK (overdue <> 'NaN'), 
	credit_limit NUMERIC(19, 4) CONSTRAINT ck_exposure_credit_limit_finite CHECK (credit_limit <> 'NaN'), 
	utilisation NUMERIC(18, 8), 
	limit_state TEXT NOT NULL, 
	median_days_late INTEGER, 
	computed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_exposure PRIMARY KEY (party_id)
);

CREATE INDEX ix_exposure_region ON measure.exposure (region);

CREATE TABLE measure.breach (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	party_id BIGINT NOT NULL, 
	region TEXT NOT NULL, 
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	cleared_at TIMESTAMP WITH TIME ZONE, 
	currency TEXT NOT NULL CONSTRAINT ck_breach_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	limit_amount NUMERIC(19, 4) CONSTRAINT ck_breach_limit_amount_finite CHECK (limit_amount <> 'NaN'), 
	peak NUMERIC(19, 4) NOT NULL CONSTRAINT ck_breach_peak_finite CHECK (peak <> 'NaN'), 
	latest NUMERIC(19, 4) NOT NULL CONSTRAINT ck_breach_latest_finite CHECK (latest <> 'NaN'), 
	CONSTRAINT pk_breach PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_breach_open ON measure.breach (party_id) WHERE cleared_at is null;

CREATE TABLE measure.cash_position (
	source TEXT NOT NULL, 
	account TEXT NOT NULL, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	currency TEXT NOT NULL CONSTRAINT ck_cash_position_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	as_of_date DATE NOT NULL, 
	balance_type TEXT NOT NULL, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_cash_position_amount_finite CHECK (amount <> 'NaN'), 
	amount_reporting NUMERIC(19, 4) CONSTRAINT ck_cash_position_amount_reporting_finite CHECK (amount_reporting <> 'NaN'), 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	CONSTRAINT pk_cash_position PRIMARY KEY (source, account)
);

CREATE TABLE measure.forecast_run (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	made_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	cut_off TIMESTAMP WITH TIME ZONE NOT NULL, 
	reporting_currency TEXT NOT NULL CONSTRAINT ck_forecast_run_reporting_currency_iso CHECK (reporting_currency ~ '^[A-Z]{3}$'), 
	behaviour JSONB DEFAULT '{}'::jsonb NOT NULL, 
	items INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_forecast_run PRIMARY KEY (id)
);

CREATE TABLE measure.forecast_line (
	run_id BIGINT NOT NULL, 
	source TEXT NOT NULL, 
	item_key TEXT NOT NULL, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	category TEXT NOT NULL, 
	party_id BIGINT, 
	invoice_number TEXT, 
	expected_date DATE NOT NULL, 
	early_date DATE, 
	late_date DATE, 
	amount NUMERIC(19, 4) NOT NULL CONSTRAINT ck_forecast_line_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT NOT NULL CONSTRAINT ck_forecast_line_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	amount_reporting NUMERIC(19, 4) CONSTRAINT ck_forecast_line_amount_reporting_finite CHECK (amount_reporting <> 'NaN'), 
	confidence TEXT NOT NULL, 
	CONSTRAINT pk_forecast_line PRIMARY KEY (run_id, source, item_key)
);

CREATE INDEX ix_forecast_line_expected_date ON measure.forecast_line (run_id, expected_date);

CREATE TABLE measure.lag (
	connection TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	records BIGINT NOT NULL, 
	p50 NUMERIC(18, 8), 
	p95 NUMERIC(18, 8), 
	longest NUMERIC(18, 8), 
	computed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_lag PRIMARY KEY (connection, stream)
);

CREATE TABLE measure.figure (
	slug TEXT NOT NULL, 
	dimension TEXT NOT NULL, 
	key TEXT NOT NULL, 
	region TEXT NOT NULL, 
	on_date DATE NOT NULL, 
	value NUMERIC(28, 8), 
	unit TEXT NOT NULL, 
	count BIGINT, 
	why_missing TEXT, 
	as_of TIMESTAMP WITH TIME ZONE NOT NULL, 
	oldest_feed TIMESTAMP WITH TIME ZONE, 
	sync_share NUMERIC(28, 8), 
	computed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_figure PRIMARY KEY (slug, dimension, key, region, on_date)
);

CREATE TABLE process.clock (
	id SMALLSERIAL NOT NULL CONSTRAINT ck_clock_single CHECK (id = 1), 
	world_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	wall_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	rate NUMERIC(18, 8) NOT NULL, 
	until_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_clock PRIMARY KEY (id)
);

CREATE TABLE process.stream (
	connection TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	region TEXT NOT NULL, 
	cursor JSONB, 
	lease_token BIGINT DEFAULT 0 NOT NULL, 
	lease_owner TEXT, 
	lease_until TIMESTAMP WITH TIME ZONE, 
	live_since TIMESTAMP WITH TIME ZONE, 
	complete_until TIMESTAMP WITH TIME ZONE, 
	newest_changed_at TIMESTAMP WITH TIME ZONE, 
	last_attempt_at TIMESTAMP WITH TIME ZONE, 
	last_success_at TIMESTAMP WITH TIME ZONE, 
	last_error TEXT, 
	last_error_kind TEXT, 
	next_attempt_at TIMESTAMP WITH TIME ZONE, 
	consecutive_failures INTEGER DEFAULT 0 NOT NULL, 
	breaker_open_until TIMESTAMP WITH TIME ZONE, 
	is_paused BOOLEAN DEFAULT false NOT NULL, 
	paused_reason TEXT, 
	records_total BIGINT DEFAULT 0 NOT NULL, 
	budget JSONB DEFAULT '{}'::jsonb NOT NULL, 
	fields_seen JSONB DEFAULT '{}'::jsonb NOT NULL, 
	CONSTRAINT pk_stream PRIMARY KEY (connection, stream)
);

CREATE TABLE process.run (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	connection TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	region TEXT NOT NULL, 
	trigger TEXT NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	state TEXT NOT NULL CONSTRAINT ck_run_state_known CHECK (state in ('running', 'done', 'failed', 'abandoned')), 
	pages INTEGER DEFAULT 0 NOT NULL, 
	records BIGINT DEFAULT 0 NOT NULL, 
	error TEXT, 
	CONSTRAINT pk_run PRIMARY KEY (id)
);

CREATE INDEX ix_run_connection_stream_started_at ON process.run (connection, stream, started_at);

CREATE TABLE process.batch (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	run_id BIGINT NOT NULL, 
	connection TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	region TEXT NOT NULL, 
	committed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	lease_token BIGINT NOT NULL, 
	pages INTEGER NOT NULL, 
	received BIGINT NOT NULL, 
	promoted BIGINT NOT NULL, 
	unchanged BIGINT NOT NULL, 
	duplicates BIGINT NOT NULL, 
	superseded BIGINT NOT NULL, 
	quarantined BIGINT NOT NULL, 
	cursor_after JSONB, 
	entities JSONB DEFAULT '{}'::jsonb NOT NULL, 
	CONSTRAINT pk_batch PRIMARY KEY (id)
);

CREATE INDEX ix_batch_connection_stream_committed_at ON process.batch (connection, stream, committed_at);

CREATE TABLE process.control_total (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	page_id BIGINT NOT NULL, 
	connection TEXT NOT NULL, 
	region TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	currency TEXT CONSTRAINT ck_control_total_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	declared_count BIGINT, 
	computed_count BIGINT, 
	declared_amount NUMERIC(19, 4) CONSTRAINT ck_control_total_declared_amount_finite CHECK (declared_amount <> 'NaN'), 
	computed_amount NUMERIC(19, 4) CONSTRAINT ck_control_total_computed_amount_finite CHECK (computed_amount <> 'NaN'), 
	agree BOOLEAN DEFAULT false NOT NULL, 
	verdict TEXT, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_control_total PRIMARY KEY (id)
);

CREATE INDEX ix_control_total_page_id ON process.control_total (page_id);

CREATE TABLE process.event (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	type TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	source TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	source_version BIGINT NOT NULL, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	objects TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	raw_record_id BIGINT NOT NULL, 
	data JSONB DEFAULT '{}'::jsonb NOT NULL, 
	state TEXT NOT NULL CONSTRAINT ck_event_state_known CHECK (state in ('new', 'handled', 'failed', 'ignored')), 
	handled_at TIMESTAMP WITH TIME ZONE, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	next_attempt_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_event PRIMARY KEY (id), 
	CONSTRAINT uq_event_once UNIQUE (source, source_key, type, source_version, raw_record_id)
);

CREATE INDEX ix_event_new ON process.event (region, id) WHERE state = 'new';

CREATE TABLE process.decision (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	rule TEXT NOT NULL, 
	rule_version TEXT NOT NULL, 
	event_id BIGINT, 
	subject_kind TEXT NOT NULL, 
	subject_source TEXT NOT NULL, 
	subject_key TEXT NOT NULL, 
	party_id BIGINT, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	outcome TEXT NOT NULL, 
	reasons TEXT[] DEFAULT '{}'::text[] NOT NULL, 
	inputs JSONB DEFAULT '{}'::jsonb NOT NULL, 
	amount NUMERIC(19, 4) CONSTRAINT ck_decision_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT CONSTRAINT ck_decision_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	decided_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	decided_by TEXT NOT NULL, 
	CONSTRAINT pk_decision PRIMARY KEY (id), 
	CONSTRAINT uq_decision_once UNIQUE (rule, event_id, subject_key)
);

CREATE INDEX ix_decision_party_id ON process.decision (party_id);

CREATE INDEX ix_decision_subject ON process.decision (subject_kind, subject_source, subject_key);

CREATE TABLE process."case" (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	decision_id BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	party_id BIGINT, 
	customer_name TEXT, 
	subject_key TEXT NOT NULL, 
	amount NUMERIC(19, 4) CONSTRAINT ck_case_amount_finite CHECK (amount <> 'NaN'), 
	currency TEXT CONSTRAINT ck_case_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	state TEXT NOT NULL CONSTRAINT ck_case_state_known CHECK (state in ('open', 'approved', 'rejected', 'obsolete')), 
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	opened_by TEXT NOT NULL, 
	closed_at TIMESTAMP WITH TIME ZONE, 
	closed_by TEXT, 
	reason TEXT, 
	context JSONB DEFAULT '{}'::jsonb NOT NULL, 
	CONSTRAINT pk_case PRIMARY KEY (id), 
	CONSTRAINT ck_case_four_eyes CHECK (closed_by is null or closed_by <> opened_by), 
	CONSTRAINT uq_case_once UNIQUE (decision_id, kind)
);

CREATE INDEX ix_case_open ON process."case" (region, opened_at) WHERE state = 'open';

CREATE TABLE process.command (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	kind TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT, 
	regions TEXT NOT NULL, 
	payload JSONB DEFAULT '{}'::jsonb NOT NULL, 
	state TEXT NOT NULL CONSTRAINT ck_command_state_known CHECK (state in ('queued', 'running', 'done', 'failed')), 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	total INTEGER DEFAULT 0 NOT NULL, 
	done INTEGER DEFAULT 0 NOT NULL, 
	outcome JSONB DEFAULT '{}'::jsonb NOT NULL, 
	CONSTRAINT pk_command PRIMARY KEY (id), 
	CONSTRAINT uq_command_idempotency_key UNIQUE (idempotency_key)
);

CREATE INDEX ix_command_created_at ON process.command (created_at);

CREATE TABLE process.command_item (
	command_id BIGINT NOT NULL, 
	exception_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	region TEXT NOT NULL, 
	state TEXT NOT NULL CONSTRAINT ck_command_item_state_known CHECK (state in ('waiting', 'resolved', 'failed', 'skipped')), 
	outcome TEXT, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_command_item PRIMARY KEY (command_id, exception_id)
);

CREATE INDEX ix_command_item_waiting ON process.command_item (command_id, position) WHERE state = 'waiting';

CREATE TABLE process.effect (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	effect_key TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	connection TEXT NOT NULL, 
	region TEXT NOT NULL, 
	object_key TEXT NOT NULL, 
	payload JSONB DEFAULT '{}'::jsonb NOT NULL, 
	state TEXT NOT NULL CONSTRAINT ck_effect_state_known CHECK (state in ('planned', 'sent', 'confirmed', 'unknown', 'failed')), 
	decision_id BIGINT, 
	case_id BIGINT, 
	requested_by TEXT NOT NULL, 
	approved_by TEXT, 
	planned_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sent_at TIMESTAMP WITH TIME ZONE, 
	settled_at TIMESTAMP WITH TIME ZONE, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	next_attempt_at TIMESTAMP WITH TIME ZONE, 
	receipt JSONB DEFAULT '{}'::jsonb NOT NULL, 
	error TEXT, 
	error_kind TEXT, 
	CONSTRAINT pk_effect PRIMARY KEY (id), 
	CONSTRAINT uq_effect_effect_key UNIQUE (effect_key)
);

CREATE INDEX ix_effect_decision_id ON process.effect (decision_id);

CREATE INDEX ix_effect_object_key ON process.effect (connection, object_key);

CREATE INDEX ix_effect_open ON process.effect (connection, id) WHERE state in ('planned','sent','unknown');

CREATE TABLE process.exception (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	fingerprint TEXT NOT NULL, 
	fingerprint_version INTEGER DEFAULT 1 NOT NULL, 
	cause TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	state TEXT NOT NULL CONSTRAINT ck_exception_state_known CHECK (state in ('new', 'acknowledged', 'waiting', 'replaying', 'resolved', 'regressed', 'dismissed')), 
	kind TEXT NOT NULL, 
	connection TEXT NOT NULL, 
	stream TEXT, 
	region TEXT NOT NULL, 
	legal_entity TEXT, 
	entity TEXT, 
	source_key TEXT, 
	source_version BIGINT, 
	raw_record_id BIGINT, 
	effect_id BIGINT, 
	event_id BIGINT, 
	customer_key TEXT, 
	customer_name TEXT, 
	money_at_risk NUMERIC(19, 4) CONSTRAINT ck_exception_money_at_risk_finite CHECK (money_at_risk <> 'NaN'), 
	currency TEXT CONSTRAINT ck_exception_currency_iso CHECK (currency ~ '^[A-Z]{3}$'), 
	money_at_risk_reporting NUMERIC(19, 4) CONSTRAINT ck_exception_money_at_risk_reporting_finite CHECK (money_at_risk_reporting <> 'NaN'), 
	message TEXT NOT NULL, 
	hint TEXT, 
	evidence JSONB DEFAULT '{}'::jsonb NOT NULL, 
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_seen TIMESTAMP WITH TIME ZONE NOT NULL, 
	occurrences INTEGER DEFAULT 1 NOT NULL, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	next_retry_at TIMESTAMP WITH TIME ZONE, 
	due_at TIMESTAMP WITH TIME ZONE, 
	owner TEXT, 
	dismissed_until TIMESTAMP WITH TIME ZONE, 
	resolved_at TIMESTAMP WITH TIME ZONE, 
	resolution TEXT, 
	regressed_from TEXT, 
	CONSTRAINT pk_exception PRIMARY KEY (id)
);

CREATE INDEX ix_exception_fingerprint ON process.exception (fingerprint);

CREATE INDEX ix_exception_open ON process.exception (state, cause) WHERE state not in ('resolved','dismissed');

CREATE INDEX ix_exception_record ON process.exception (connection, entity, source_key);

CREATE TABLE process.webhook (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	connection TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	region TEXT NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	page_id BIGINT, 
	state TEXT NOT NULL CONSTRAINT ck_webhook_state_known CHECK (state in ('new', 'processed', 'duplicate', 'quarantined')), 
	settled_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_webhook PRIMARY KEY (id), 
	CONSTRAINT uq_webhook_once UNIQUE (connection, event_id)
);

CREATE TABLE process.tick (
	job TEXT NOT NULL, 
	scheduled_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_tick PRIMARY KEY (job, scheduled_at)
);

CREATE SEQUENCE raw.page_id_seq;

CREATE TABLE raw.page (
	id BIGINT NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	connection TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	region TEXT NOT NULL, 
	run_id BIGINT, 
	sequence INTEGER DEFAULT 0 NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT, 
	content_type TEXT, 
	encoding TEXT, 
	digest BYTEA NOT NULL, 
	byte_count INTEGER NOT NULL, 
	record_count INTEGER, 
	headers JSONB DEFAULT '{}'::jsonb NOT NULL, 
	body BYTEA NOT NULL, 
	CONSTRAINT pk_page PRIMARY KEY (id, recorded_at)
)
 PARTITION BY RANGE (recorded_at);

CREATE INDEX ix_page_connection_stream_digest ON raw.page (connection, stream, digest);

CREATE INDEX ix_page_run_id ON raw.page (run_id);

create table raw.page_other partition of raw.page default;

create function raw.ensure_page_partitions(first_month date, months int) returns int language plpgsql as $$
declare
  month date := date_trunc('month', first_month)::date;
  made int := 0;
begin
  for step in 1..months loop
    if to_regclass(format('raw.page_%s', to_char(month, 'YYYY_MM'))) is null then
      execute format('create table raw.%I partition of raw.page for values from (%L) to (%L)',
                     'page_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
      made := made + 1;
    end if;
    month := (month + interval '1 month')::date;
  end loop;
  return made;
end $$;

create function governance.audit_digest(previous bytea, chain text, at timestamptz, actor text, action text, subject_kind text,
                                        subject_key text, reason text, detail jsonb) returns bytea
language sql immutable as $$
  select sha256(coalesce(previous, ''::bytea) || convert_to(jsonb_build_array(
    chain, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor, action, subject_kind, subject_key, reason, detail
  )::text, 'UTF8'))
$$;

create function governance.audit_append() returns trigger language plpgsql security definer
set search_path = pg_catalog, governance as $$
declare
  regions text := current_setting('tidegate.regions', true);
begin
  perform pg_advisory_xact_lock(hashtext('tidegate.audit.' || new.chain));
  perform set_config('tidegate.regions', '*', true);
  new.id := nextval(pg_get_serial_sequence('governance.audit', 'id'));
  select a.hash into new.previous_hash from governance.audit a where a.chain = new.chain order by a.id desc limit 1;
  new.hash := governance.audit_digest(new.previous_hash, new.chain, new.at, new.actor, new.action, new.subject_kind,
                                      new.subject_key, new.reason, new.detail);
  perform set_config('tidegate.regions', coalesce(regions, ''), true);
  return new;
end $$;

create function governance.append_only() returns trigger language plpgsql as $$
begin
  raise exception '%.% is append-only: % refused', tg_table_schema, tg_table_name, tg_op;
end $$;

create trigger audit_append before insert on governance.audit for each row execute function governance.audit_append();

create trigger audit_keep before update or delete on governance.audit for each row execute function governance.append_only();

create trigger audit_keep_all before truncate on governance.audit for each statement execute function governance.append_only();

create trigger effect_keep before delete on process.effect for each row execute function governance.append_only();

create trigger effect_keep_all before truncate on process.effect for each statement execute function governance.append_only();

alter table canonical."bank_account" enable row level security;

alter table canonical."bank_account" force row level security;

create policy by_region on canonical."bank_account" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."bank_account_history" enable row level security;

alter table canonical."bank_account_history" force row level security;

create policy by_region on canonical."bank_account_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."bank_balance" enable row level security;

alter table canonical."bank_balance" force row level security;

create policy by_region on canonical."bank_balance" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."bank_balance_history" enable row level security;

alter table canonical."bank_balance_history" force row level security;

create policy by_region on canonical."bank_balance_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."bank_transaction" enable row level security;

alter table canonical."bank_transaction" force row level security;

create policy by_region on canonical."bank_transaction" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."bank_transaction_history" enable row level security;

alter table canonical."bank_transaction_history" force row level security;

create policy by_region on canonical."bank_transaction_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."collection_status" enable row level security;

alter table canonical."collection_status" force row level security;

create policy by_region on canonical."collection_status" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."collection_status_history" enable row level security;

alter table canonical."collection_status_history" force row level security;

create policy by_region on canonical."collection_status_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."contract" enable row level security;

alter table canonical."contract" force row level security;

create policy by_region on canonical."contract" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."contract_history" enable row level security;

alter table canonical."contract_history" force row level security;

create policy by_region on canonical."contract_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."credit_limit" enable row level security;

alter table canonical."credit_limit" force row level security;

create policy by_region on canonical."credit_limit" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."credit_limit_history" enable row level security;

alter table canonical."credit_limit_history" force row level security;

create policy by_region on canonical."credit_limit_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."customer" enable row level security;

alter table canonical."customer" force row level security;

create policy by_region on canonical."customer" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."customer_history" enable row level security;

alter table canonical."customer_history" force row level security;

create policy by_region on canonical."customer_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."delivery" enable row level security;

alter table canonical."delivery" force row level security;

create policy by_region on canonical."delivery" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."delivery_history" enable row level security;

alter table canonical."delivery_history" force row level security;

create policy by_region on canonical."delivery_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."forecast_item" enable row level security;

alter table canonical."forecast_item" force row level security;

create policy by_region on canonical."forecast_item" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."forecast_item_history" enable row level security;

alter table canonical."forecast_item_history" force row level security;

create policy by_region on canonical."forecast_item_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."gl_posting" enable row level security;

alter table canonical."gl_posting" force row level security;

create policy by_region on canonical."gl_posting" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."gl_posting_history" enable row level security;

alter table canonical."gl_posting_history" force row level security;

create policy by_region on canonical."gl_posting_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."identity_link" enable row level security;

alter table canonical."identity_link" force row level security;

create policy by_region on canonical."identity_link" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."invoice" enable row level security;

alter table canonical."invoice" force row level security;

create policy by_region on canonical."invoice" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."invoice_history" enable row level security;

alter table canonical."invoice_history" force row level security;

create policy by_region on canonical."invoice_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."opportunity" enable row level security;

alter table canonical."opportunity" force row level security;

create policy by_region on canonical."opportunity" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."opportunity_history" enable row level security;

alter table canonical."opportunity_history" force row level security;

create policy by_region on canonical."opportunity_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."outgoing_payment" enable row level security;

alter table canonical."outgoing_payment" force row level security;

create policy by_region on canonical."outgoing_payment" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."outgoing_payment_history" enable row level security;

alter table canonical."outgoing_payment_history" force row level security;

create policy by_region on canonical."outgoing_payment_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."party" enable row level security;

alter table canonical."party" force row level security;

create policy by_region on canonical."party" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."payment" enable row level security;

alter table canonical."payment" force row level security;

create policy by_region on canonical."payment" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."payment_application" enable row level security;

alter table canonical."payment_application" force row level security;

create policy by_region on canonical."payment_application" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."payment_application_history" enable row level security;

alter table canonical."payment_application_history" force row level security;

create policy by_region on canonical."payment_application_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."payment_history" enable row level security;

alter table canonical."payment_history" force row level security;

create policy by_region on canonical."payment_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."quote" enable row level security;

alter table canonical."quote" force row level security;

create policy by_region on canonical."quote" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."quote_history" enable row level security;

alter table canonical."quote_history" force row level security;

create policy by_region on canonical."quote_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."sales_order" enable row level security;

alter table canonical."sales_order" force row level security;

create policy by_region on canonical."sales_order" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."sales_order_history" enable row level security;

alter table canonical."sales_order_history" force row level security;

create policy by_region on canonical."sales_order_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table governance."audit" enable row level security;

alter table governance."audit" force row level security;

create policy by_region on governance."audit" using ((current_setting('tidegate.regions', true) = '*' or chain = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."breach" enable row level security;

alter table measure."breach" force row level security;

create policy by_region on measure."breach" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."cash_position" enable row level security;

alter table measure."cash_position" force row level security;

create policy by_region on measure."cash_position" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."exposure" enable row level security;

alter table measure."exposure" force row level security;

create policy by_region on measure."exposure" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."figure" enable row level security;

alter table measure."figure" force row level security;

create policy by_region on measure."figure" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."forecast_line" enable row level security;

alter table measure."forecast_line" force row level security;

create policy by_region on measure."forecast_line" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."invoice_fact" enable row level security;

alter table measure."invoice_fact" force row level security;

create policy by_region on measure."invoice_fact" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table measure."latency_rollup" enable row level security;

alter table measure."latency_rollup" force row level security;

create policy by_region on measure."latency_rollup" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."batch" enable row level security;

alter table process."batch" force row level security;

create policy by_region on process."batch" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."case" enable row level security;

alter table process."case" force row level security;

create policy by_region on process."case" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."command_item" enable row level security;

alter table process."command_item" force row level security;

create policy by_region on process."command_item" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."control_total" enable row level security;

alter table process."control_total" force row level security;

create policy by_region on process."control_total" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."decision" enable row level security;

alter table process."decision" force row level security;

create policy by_region on process."decision" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."effect" enable row level security;

alter table process."effect" force row level security;

create policy by_region on process."effect" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."event" enable row level security;

alter table process."event" force row level security;

create policy by_region on process."event" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."exception" enable row level security;

alter table process."exception" force row level security;

create policy by_region on process."exception" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."run" enable row level security;

alter table process."run" force row level security;

create policy by_region on process."run" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process."webhook" enable row level security;

alter table process."webhook" force row level security;

create policy by_region on process."webhook" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table raw."page" enable row level security;

alter table raw."page" force row level security;

create policy by_region on raw."page" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table process.command enable row level security;

alter table process.command force row level security;

create policy by_actor on process.command using (actor = current_setting('tidegate.actor', true) or current_setting('tidegate.regions', true) = '*');

grant usage on schema raw to tidegate_pages;

grant usage on schema canonical to tidegate_pages;

grant usage on schema process to tidegate_pages;

grant usage on schema measure to tidegate_pages;

grant usage on schema governance to tidegate_pages;

grant select on all tables in schema canonical to tidegate_pages;

grant select on all tables in schema process to tidegate_pages;

grant select on all tables in schema measure to tidegate_pages;

grant select on all tables in schema governance to tidegate_pages;

grant select on raw.page to tidegate_pages;

revoke select on governance.api_token, measure.forecast_run, measure.touched from tidegate_pages;

grant select (id, made_at, cut_off, reporting_currency, items) on measure.forecast_run to tidegate_pages;

grant insert on process.command, process.command_item, governance.audit to tidegate_pages;

grant usage on all sequences in schema process, governance to tidegate_pages;

