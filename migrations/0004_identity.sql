-- 0004: identities. Which CA an agent's certificate is from and which ones it proves to trust, so that the CA can be
-- replaced; how often an agent was started, so that a copy of it is noticed; and what else a join token is bound to.

alter table agents
  -- Pin of the CA that issued the newest certificate; empty for those from before.
  add column certificate_ca text not null default '',
  -- Pins of the CAs that the agent trusts, by its own signed word.
  add column trusted_cas text[] not null default '{}',
  -- The process that spoke last, the ones before it, and how often the agent was started as it said itself.
  add column instance_id text not null default '',
  add column earlier_instances text[] not null default '{}',
  add column starts bigint not null default 0,
  -- What the server finds wrong with the identity: code, message, since, and when it was seen last.
  add column suspicions jsonb not null default '[]';

alter table join_tokens
  add column cluster_uid text,
  -- The network that an agent has to come from, as ADDRESS/BITS.
  add column cidr text;

-- One row for each time that the CA was replaced. The key of the new CA is sealed by the key of the one before, which
-- only servers hold, and is taken out when every server has had the time to fetch it.
create table ca_rotations (
  number integer primary key,
  phase text not null check (phase in ('spreading', 'switched', 'finished', 'cancelled')),
  from_pin text not null,
  from_certificate bytea not null,
  to_pin text not null unique,
  to_certificate bytea not null,
  to_key bytea,
  started_at timestamptz not null,
  started_by text not null,
  switched_at timestamptz,
  switched_by text,
  -- Finished or cancelled.
  ended_at timestamptz,
  ended_by text,
  -- Who was left behind on purpose, as CLUSTER/AGENT.
  left_behind text[] not null default '{}',
  changed bigint not null default nextval('change_seq')
);
create unique index ca_rotations_one_at_a_time on ca_rotations ((true)) where phase in ('spreading', 'switched');
create index ca_rotations_by_change on ca_rotations (changed);
