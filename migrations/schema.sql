create sequence change_seq;

create function audit_is_append_only(); -- its text stands in the migration

create table agent_components (
  agent_id text not null,
  kind text not null,
  running_digest text,
  running_since timestamp with time zone,
  proved_generation bigint,
  proved_at timestamp with time zone,
  constraint agent_components_pkey primary key (agent_id, kind),
  constraint agent_components_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint agent_components_kind_check check ((kind = any (array['rules'::text, 'shipper'::text])))
);

create table agents (
  id text not null,
  cluster_id text not null,
  name text not null,
  public_key bytea not null,
  certificate_serial text not null,
  certificate_expires_at timestamp with time zone not null,
  version text not null default ''::text,
  engine_version text not null default ''::text,
  capabilities text[] not null default '{}'::text[],
  session_id text,
  session_epoch bigint not null default 0,
  session_sequence bigint not null default 0,
  transport text,
  server_id text,
  connected_at timestamp with time zone,
  disconnected_at timestamp with time zone,
  last_seen_at timestamp with time zone,
  observed_generation bigint not null default 0,
  conditions jsonb not null default '[]'::jsonb,
  revoked_at timestamp with time zone,
  created_at timestamp with time zone not null,
  audit_head bytea,
  certificate_ca text not null default ''::text,
  trusted_cas text[] not null default '{}'::text[],
  instance_id text not null default ''::text,
  earlier_instances text[] not null default '{}'::text[],
  starts bigint not null default 0,
  suspicions jsonb not null default '[]'::jsonb,
  root_version bigint not null default 0,
  targets_version bigint not null default 0,
  constraint agents_cluster_id_name_key unique (cluster_id, name),
  constraint agents_pkey primary key (id),
  constraint agents_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);

create table alerts (
  id text not null,
  time timestamp with time zone not null,
  received_at timestamp with time zone not null,
  arrival bigint not null generated always as identity,
  cluster_id text not null,
  agent_id text not null,
  rule text not null,
  priority smallint not null,
  source text not null,
  output text not null,
  body text not null,
  audit_id text not null default ''::text,
  tags text[] not null default '{}'::text[],
  rules_digest text not null,
  constraint alerts_pkey primary key (cluster_id, "time", id)
) partition by range ("time");
create index alerts_by_arrival on only public.alerts using btree (arrival);
create index alerts_by_rule on only public.alerts using btree (rule, "time" desc);
create index alerts_by_time on only public.alerts using btree ("time", id);

create table alerts_default (
  id text not null,
  time timestamp with time zone not null,
  received_at timestamp with time zone not null,
  arrival bigint not null generated always as identity,
  cluster_id text not null,
  agent_id text not null,
  rule text not null,
  priority smallint not null,
  source text not null,
  output text not null,
  body text not null,
  audit_id text not null default ''::text,
  tags text[] not null default '{}'::text[],
  rules_digest text not null,
  constraint alerts_default_pkey primary key (cluster_id, "time", id)
) partition by of alerts default;
create index alerts_default_arrival_idx on public.alerts_default using btree (arrival);
create index alerts_default_rule_time_idx on public.alerts_default using btree (rule, "time" desc);
create index alerts_default_time_id_idx on public.alerts_default using btree ("time", id);

create table api_tokens (
  id text not null,
  name text not null,
  secret_hash bytea not null,
  role text not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null,
  created_by text not null,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  scope jsonb not null default '[]'::jsonb,
  issuer text,
  subject text,
  constraint api_tokens_pkey primary key (id),
  constraint api_tokens_of_a_login check (((issuer is null) = (subject is null))),
  constraint api_tokens_role_check check ((role = any (array['viewer'::text, 'operator'::text, 'approver'::text, 'admin'::text])))
);
create index api_tokens_by_login on public.api_tokens using btree (issuer, subject, expires_at) where (issuer is not null);

