-- 0013: pages of the inventory are cut by name, and what a cluster has to do with rollouts is asked for every cluster of a rollout.

create index clusters_by_name on clusters (name collate "C");
create index rollout_clusters_by_cluster on rollout_clusters (cluster_id);
