-- 0006: rollouts wait for people and for their hours: for the approval of somebody else, for a time, for the end of a
-- freeze. What was done with a rollout, by whom and why, is kept beside it.

-- True until the first wave may begin. Until then a rollout holds no cluster.
alter table rollouts add column pending boolean not null default false;
-- How many other people it takes and why; null for nobody.
alter table rollouts add column need jsonb;
-- Who started it or took a new plan for it: the credential and the identity behind it.
alter table rollouts add column starters jsonb not null default '[]';

create table rollout_approvals (
  rollout_id text not null references rollouts (id),
  -- The plan that was looked at. An approval counts for no other.
  plan_digest text not null,
  -- The identity, not its name: one word for each person, whatever tokens they have.
  person text not null,
  name text not null,
  reason text not null,
  approved_at timestamptz not null,
  lapses_at timestamptz not null,
  primary key (rollout_id, plan_digest, person)
);

create table rollout_acts (
  rollout_id text not null references rollouts (id),
  sequence bigint generated always as identity,
  at timestamptz not null,
  who text not null,
  what text not null,
  why text not null,
  plan_digest text not null,
  primary key (rollout_id, sequence)
);

-- Times in which no wave begins. The one that counts is the newest that was not lifted and has not ended.
create table freezes (
  id bigint generated always as identity primary key,
  reason text not null,
  created_by text not null,
  created_at timestamptz not null,
  until_at timestamptz,
  lifted_at timestamptz,
  lifted_by text
);
create unique index freezes_one_at_a_time on freezes ((true)) where lifted_at is null;