create table assignments (
  cluster_id text not null,
  generation bigint not null,
  rules_digest text,
  shipper_digest text,
  rules_rollout_id text,
  shipper_rollout_id text,
  changed_at timestamp with time zone not null,
  changed bigint not null default nextval('change_seq'::regclass),
  constraint assignments_pkey primary key (cluster_id),
  constraint assignments_cluster_id_fkey foreign key (cluster_id) references clusters(id),
  constraint assignments_rules_digest_fkey foreign key (rules_digest) references bundles(digest),
  constraint assignments_rules_rollout_id_fkey foreign key (rules_rollout_id) references rollouts(id),
  constraint assignments_shipper_digest_fkey foreign key (shipper_digest) references bundles(digest),
  constraint assignments_shipper_rollout_id_fkey foreign key (shipper_rollout_id) references rollouts(id)
);
create index assignments_by_change on public.assignments using btree (changed);

create table attempts (
  agent_id text not null,
  kind text not null,
  digest text not null,
  generation bigint not null,
  at timestamp with time zone not null,
  phase text not null,
  reason text not null default ''::text,
  detail text not null default ''::text,
  log_tail text not null default ''::text,
  constraint attempts_pkey primary key (agent_id, kind, at, phase),
  constraint attempts_agent_id_fkey foreign key (agent_id) references agents(id)
);

create table audit_chains (
  org text not null,
  sequence bigint not null,
  hash bytea not null,
  constraint audit_chains_pkey primary key (org)
);
create trigger audit_chains_only_grow before update on public.audit_chains for each row when (((new.org <> old.org) or (new.sequence <> (old.sequence + 1)))) execute function audit_is_append_only();
create trigger audit_chains_stay before delete or truncate on public.audit_chains for each statement execute function audit_is_append_only();

