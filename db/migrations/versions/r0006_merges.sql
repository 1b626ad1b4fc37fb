CREATE TABLE canonical.customer_merge (
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
	into_key TEXT NOT NULL,
	CONSTRAINT pk_customer_merge PRIMARY KEY (source, source_key)
);

CREATE TABLE canonical.customer_merge_history (
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
	into_key TEXT NOT NULL,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_customer_merge_history_key ON canonical.customer_merge_history (source, source_key, source_version);

alter table canonical."customer_merge" enable row level security;
alter table canonical."customer_merge" force row level security;
create policy by_region on canonical."customer_merge" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

alter table canonical."customer_merge_history" enable row level security;
alter table canonical."customer_merge_history" force row level security;
create policy by_region on canonical."customer_merge_history" using ((current_setting('tidegate.regions', true) = '*' or region = any(string_to_array(current_setting('tidegate.regions', true), ','))));

grant select on canonical.customer_merge, canonical.customer_merge_history to tidegate_pages;
