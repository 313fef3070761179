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
  constraint agent_components_kind_check check (((kind = any (array['rules'::text, 'shipper'::text])) or (kind ~~ 'layer/%'::text)))
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
  session_begins jsonb not null default '[]'::jsonb,
  left_at timestamp with time zone,
  constraint agents_cluster_id_name_key unique (cluster_id, name),
  constraint agents_pkey primary key (id),
  constraint agents_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);

create table alert_actor_hours (
  hour timestamp with time zone not null,
  number integer not null,
  rule text not null,
  priority smallint not null,
  actor text not null,
  fields jsonb not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_actor_hours_pkey primary key (hour, number)
) partition by range (hour);

create table alert_actor_hours_default (
  hour timestamp with time zone not null,
  number integer not null,
  rule text not null,
  priority smallint not null,
  actor text not null,
  fields jsonb not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_actor_hours_default_pkey primary key (hour, number)
) partition by of alert_actor_hours default;

create table alert_group_acts (
  group_id text not null,
  sequence bigint not null generated always as identity,
  at timestamp with time zone not null,
  who text not null,
  what text not null,
  note text not null,
  constraint alert_group_acts_pkey primary key (group_id, sequence),
  constraint alert_group_acts_group_id_fkey foreign key (group_id) references alert_groups(id) on delete cascade
);

create table alert_groups (
  id text not null,
  cluster_id text not null,
  rule text not null,
  actor text not null,
  priority smallint not null,
  source text not null,
  tags text[] not null,
  count bigint not null,
  not_stored bigint not null,
  first_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  state text not null,
  state_by text not null default ''::text,
  state_at timestamp with time zone not null,
  note text not null default ''::text,
  generation bigint not null default 1,
  silence_id text,
  silenced_until timestamp with time zone,
  fields jsonb not null,
  samples jsonb not null,
  constraint alert_groups_pkey primary key (id),
  constraint alert_groups_cluster_id_fkey foreign key (cluster_id) references clusters(id),
  constraint alert_groups_state_check check ((state = any (array['open'::text, 'acknowledged'::text, 'resolved'::text])))
);
create index alert_groups_by_arrival on public.alert_groups using btree (received_at desc, id desc);
create index alert_groups_by_cluster on public.alert_groups using btree (cluster_id);
create index alert_groups_by_silence on public.alert_groups using btree (silence_id) where (silence_id is not null);

create table alert_hours (
  hour timestamp with time zone not null,
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_hours_pkey primary key (hour, cluster_id, rule, priority)
) partition by range (hour);
create index alert_hours_by_rule on only public.alert_hours using btree (rule, hour);

create table alert_hours_default (
  hour timestamp with time zone not null,
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_hours_default_pkey primary key (hour, cluster_id, rule, priority)
) partition by of alert_hours default;
create index alert_hours_default_rule_hour_idx on public.alert_hours_default using btree (rule, hour);

create table alert_intake (
  cluster_id text not null,
  hour timestamp with time zone not null,
  rule text not null,
  stored bigint not null,
  not_stored bigint not null,
  constraint alert_intake_pkey primary key (cluster_id, hour, rule),
  constraint alert_intake_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);
create index alert_intake_by_hour on public.alert_intake using btree (hour);
create index alert_intake_not_stored on public.alert_intake using btree (hour) where (not_stored > 0);

create table alert_silences (
  id text not null,
  matchers text not null,
  author text not null,
  reason text not null,
  scope jsonb not null default '[]'::jsonb,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  removed_at timestamp with time zone,
  removed_by text,
  changed bigint not null default nextval('change_seq'::regclass),
  constraint alert_silences_pkey primary key (id)
);
create index alert_silences_by_change on public.alert_silences using btree (changed);

create table alert_totals (
  hour timestamp with time zone not null,
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  share smallint not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_totals_pkey primary key (hour, cluster_id, rule, priority, share)
) partition by range (hour);

