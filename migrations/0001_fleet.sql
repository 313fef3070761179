-- 0001: the fleet. Clusters and agents, what they should run and what they prove, trust metadata and bundles,
-- rollouts, tokens, alerts and minute rates.

-- Counts every change of an assignment, trust metadata or labels, so that a server can ask "what changed since?".
create sequence change_seq;

create table clusters (
  id text primary key,
  name text not null unique,
  uid text not null unique,
  labels jsonb not null,
  created_at timestamptz not null,
  retired_at timestamptz,
  -- Takes a new number from change_seq when labels change or the cluster is retired.
  changed bigint not null default nextval('change_seq'),
  constraint clusters_have_a_region check (labels ? 'region')
);
create index clusters_by_label on clusters using gin (labels jsonb_path_ops);
create index clusters_by_change on clusters (changed);

create table agents (
  id text primary key,
  cluster_id text not null references clusters (id),
  name text not null,
  -- The key that signs the agent's reports: SPKI, DER. Replaced when a renewed certificate is first used.
  public_key bytea not null,
  certificate_serial text not null,
  certificate_expires_at timestamptz not null,
  version text not null default '',
  engine_version text not null default '',
  capabilities text[] not null default '{}',
  -- The session that may write; a newer session takes over by raising the epoch.
  session_id text,
  session_epoch bigint not null default 0,
  session_sequence bigint not null default 0,
  transport text,
  server_id text,
  connected_at timestamptz,
  disconnected_at timestamptz,
  last_seen_at timestamptz,
  observed_generation bigint not null default 0,
  conditions jsonb not null default '[]',
  revoked_at timestamptz,
  created_at timestamptz not null,
  unique (cluster_id, name)
);

-- What an agent proves that it runs, and what it tried last, per kind of bundle.
create table agent_components (
  agent_id text not null references agents (id),
  kind text not null check (kind in ('rules', 'shipper')),
  running_digest text,
  running_since timestamptz,
  proved_generation bigint,
  proved_at timestamptz,
  primary key (agent_id, kind)
);

-- Every attempt an agent reports, kept as history; the newest per kind is the last one.
create table attempts (
  agent_id text not null references agents (id),
  kind text not null,
  digest text not null,
  generation bigint not null,
  at timestamptz not null,
  phase text not null,
  reason text not null default '',
  detail text not null default '',
  primary key (agent_id, kind, at, phase)
);

create table bundles (
  digest text primary key,
  kind text not null check (kind in ('rules', 'shipper')),
  name text not null,
  version text not null,
  target_path text not null unique,
  length bigint not null,
  content bytea not null,
  counts jsonb not null default '{}',
  -- The newest targets version that lists it.
  targets_version bigint not null,
  pushed_at timestamptz not null,
  pushed_by text not null,
  unique (kind, name, version)
);

create table trust_metadata (
  role text not null check (role in ('root', 'targets', 'snapshot', 'timestamp')),
  version bigint not null,
  body bytea not null,
  expires_at timestamptz not null,
  published_at timestamptz not null,
  changed bigint not null default nextval('change_seq'),
  primary key (role, version)
);
create index trust_metadata_by_change on trust_metadata (changed);

create table rollouts (
  id text primary key,
  kind text not null check (kind in ('rules', 'shipper')),
  digest text not null references bundles (digest),
  spec jsonb not null,
  state text not null,
  because text not null default '',
  wave integer not null default 0,
  generation bigint not null default 1,
  plan_digest text not null,
  waves jsonb not null,
  request_id text unique,
  created_by text not null,
  created_at timestamptz not null,
  finished_at timestamptz
);
create index rollouts_unfinished on rollouts (created_at) where finished_at is null;

create table rollout_clusters (
  rollout_id text not null references rollouts (id),
  cluster_id text not null references clusters (id),
  wave integer not null,
  state text not null default 'waiting',
  previous_digest text references bundles (digest),
  -- The assignment generation that gave it the bundle, or took it back.
  generation bigint not null default 0,
  assigned_at timestamptz,
  proved_at timestamptz,
  reason text not null default '',
  primary key (rollout_id, cluster_id)
);

create table assignments (
  cluster_id text primary key references clusters (id),
  generation bigint not null,
  rules_digest text references bundles (digest),
  shipper_digest text references bundles (digest),
  -- The rollout that last moved each kind; null when inherited at enrolment.
  rules_rollout_id text references rollouts (id),
  shipper_rollout_id text references rollouts (id),
  changed_at timestamptz not null,
  changed bigint not null default nextval('change_seq')
);
create index assignments_by_change on assignments (changed);

create table join_tokens (
  id text primary key,
  secret_hash bytea not null,
  labels jsonb not null,
  cluster_name text,
  uses_max integer not null,
  uses integer not null default 0,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  created_by text not null,
  revoked_at timestamptz,
  constraint join_tokens_within_uses check (uses <= uses_max)
);

-- One row per use of a join token, so that a repeated request after a lost answer finds its first result.
create table enrollments (
  token_id text not null references join_tokens (id),
  key_hash bytea not null,
  agent_id text not null references agents (id),
  at timestamptz not null,
  primary key (token_id, key_hash)
);

create table api_tokens (
  id text primary key,
  name text not null,
  secret_hash bytea not null,
  role text not null check (role in ('viewer', 'operator', 'admin')),
  expires_at timestamptz not null,
  created_at timestamptz not null,
  created_by text not null,
  last_used_at timestamptz,
  revoked_at timestamptz
);

-- Partitioned by the day of the event. The key holds the time because the same alert always has the same time.
create table alerts (
  id text not null,
  time timestamptz not null,
  received_at timestamptz not null,
  -- Order of arrival, for tailing.
  arrival bigint generated always as identity,
  cluster_id text not null,
  agent_id text not null,
  rule text not null,
  -- Falco's number: 0 emergency to 7 debug.
  priority smallint not null,
  source text not null,
  output text not null,
  body text not null,
  audit_id text not null default '',
  tags text[] not null default '{}',
  rules_digest text not null,
  primary key (time, id)
) partition by range (time);
create table alerts_default partition of alerts default;
create index alerts_by_arrival on alerts (arrival);
create index alerts_by_cluster on alerts (cluster_id, time desc);
create index alerts_by_rule on alerts (rule, time desc);

-- One row per agent and minute, partitioned by day.
create table rates (
  agent_id text not null,
  cluster_id text not null,
  minute timestamptz not null,
  events bigint not null,
  bytes bigint not null,
  alerts bigint not null,
  dropped bigint not null,
  parked bigint not null,
  lag_ms bigint not null,
  detection_us bigint not null,
  -- How much of the minute is covered.
  seconds smallint not null,
  primary key (minute, agent_id)
) partition by range (minute);
create table rates_default partition of rates default;
create index rates_by_cluster on rates (cluster_id, minute desc);
