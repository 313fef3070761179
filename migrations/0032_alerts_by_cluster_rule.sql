-- 0032: the newest alerts of a rule in a cluster are read in order, and not looked for among all others of the cluster. Whoever stores alerts
-- waits while it is made, about a minute for ten million; agents keep theirs on disk meanwhile.
create index alerts_by_cluster_rule on alerts (cluster_id, rule, time desc);
