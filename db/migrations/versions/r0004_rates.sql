DROP TABLE canonical.fx_rate;

CREATE TABLE canonical.fx_rate (
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
	rate_date DATE NOT NULL,
	currency TEXT NOT NULL CONSTRAINT ck_fx_rate_currency_iso CHECK (currency ~ '^[A-Z]{3}$'),
	units_per_eur NUMERIC(18, 8) NOT NULL,
	is_suspect BOOLEAN DEFAULT false NOT NULL,
	precedence INTEGER DEFAULT 100 NOT NULL,
	CONSTRAINT pk_fx_rate PRIMARY KEY (source, source_key)
);

CREATE INDEX ix_fx_rate_in_use ON canonical.fx_rate (currency, rate_date desc, precedence, source);

CREATE INDEX ix_fx_rate_rate_date ON canonical.fx_rate (rate_date);

CREATE TABLE canonical.fx_rate_history (
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
	rate_date DATE NOT NULL,
	currency TEXT NOT NULL,
	units_per_eur NUMERIC(18, 8) NOT NULL,
	is_suspect BOOLEAN DEFAULT false NOT NULL,
	precedence INTEGER DEFAULT 100 NOT NULL,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_fx_rate_history_key ON canonical.fx_rate_history (source, source_key, source_version);

alter table canonical."fx_rate" enable row level security;
alter table canonical."fx_rate" force row level security;
create policy by_region on canonical."fx_rate" using (((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))) or region = '*' and coalesce(current_setting('tidegate.regions', true), '') <> ''));
alter table canonical."fx_rate_history" enable row level security;
alter table canonical."fx_rate_history" force row level security;
create policy by_region on canonical."fx_rate_history" using (((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))) or region = '*' and coalesce(current_setting('tidegate.regions', true), '') <> ''));
grant select on canonical.fx_rate, canonical.fx_rate_history to tidegate_pages;
