-- 0009: a rollout takes clusters that join it after it was planned, and owes the bundle to some after its end.

-- It was not in the plan: it joined the fleet or the selector afterwards.
alter table rollout_clusters add column late boolean not null default false;

-- What a rollout that succeeded still has to do is asked for every few seconds.
create index rollout_clusters_open on rollout_clusters (rollout_id) where state in ('waiting', 'assigned');
