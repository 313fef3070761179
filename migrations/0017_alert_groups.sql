-- 0017: alerts stand in groups of one rule, cluster and actor, with a state; silences mark them; what a cluster sends beyond
-- what is kept of it is counted.

-- Who did it, Falco's output fields, and the silence that the alert met.
alter table alerts add column actor text not null default '';
alter table alerts add column fields jsonb not null default '{}';
alter table alerts add column silence_id text not null default '';

create table alert_groups (
  -- Made from cluster, rule and actor.
  id text primary key,
  cluster_id text not null references clusters (id),
  rule text not null,
  -- "*" for all that came when the cluster had as many groups as are kept apart.
  actor text not null,
  -- The most severe: the smallest number.
  priority smallint not null,
  source text not null,
  tags text[] not null,
  count bigint not null,
  not_stored bigint not null,
  -- Times of events.
  first_at timestamptz not null,
  last_at timestamptz not null,
  received_at timestamptz not null,
  state text not null check (state in ('open', 'acknowledged', 'resolved')),
  state_by text not null default '',
  state_at timestamptz not null,
  note text not null default '',
  -- Grows with each change of the state.
  generation bigint not null default 1,
  silence_id text,
  silenced_until timestamptz,
  -- Of the newest alert.
  fields jsonb not null,
  -- The newest few: id, time in microseconds, output.
  samples jsonb not null
) with (fillfactor = 80);
create index alert_groups_by_cluster on alert_groups (cluster_id);
create index alert_groups_by_arrival on alert_groups (received_at desc, id desc);
create index alert_groups_by_silence on alert_groups (silence_id) where silence_id is not null;

create table alert_group_acts (
  group_id text not null references alert_groups (id) on delete cascade,
  sequence bigint generated always as identity,
  at timestamptz not null,
  -- Empty when an alert opened the group again.
  who text not null,
  what text not null,
  note text not null,
  primary key (group_id, sequence)
);

create table alert_silences (
  id text primary key,
  matchers text not null,
  author text not null,
  reason text not null,
  -- Of its author: it reaches no cluster outside.
  scope jsonb not null default '[]',
  created_at timestamptz not null,
  expires_at timestamptz not null,
  removed_at timestamptz,
  removed_by text,
  changed bigint not null default nextval('change_seq')
);
create index alert_silences_by_change on alert_silences (changed);

-- What a cluster sent in an hour, by rule: how much was stored, and how much was only counted.
create table alert_intake (
  cluster_id text not null references clusters (id),
  hour timestamptz not null,
  -- Empty for all rules that came after so many.
  rule text not null,
  stored bigint not null,
  not_stored bigint not null,
  primary key (cluster_id, hour, rule)
);
create index alert_intake_by_hour on alert_intake (hour);