create table alert_totals_default (
  hour timestamp with time zone not null,
  cluster_id text not null,
  rule text not null,
  priority smallint not null,
  share smallint not null,
  count bigint not null,
  last_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint alert_totals_default_pkey primary key (hour, cluster_id, rule, priority, share)
) partition by of alert_totals default;

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
  actor text not null default ''::text,
  fields jsonb not null default '{}'::jsonb,
  silence_id text not null default ''::text,
  constraint alerts_pkey primary key (cluster_id, "time", id)
) partition by range ("time");
create index alerts_by_arrival on only public.alerts using btree (arrival);
create index alerts_by_cluster_rule on only public.alerts using btree (cluster_id, rule, "time" desc);
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
  actor text not null default ''::text,
  fields jsonb not null default '{}'::jsonb,
  silence_id text not null default ''::text,
  constraint alerts_default_pkey primary key (cluster_id, "time", id)
) partition by of alerts default;
create index alerts_default_arrival_idx on public.alerts_default using btree (arrival);
create index alerts_default_cluster_id_rule_time_idx on public.alerts_default using btree (cluster_id, rule, "time" desc);
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

create table assignment_layers (
  cluster_id text not null,
  layer text not null,
  digest text,
  rollout_id text,
  constraint assignment_layers_pkey primary key (cluster_id, layer),
  constraint assignment_layers_cluster_id_fkey foreign key (cluster_id) references assignments(cluster_id),
  constraint assignment_layers_digest_fkey foreign key (digest) references bundles(digest),
  constraint assignment_layers_rollout_id_fkey foreign key (rollout_id) references rollouts(id)
);

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
create index attempts_newest on public.attempts using btree (agent_id, kind, generation desc, at desc);

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

create table backtest_clusters (
  backtest_id text not null,
  cluster_id text not null,
  constraint backtest_clusters_pkey primary key (backtest_id, cluster_id),
  constraint backtest_clusters_backtest_id_fkey foreign key (backtest_id) references backtests(id) on delete cascade,
  constraint backtest_clusters_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);
create index backtest_clusters_cluster on public.backtest_clusters using btree (cluster_id);

create table backtest_reports (
  backtest_id text not null,
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
  bytes_done bigint not null,
  bytes_total bigint not null,
  missing bigint not null,
  oldest timestamp with time zone,
  constraint backtest_reports_pkey primary key (backtest_id, agent_id),
  constraint backtest_reports_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint backtest_reports_backtest_id_fkey foreign key (backtest_id) references backtests(id) on delete cascade,
  constraint backtest_reports_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);

create table backtests (
  id text not null,
  digest text not null,
  since timestamp with time zone not null,
  until timestamp with time zone not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  deadline_at timestamp with time zone not null,
  canceled_at timestamp with time zone,
  finished_at timestamp with time zone,
  constraint backtests_pkey primary key (id),
  constraint backtests_digest_fkey foreign key (digest) references bundles(digest)
);
create index backtests_created on public.backtests using btree (created_at);

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
  constraint bundles_kind_check check ((kind = any (array['rules'::text, 'shipper'::text, 'layer'::text])))
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

create table issuer_uses (
  issuer_id text not null,
  token_hash bytea not null,
  key_hash bytea not null,
  agent_id text not null,
  at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint issuer_uses_pkey primary key (issuer_id, token_hash),
  constraint issuer_uses_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint issuer_uses_issuer_id_fkey foreign key (issuer_id) references issuers(id)
);
create index issuer_uses_by_expiry on public.issuer_uses using btree (expires_at);

create table issuers (
  id text not null,
  cluster_name text not null,
  cluster_uid text not null,
  labels jsonb not null,
  issuer text not null,
  subject text not null,
  keys jsonb not null,
  keys_digest text not null,
  scope jsonb not null default '[]'::jsonb,
  created_at timestamp with time zone not null,
  created_by text not null,
  revoked_at timestamp with time zone,
  constraint issuers_pkey primary key (id)
);
create index issuers_by_cluster on public.issuers using btree (cluster_name);

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

create table notification_cursor (
  id integer not null,
  arrival bigint not null,
  seen_arrival bigint not null,
  seen_xid bigint not null,
  looked_at timestamp with time zone not null,
  constraint notification_cursor_pkey primary key (id),
  constraint notification_cursor_id_check check ((id = 1))
);

