"""What the database itself enforces: schemas, the pages' role, row-level security by region, the audit chain, partitions.

Each statement is attached to the metadata, so that tables made from the metadata and tables made by migrations are alike.
"""

from __future__ import annotations

import sqlalchemy as sa

from db.schema import canonical, governance, measure, process, raw  # noqa: F401  (they fill the metadata)
from db.schema.base import SCHEMAS, metadata

PAGES_ROLE = "tidegate_pages"
"""The role of pages and API: reads what its regions allow and submits commands; owns nothing."""

_VISIBLE = (
    "(current_setting('tidegate.regions', true) = '*' or {column} = any(string_to_array(current_setting('tidegate.regions', true), ',')))"
)
_SHARED = "({visible} or region = '*' and coalesce(current_setting('tidegate.regions', true), '') <> '')"
"""What belongs to every region is seen by whoever sees any."""

_ROLE = f"""
do $$ begin
  if not exists (select from pg_roles where rolname = '{PAGES_ROLE}') then
    begin
      create role {PAGES_ROLE} nologin;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  begin
    execute format('grant {PAGES_ROLE} to %I', current_user);
  exception when insufficient_privilege then
    if not pg_has_role(current_user, '{PAGES_ROLE}', 'MEMBER') then raise; end if;
  end;
exception
  when insufficient_privilege then
    raise exception 'role {PAGES_ROLE} is missing, or this user is no member of it, and this user may not create or grant roles'
      using hint = 'ask the database administrator for: create role {PAGES_ROLE} nologin; grant {PAGES_ROLE} to <this user>';
end $$
"""

_PARTITIONS = """
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
end $$
"""

_AUDIT_CHAIN = """
create function governance.audit_digest(previous bytea, chain text, at timestamptz, actor text, action text, subject_kind text,
                                        subject_key text, reason text, detail jsonb) returns bytea
language sql immutable as $$
  select sha256(coalesce(previous, ''::bytea) || convert_to(jsonb_build_array(
    chain, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor, action, subject_kind, subject_key, reason, detail
  )::text, 'UTF8'))
$$
"""

# A chain grows one link at a time: without the lock, concurrent writers fork it.
_AUDIT_APPEND = """
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
end $$
"""

_APPEND_ONLY = """
create function governance.append_only() returns trigger language plpgsql as $$
begin
  raise exception '%.% is append-only: % refused', tg_table_schema, tg_table_name, tg_op;
end $$
"""

_AUDIT_TRIGGERS = (
    "create trigger audit_append before insert on governance.audit for each row execute function governance.audit_append()",
    "create trigger audit_keep before update or delete on governance.audit for each row execute function governance.append_only()",
    "create trigger audit_keep_all before truncate on governance.audit for each statement execute function governance.append_only()",
    "create trigger effect_keep before delete on process.effect for each row execute function governance.append_only()",
    "create trigger effect_keep_all before truncate on process.effect for each statement execute function governance.append_only()",
)


def _row_security() -> list[str]:
    statements = []
    for table in metadata.sorted_tables:
        column = "region" if table.info.get("rls") else table.info.get("rls_column")
        if column is None:
            continue
        name = f'{table.schema}."{table.name}"'
        visible = _VISIBLE.format(column=column)
        if table.info.get("shared"):
            visible = _SHARED.format(visible=visible)
        statements += [
            f"alter table {name} enable row level security",
            f"alter table {name} force row level security",
            f"create policy by_region on {name} using ({visible})",
        ]
    own = "actor = current_setting('tidegate.actor', true) or current_setting('tidegate.regions', true) = '*'"
    statements += [
        "alter table process.command enable row level security",
        "alter table process.command force row level security",
        f"create policy by_actor on process.command using ({own})",
    ]
    return statements


def _grants() -> list[str]:
    statements = [f"grant usage on schema {schema} to {PAGES_ROLE}" for schema in SCHEMAS]
    # Not `all tables` of raw: a partition read directly would not ask its parent's policy.
    statements += [f"grant select on all tables in schema {schema} to {PAGES_ROLE}" for schema in SCHEMAS if schema != "raw"]
    statements += [
        f"grant select on raw.page to {PAGES_ROLE}",
        f"revoke select on governance.api_token, measure.forecast_run, measure.touched from {PAGES_ROLE}",
        f"grant select (id, made_at, cut_off, reporting_currency, items) on measure.forecast_run to {PAGES_ROLE}",
        f"grant insert on process.command, process.command_item, governance.audit to {PAGES_ROLE}",
        f"grant usage on all sequences in schema process, governance to {PAGES_ROLE}",
    ]
    return statements


def before_tables() -> list[str]:
    """Statements that run before the tables are made, in order."""
    return [_ROLE, *[f"create schema if not exists {schema}" for schema in SCHEMAS]]


def after_tables() -> list[str]:
    """Statements that run after the tables are made, in order."""
    return [
        "create table raw.page_other partition of raw.page default",
        _PARTITIONS,
        _AUDIT_CHAIN,
        _AUDIT_APPEND,
        _APPEND_ONLY,
        *_AUDIT_TRIGGERS,
        *_row_security(),
        *_grants(),
    ]


def _ddl(statement: str) -> sa.DDL:
    return sa.DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


for _statement in before_tables():
    sa.event.listen(metadata, "before_create", _ddl(_statement))
for _statement in after_tables():
    sa.event.listen(metadata, "after_create", _ddl(_statement))
