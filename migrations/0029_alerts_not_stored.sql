-- 0029: clusters whose alerts were not all stored are found at once, every fifteen seconds; and hours of which something was not stored
-- are kept as long as reports reach.
create index alert_intake_not_stored on alert_intake (hour) where not_stored > 0;