create table audit_entries (
  org text not null,
  sequence bigint not null,
  previous bytea not null,
  body text not null,
  hash bytea not null,
  constraint audit_entries_pkey primary key (org, sequence),
  constraint audit_entries_sequence_check check ((sequence > 0))
);
create index audit_entries_by_actor on public.audit_entries using btree (org, (((body)::jsonb #>> '{actor,name}'::text[])), sequence);
create index audit_entries_by_method on public.audit_entries using btree (org, (((body)::jsonb ->> 'method'::text)), sequence);
create index audit_entries_by_target on public.audit_entries using btree (org, (((body)::jsonb ->> 'target'::text)), sequence);
create trigger audit_entries_append_only before delete or update or truncate on public.audit_entries for each statement execute function audit_is_append_only();

create table audit_heads (
  org text not null,
  sequence bigint not null,
  signed_at timestamp with time zone not null,
  payload bytea not null,
  key_id text not null,
  signature bytea not null,
  constraint audit_heads_pkey primary key (org, sequence, signed_at)
);
create trigger audit_heads_append_only before delete or update or truncate on public.audit_heads for each statement execute function audit_is_append_only();

create table bundles (
  digest text not null,
  kind text not null,
  name text not null,
  version text not null,
  target_path text not null,
  length bigint not null,
  content bytea not null,
  counts jsonb not null default '{}'::jsonb,
  targets_version bigint not null,
  pushed_at timestamp with time zone not null,
  pushed_by text not null,
  constraint bundles_kind_name_version_key unique (kind, name, version),
  constraint bundles_target_path_key unique (target_path),
  constraint bundles_pkey primary key (digest),
  constraint bundles_kind_check check ((kind = any (array['rules'::text, 'shipper'::text])))
);

create table ca_rotations (
  number integer not null,
  phase text not null,
  from_pin text not null,
  from_certificate bytea not null,
  to_pin text not null,
  to_certificate bytea not null,
  to_key bytea,
  started_at timestamp with time zone not null,
  started_by text not null,
  switched_at timestamp with time zone,
  switched_by text,
  ended_at timestamp with time zone,
  ended_by text,
  left_behind text[] not null default '{}'::text[],
  changed bigint not null default nextval('change_seq'::regclass),
  constraint ca_rotations_to_pin_key unique (to_pin),
  constraint ca_rotations_pkey primary key (number),
  constraint ca_rotations_phase_check check ((phase = any (array['spreading'::text, 'switched'::text, 'finished'::text, 'cancelled'::text])))
);
create index ca_rotations_by_change on public.ca_rotations using btree (changed);
create unique index ca_rotations_one_at_a_time on public.ca_rotations using btree ((true)) where (phase = any (array['spreading'::text, 'switched'::text]));

create table clusters (
  id text not null,
  name text not null,
  uid text not null,
  labels jsonb not null,
  created_at timestamp with time zone not null,
  retired_at timestamp with time zone,
  changed bigint not null default nextval('change_seq'::regclass),
  constraint clusters_name_key unique (name),
  constraint clusters_uid_key unique (uid),
  constraint clusters_pkey primary key (id),
  constraint clusters_have_a_region check ((labels ? 'region'::text))
);
create index clusters_by_change on public.clusters using btree (changed);
create index clusters_by_label on public.clusters using gin (labels jsonb_path_ops);
create index clusters_by_name on public.clusters using btree (name collate "c");

create table enrollments (
  token_id text not null,
  key_hash bytea not null,
  agent_id text not null,
  at timestamp with time zone not null,
  constraint enrollments_pkey primary key (token_id, key_hash),
  constraint enrollments_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint enrollments_token_id_fkey foreign key (token_id) references join_tokens(id)
);

create table freezes (
  id bigint not null generated always as identity,
  reason text not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  until_at timestamp with time zone,
  lifted_at timestamp with time zone,
  lifted_by text,
  constraint freezes_pkey primary key (id)
);
create unique index freezes_one_at_a_time on public.freezes using btree ((true)) where (lifted_at is null);

create table join_tokens (
  id text not null,
  secret_hash bytea not null,
  labels jsonb not null,
  cluster_name text,
  uses_max integer not null,
  uses integer not null default 0,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null,
  created_by text not null,
  revoked_at timestamp with time zone,
  scope jsonb not null default '[]'::jsonb,
  cluster_uid text,
  cidr text,
  constraint join_tokens_pkey primary key (id),
  constraint join_tokens_within_uses check ((uses <= uses_max))
);

create table rates (
  agent_id text not null,
  cluster_id text not null,
  minute timestamp with time zone not null,
  events bigint not null,
  bytes bigint not null,
  alerts bigint not null,
  dropped bigint not null,
  parked bigint not null,
  lag_ms bigint not null,
  detection_us bigint not null,
  seconds smallint not null,
  constraint rates_pkey primary key (minute, agent_id)
) partition by range (minute);
create index rates_by_cluster on only public.rates using btree (cluster_id, minute desc);

create table rates_default (
  agent_id text not null,
  cluster_id text not null,
  minute timestamp with time zone not null,
  events bigint not null,
  bytes bigint not null,
  alerts bigint not null,
  dropped bigint not null,
  parked bigint not null,
  lag_ms bigint not null,
  detection_us bigint not null,
  seconds smallint not null,
  constraint rates_default_pkey primary key (minute, agent_id)
) partition by of rates default;
create index rates_default_cluster_id_minute_idx on public.rates_default using btree (cluster_id, minute desc);

create table rollout_acts (
  rollout_id text not null,
  sequence bigint not null generated always as identity,
  at timestamp with time zone not null,
  who text not null,
  what text not null,
  why text not null,
  plan_digest text not null,
  constraint rollout_acts_pkey primary key (rollout_id, sequence),
  constraint rollout_acts_rollout_id_fkey foreign key (rollout_id) references rollouts(id)
);

create table rollout_approvals (
  rollout_id text not null,
  plan_digest text not null,
  person text not null,
  name text not null,
  reason text not null,
  approved_at timestamp with time zone not null,
  lapses_at timestamp with time zone not null,
  constraint rollout_approvals_pkey primary key (rollout_id, plan_digest, person),
  constraint rollout_approvals_rollout_id_fkey foreign key (rollout_id) references rollouts(id)
);

create table rollout_clusters (
  rollout_id text not null,
  cluster_id text not null,
  wave integer not null,
  state text not null default 'waiting'::text,
  previous_digest text,
  generation bigint not null default 0,
  assigned_at timestamp with time zone,
  proved_at timestamp with time zone,
  reason text not null default ''::text,
  late boolean not null default false,
  constraint rollout_clusters_pkey primary key (rollout_id, cluster_id),
  constraint rollout_clusters_cluster_id_fkey foreign key (cluster_id) references clusters(id),
  constraint rollout_clusters_previous_digest_fkey foreign key (previous_digest) references bundles(digest),
  constraint rollout_clusters_rollout_id_fkey foreign key (rollout_id) references rollouts(id)
);
create index rollout_clusters_by_cluster on public.rollout_clusters using btree (cluster_id);
create index rollout_clusters_open on public.rollout_clusters using btree (rollout_id) where (state = any (array['waiting'::text, 'assigned'::text]));

create table rollout_gates (
  rollout_id text not null,
  wave integer not null,
  gate text not null,
  state text not null,
  measured text not null,
  gate_limit text not null,
  words text not null,
  generation bigint not null,
  judged_at timestamp with time zone not null,
  constraint rollout_gates_pkey primary key (rollout_id, wave, gate),
  constraint rollout_gates_rollout_id_fkey foreign key (rollout_id) references rollouts(id),
  constraint rollout_gates_state_check check ((state = any (array['holds'::text, 'waits'::text, 'fails'::text])))
);

create table rollouts (
  id text not null,
  kind text not null,
  digest text not null,
  spec jsonb not null,
  state text not null,
  because text not null default ''::text,
  wave integer not null default 0,
  generation bigint not null default 1,
  plan_digest text not null,
  waves jsonb not null,
  request_id text,
  created_by text not null,
  created_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  scope jsonb not null default '[]'::jsonb,
  pending boolean not null default false,
  need jsonb,
  starters jsonb not null default '[]'::jsonb,
  constraint rollouts_request_id_key unique (request_id),
  constraint rollouts_pkey primary key (id),
  constraint rollouts_digest_fkey foreign key (digest) references bundles(digest),
  constraint rollouts_kind_check check ((kind = any (array['rules'::text, 'shipper'::text])))
);
create index rollouts_unfinished on public.rollouts using btree (created_at) where (finished_at is null);

create table shadow_reports (
  rollout_id text not null,
  agent_id text not null,
  cluster_id text not null,
  state text not null,
  reason text not null,
  detail text not null,
  since timestamp with time zone,
  updated_at timestamp with time zone not null,
  events bigint not null,
  skipped bigint not null,
  undecided bigint not null,
  failures bigint not null,
  evaluation_us bigint not null,
  rules jsonb not null,
  constraint shadow_reports_pkey primary key (rollout_id, agent_id),
  constraint shadow_reports_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint shadow_reports_cluster_id_fkey foreign key (cluster_id) references clusters(id),
  constraint shadow_reports_rollout_id_fkey foreign key (rollout_id) references rollouts(id) on delete cascade
);
create index shadow_reports_old on public.shadow_reports using btree (updated_at);

create table trust_metadata (
  role text not null,
  version bigint not null,
  body bytea not null,
  expires_at timestamp with time zone not null,
  published_at timestamp with time zone not null,
  changed bigint not null default nextval('change_seq'::regclass),
  constraint trust_metadata_pkey primary key (role, version),
  constraint trust_metadata_role_check check ((role = any (array['root'::text, 'targets'::text, 'snapshot'::text, 'timestamp'::text])))
);
create index trust_metadata_by_change on public.trust_metadata using btree (changed);
