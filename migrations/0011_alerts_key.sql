-- 0011: an alert is one of its cluster: what an agent of one cluster sends can never stand in the way of another's.

alter table alerts drop constraint alerts_pkey;
drop index alerts_by_cluster;
alter table alerts add primary key (cluster_id, time, id);
create index alerts_by_time on alerts (time, id);
