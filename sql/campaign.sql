-- name: campaign_insert
INSERT INTO campaign (name, product_id, state, target, policy, ext_data, created_at_ms)
VALUES (:name, :product_id, :state, :target, :policy, :ext_data, :now_ms);

-- name: campaign_firmware_insert
INSERT INTO campaign_firmware (campaign_id, ord, firmware_id, module)
VALUES (:campaign_id, :ord, :firmware_id, :module);

-- name: campaign_get
SELECT c.id, c.name, c.product_id, p.key, c.state, c.state_reason, c.policy, c.prepared_to, c.late_success,
       c.created_at_ms, c.started_at_ms, c.finished_at_ms, c.revision, c.forced, p.version_scheme
FROM campaign c JOIN product p ON p.id = c.product_id
WHERE c.id = :id;

-- name: campaign_list
SELECT c.id, c.name, c.product_id, p.key, c.state, c.state_reason, c.policy, c.prepared_to, c.late_success,
       c.created_at_ms, c.started_at_ms, c.finished_at_ms, c.revision, c.forced, p.version_scheme
FROM campaign c JOIN product p ON p.id = c.product_id
WHERE c.id < :before_id AND (:state IS NULL OR c.state = :state)
ORDER BY c.id DESC LIMIT :cap;

-- What the tick has to do: devices of a campaign to be prepared or cancelled, and campaigns whose executions
-- are all final. Those that merely run are not read, however many they are.
-- name: campaign_live
SELECT id, state FROM campaign
WHERE finished_at_ms = 0
  AND (state IN ('preparing', 'cancelled')
       OR (state = 'running' AND NOT EXISTS (SELECT 1 FROM wave_count k
                                             WHERE k.campaign_id = campaign.id AND k.state < 7 AND k.n > 0)))
ORDER BY state, id;

-- name: campaign_running
SELECT id FROM campaign WHERE finished_at_ms = 0 AND state = 'running' AND product_id = :product_id;

-- Files of a firmware beyond its first.
-- name: campaign_more_files
SELECT count(*) FROM firmware_part WHERE firmware_id = :id;

-- name: campaign_firmware_ids
SELECT firmware_id FROM campaign_firmware WHERE campaign_id = :id ORDER BY ord;

-- name: campaign_firmware_versions
SELECT k.ord, k.module, k.firmware_id, f.version
FROM campaign_firmware k JOIN firmware f ON f.id = k.firmware_id
WHERE k.campaign_id = :id ORDER BY k.ord;

-- name: campaign_target
SELECT target FROM campaign WHERE id = :id;

-- name: campaign_ext_data
SELECT ext_data FROM campaign WHERE id = :id;

-- name: campaign_move
UPDATE campaign
SET state = :to, state_reason = :reason, forced = :forced, revision = revision + 1,
    started_at_ms = CASE WHEN :to = 'running' AND started_at_ms = 0 THEN :now_ms ELSE started_at_ms END,
    finished_at_ms = CASE WHEN :to = 'completed' THEN :now_ms ELSE 0 END
WHERE id = :id AND state = :from;

-- A cancelled campaign is over when nothing of it is queued any more.
-- name: campaign_finish
UPDATE campaign SET finished_at_ms = :now_ms WHERE id = :id;

-- name: campaign_update
UPDATE campaign SET name = :name, policy = :policy, revision = revision + 1
WHERE id = :id AND revision = :revision;

-- name: campaign_prepared
UPDATE campaign SET prepared_to = :device_id WHERE id = :id;

-- name: campaign_late_success
UPDATE campaign SET late_success = late_success + 1 WHERE id = :id;

-- name: campaign_counts
SELECT state, sum(n) FROM wave_count WHERE campaign_id = :id GROUP BY state;

-- name: wave_count_add
INSERT INTO wave_count (campaign_id, wave, state, n) VALUES (:campaign_id, :wave, :state, :n)
ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- The next devices of a target, in the order of their ids.
-- name: target_devices
SELECT d.id FROM device d
WHERE d.product_id = :product_id AND d.id > :after_id
  AND (:devices IS NULL OR d.name IN (SELECT value FROM json_each(:devices)))
  AND (:tags IS NULL OR NOT EXISTS (
        SELECT 1 FROM json_each(:tags) t
        WHERE NOT EXISTS (SELECT 1 FROM device_tag g
                          WHERE g.device_id = d.id AND g.key = t.key AND g.value = t.value)))
ORDER BY d.id LIMIT :cap;

-- The first name of a target that is no device of the product.
-- name: target_unknown_device
SELECT j.value FROM json_each(:devices) j
WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.product_id = :product_id AND d.name = j.value)
LIMIT 1;