create table notification_deliveries (
  id text not null,
  receiver text not null,
  route text not null,
  message jsonb not null,
  state text not null,
  attempts integer not null default 0,
  due_at timestamp with time zone not null,
  failure text not null default ''::text,
  created_at timestamp with time zone not null,
  dead_at timestamp with time zone,
  constraint notification_deliveries_pkey primary key (id),
  constraint notification_deliveries_receiver_fkey foreign key (receiver) references notification_receivers(name) on delete cascade
);
create index notification_deliveries_dead on public.notification_deliveries using btree (dead_at) where (state = 'dead'::text);
create index notification_deliveries_due on public.notification_deliveries using btree (due_at) where (state = 'waiting'::text);

create table notification_groups (
  route text not null,
  key text not null,
  labels jsonb not null,
  entries jsonb not null,
  left_out bigint not null default 0,
  created_at timestamp with time zone not null,
  sent_at timestamp with time zone,
  due_at timestamp with time zone not null,
  constraint notification_groups_pkey primary key (route, key),
  constraint notification_groups_route_fkey foreign key (route) references notification_routes(name) on delete cascade
);
create index notification_groups_due on public.notification_groups using btree (due_at);

create table notification_receivers (
  name text not null,
  kind text not null,
  settings jsonb not null,
  sealed bytea,
  seal_key text,
  secret_names text[] not null default '{}'::text[],
  per_minute integer not null,
  busy_until timestamp with time zone not null,
  sent_at timestamp with time zone,
  failed_at timestamp with time zone,
  failure text not null default ''::text,
  created_at timestamp with time zone not null,
  created_by text not null,
  constraint notification_receivers_pkey primary key (name)
);

create table notification_routes (
  name text not null,
  position bigint not null generated always as identity,
  receiver text not null,
  matchers text not null,
  group_by text[] not null,
  wait_ms integer not null,
  interval_ms integer not null,
  repeat_ms integer not null,
  goes_on boolean not null,
  created_at timestamp with time zone not null,
  created_by text not null,
  constraint notification_routes_pkey primary key (name),
  constraint notification_routes_receiver_fkey foreign key (receiver) references notification_receivers(name)
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

create table report_schedules (
  name text not null,
  report text not null,
  receiver text not null,
  format text not null,
  schedule text not null,
  selector jsonb not null,
  redact text[] not null,
  next_at timestamp with time zone not null,
  last_at timestamp with time zone,
  created_at timestamp with time zone not null,
  created_by text not null,
  failures integer not null default 0,
  failed_because text not null default ''::text,
  retry_at timestamp with time zone,
  rules text[] not null default '{}'::text[],
  constraint report_schedules_pkey primary key (name),
  constraint report_schedules_receiver_fkey foreign key (receiver) references notification_receivers(name)
);
create index report_schedules_due on public.report_schedules using btree (next_at);

create table responses (
  cluster_id text not null,
  alert_id text not null,
  response text not null,
  agent_id text not null,
  rule text not null,
  action text not null,
  namespace text not null,
  pod text not null,
  outcome text not null,
  why text not null,
  rules_digest text not null,
  decided_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  record bytea not null,
  signature bytea not null,
  constraint responses_pkey primary key (cluster_id, alert_id, response),
  constraint responses_agent_id_fkey foreign key (agent_id) references agents(id),
  constraint responses_cluster_id_fkey foreign key (cluster_id) references clusters(id)
);
create index responses_by_alert on public.responses using btree (alert_id);
create index responses_by_cluster on public.responses using btree (cluster_id, received_at);
create index responses_received on public.responses using btree (received_at);

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
  traceparent text,
  constraint rollouts_request_id_key unique (request_id),
  constraint rollouts_pkey primary key (id),
  constraint rollouts_digest_fkey foreign key (digest) references bundles(digest),
  constraint rollouts_kind_check check (((kind = any (array['rules'::text, 'shipper'::text])) or (kind ~~ 'layer/%'::text)))
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
  constraint trust_metadata_role_check check (((role = any (array['root'::text, 'targets'::text, 'snapshot'::text, 'timestamp'::text])) or (role ~~ 'layer-%'::text)))
);
create index trust_metadata_by_change on public.trust_metadata using btree (changed);
