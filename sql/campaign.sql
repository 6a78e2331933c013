-- name: campaign_insert
INSERT INTO campaign (name, product_id, state, target, waves, policy, ext_data, dynamic, salt, source_id, puts_back,
                      start_at_ms, end_at_ms, created_at_ms)
VALUES (:name, :product_id, :state, :target, :waves, :policy, :ext_data, :dynamic, :salt, :source_id, :puts_back,
        :start_at_ms, :end_at_ms, :now_ms);

-- name: campaign_firmware_insert
INSERT OR IGNORE INTO campaign_firmware (campaign_id, ord, firmware_id, module, by_device)
VALUES (:campaign_id, :ord, :firmware_id, :module, coalesce(:by_device, 0));

-- name: campaign_get
SELECT c.id, c.name, c.product_id, p.key, c.state, c.state_reason, c.policy, c.prepared_to, c.late_success,
       c.created_at_ms, c.started_at_ms, c.finished_at_ms, c.revision, c.forced, p.version_scheme, c.state_cause,
       c.dynamic, c.puts_back, c.source_id, c.salt, c.devices_to, c.pruned_at_ms
FROM campaign c JOIN product p ON p.id = c.product_id
WHERE c.id = :id;

-- name: campaign_list
SELECT c.id, c.name, c.product_id, p.key, c.state, c.state_reason, c.policy, c.prepared_to, c.late_success,
       c.created_at_ms, c.started_at_ms, c.finished_at_ms, c.revision, c.forced, p.version_scheme, c.state_cause,
       c.dynamic, c.puts_back, c.source_id, c.salt, c.devices_to, c.pruned_at_ms
FROM campaign c JOIN product p ON p.id = c.product_id
WHERE c.id < :before_id AND (:state IS NULL OR c.state = :state)
ORDER BY c.id DESC LIMIT :cap;

-- What the tick looks at, round after round: every campaign that is not over, and what may be due for it.
-- name: campaign_round
SELECT c.id, c.state, c.start_at_ms, c.end_at_ms, c.dynamic, coalesce(k.wave, -1), coalesce(k.queued_to, 0),
       EXISTS (SELECT 1 FROM wave_count n WHERE n.campaign_id = c.id AND n.state < 7 AND n.n > 0)
FROM campaign c LEFT JOIN campaign_pace k ON k.campaign_id = c.id
WHERE c.finished_at_ms = 0 AND c.id > :after_id AND c.state <> 'draft'
ORDER BY c.id LIMIT :cap;

-- Campaigns that take in devices as they come, and do not have this one: the newest first, and none for whose module a
-- newer campaign has it.
-- name: campaign_dynamic
SELECT c.id
FROM campaign c
WHERE c.product_id = :product_id AND c.finished_at_ms = 0 AND c.dynamic = 1 AND c.state IN ('running', 'paused')
  AND NOT EXISTS (SELECT 1 FROM execution x WHERE x.campaign_id = c.id AND x.device_id = :device_id)
  AND NOT EXISTS (SELECT 1 FROM execution y
                       JOIN campaign_firmware a ON a.campaign_id = y.campaign_id
                       JOIN campaign_firmware b ON b.campaign_id = c.id AND b.module = a.module
                  WHERE y.device_id = :device_id AND y.campaign_id > c.id)
ORDER BY c.id DESC LIMIT :cap;

-- name: campaign_of_product
SELECT id FROM campaign
WHERE product_id = :product_id AND finished_at_ms = 0 AND state <> 'draft' ORDER BY id DESC LIMIT :cap;

-- The modules, in order.
-- name: campaign_modules
SELECT k.ord, k.module, k.firmware_id, f.version, f.product_id
FROM campaign_firmware k JOIN firmware f ON f.id = k.firmware_id
WHERE k.campaign_id = :id AND k.by_device = 0 ORDER BY k.ord;

-- What it brings; of one that puts back, to whomever.
-- name: campaign_firmware_ids
SELECT k.firmware_id
FROM campaign c JOIN campaign_firmware k ON k.campaign_id = c.id AND k.by_device = c.puts_back
WHERE c.id = :id ORDER BY k.ord, k.firmware_id;

-- name: campaign_waves
SELECT waves FROM campaign WHERE id = :id;

-- name: campaign_move
UPDATE campaign
SET state = :to, state_cause = :cause, state_reason = :reason, forced = :forced, revision = revision + 1,
    started_at_ms = CASE WHEN :to = 'running' AND started_at_ms = 0 THEN :now_ms ELSE started_at_ms END,
    finished_at_ms = CASE WHEN :to = 'completed' THEN :now_ms ELSE 0 END
WHERE id = :id AND state = :from;

-- name: campaign_update
UPDATE campaign
SET name = :name, policy = :policy, start_at_ms = :start_at_ms, end_at_ms = :end_at_ms, revision = revision + 1
WHERE id = :id AND revision = :revision;

-- name: campaign_prepare
UPDATE campaign SET devices_to = :devices_to WHERE id = :id;

-- name: campaign_prepared
UPDATE campaign SET prepared_to = :device_id WHERE id = :id;

-- name: campaign_counts
SELECT state, sum(n) FROM wave_count WHERE campaign_id = :id AND (:wave IS NULL OR wave = :wave) GROUP BY state;

-- name: campaign_running
SELECT id FROM campaign WHERE finished_at_ms = 0 AND state = 'running' AND product_id = :product_id;

-- Files of a firmware beyond its first.
-- name: campaign_more_files
SELECT count(*) FROM firmware_part WHERE firmware_id = :id;

-- name: campaign_target
SELECT target FROM campaign WHERE id = :id;

-- name: campaign_ext_data
SELECT ext_data FROM campaign WHERE id = :id;

-- A cancelled campaign is over when nothing of it is queued any more.
-- name: campaign_finish
UPDATE campaign SET finished_at_ms = :now_ms WHERE id = :id;

-- name: campaign_late_success
UPDATE campaign SET late_success = late_success + 1 WHERE id = :id;

