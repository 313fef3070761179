-- 0002: the audit log. One hash-chained row per operator action, heads that the server signs over it, and the head that
-- each agent carries.

-- The end of each organisation's chain. Whoever appends locks this row until the transaction ends, so that rows have no
-- gaps and one order.
create table audit_chains (
  org text primary key,
  sequence bigint not null,
  hash bytea not null
);

create table audit_entries (
  org text not null,
  sequence bigint not null check (sequence > 0),
  previous bytea not null,
  -- The entry as canonical JSON; text, because what is hashed are these very bytes.
  body text not null,
  hash bytea not null,
  primary key (org, sequence)
);
create index audit_entries_by_actor on audit_entries (org, (body::jsonb #>> '{actor,name}'), sequence);
create index audit_entries_by_method on audit_entries (org, (body::jsonb ->> 'method'), sequence);
create index audit_entries_by_target on audit_entries (org, (body::jsonb ->> 'target'), sequence);

-- Heads as the server signed them: DSSE envelopes with one signature.
create table audit_heads (
  org text not null,
  sequence bigint not null,
  signed_at timestamptz not null,
  payload bytea not null,
  key_id text not null,
  signature bytea not null,
  primary key (org, sequence, signed_at)
);

-- The newest head that an agent has verified, as an encoded Envelope, from its own signed report.
alter table agents add column audit_head bytea;

-- Nobody rewrites the log by mistake or with the rights of the server; who can switch this off is found out by the chain.
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only: % on % is refused', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end $$;
create trigger audit_entries_append_only before update or delete or truncate on audit_entries
  for each statement execute function audit_is_append_only();
create trigger audit_heads_append_only before update or delete or truncate on audit_heads
  for each statement execute function audit_is_append_only();
create trigger audit_chains_stay before delete or truncate on audit_chains
  for each statement execute function audit_is_append_only();
create trigger audit_chains_only_grow before update on audit_chains
  for each row when (new.org <> old.org or new.sequence <> old.sequence + 1)
  execute function audit_is_append_only();
