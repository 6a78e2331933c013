-- What is not kept any more goes in portions, the oldest first.

-- Rows of executions that there are, by the counts of their campaigns.
-- name: retention_execution_rows
SELECT coalesce(sum(n.n), 0) FROM campaign c JOIN wave_count n ON n.campaign_id = c.id WHERE c.pruned = 0

-- How many each campaign has that may lose them.
-- name: retention_campaigns
SELECT c.finished_at_ms, coalesce((SELECT sum(n.n) FROM wave_count n WHERE n.campaign_id = c.id), 0)
FROM prunable c ORDER BY c.finished_at_ms

-- name: retention_campaign
SELECT id FROM prunable WHERE finished_at_ms <= :before_ms ORDER BY finished_at_ms LIMIT 1

-- name: retention_campaign_begin
UPDATE campaign SET pruned_at_ms = :now_ms, revision = revision + 1 WHERE id = :id AND pruned_at_ms = 0

-- Rows of modules and of jobs go with them.
-- name: retention_executions
DELETE FROM execution WHERE id IN (SELECT id FROM execution WHERE campaign_id = :id LIMIT :cap)

-- name: retention_campaign_end
UPDATE campaign SET pruned = 1 WHERE id = :id

-- When the oldest of each was.
-- name: retention_execution_first
SELECT finished_at_ms FROM prunable ORDER BY finished_at_ms LIMIT 1

-- name: retention_timeline_first
SELECT at_ms FROM timeline WHERE id > 0 ORDER BY id LIMIT 1

-- name: retention_audit_first
SELECT at_ms FROM audit WHERE id > 0 ORDER BY id LIMIT 1

-- name: retention_timeline_last
SELECT id FROM timeline WHERE id > 0 ORDER BY id DESC LIMIT 1

-- name: retention_timeline
DELETE FROM timeline
WHERE id IN (SELECT id FROM timeline WHERE id > 0 ORDER BY id LIMIT :cap) AND (at_ms <= :before_ms OR id <= :upto_id)

-- name: retention_audit_last
SELECT id FROM audit WHERE id > 0 ORDER BY id DESC LIMIT 1

-- name: retention_audit
DELETE FROM audit
WHERE id IN (SELECT id FROM audit WHERE id > 0 ORDER BY id LIMIT :cap) AND (at_ms <= :before_ms OR id <= :upto_id)

-- Names of devices that are gone: the last one of the next portion, and those in it of which no execution tells.
-- name: retention_gone_last
SELECT max(id) FROM (SELECT id FROM device_gone WHERE id > :after_id ORDER BY id LIMIT :cap)

-- name: retention_gone
DELETE FROM device_gone
WHERE id > :after_id AND id <= :upto_id AND NOT EXISTS (SELECT 1 FROM execution x WHERE x.device_id = device_gone.id)
