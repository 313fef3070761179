-- 0011: an alert is one of its cluster: what an agent of one cluster sends can never stand in the way of another's.

alter table alerts drop constraint alerts_pkey;
alter table alerts add primary key (time, id, cluster_id);
