-- 0015: a team may own its layer. Its releases are stored with the bundles and its list with the trust metadata; a cluster is
-- assigned at most one release of each layer, and a rollout moves one component: "rules", "shipper" or "layer/NAME".

alter table trust_metadata drop constraint trust_metadata_role_check;
alter table trust_metadata add constraint trust_metadata_role_check
  check (role in ('root', 'targets', 'snapshot', 'timestamp') or role like 'layer-%');

alter table bundles drop constraint bundles_kind_check;
alter table bundles add constraint bundles_kind_check check (kind in ('rules', 'shipper', 'layer'));

alter table agent_components drop constraint agent_components_kind_check;
alter table agent_components add constraint agent_components_kind_check
  check (kind in ('rules', 'shipper') or kind like 'layer/%');

alter table rollouts drop constraint rollouts_kind_check;
alter table rollouts add constraint rollouts_kind_check check (kind in ('rules', 'shipper') or kind like 'layer/%');

-- What the assignment of a cluster names besides its bundles, under the same generation.
create table assignment_layers (
  cluster_id text not null references assignments (cluster_id),
  layer text not null,
  -- Null once a rollout was taken back that gave the cluster its first release.
  digest text references bundles (digest),
  -- The rollout that last moved the layer here; null when inherited at enrolment.
  rollout_id text references rollouts (id),
  primary key (cluster_id, layer)
);
