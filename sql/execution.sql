-- name: execution_insert
INSERT INTO execution (campaign_id, device_id, wave, state, reason, detail, updated_at_ms, finished_at_ms)
VALUES (:campaign_id, :device_id, :wave, :state, :reason, :detail, :now_ms,
        CASE WHEN :state >= 7 THEN :now_ms ELSE 0 END);

-- name: execution_module_insert
INSERT INTO execution_module (execution_id, ord, device_id, module, firmware_id)
VALUES (:execution_id, :ord, :device_id, :module, :firmware_id);

-- name: execution_get
SELECT x.id, x.campaign_id, x.device_id, x.wave, x.state, x.percent, x.attempt, x.suspect, x.due_at_ms,
       x.deadline_at_ms, x.started_at_ms, x.updated_at_ms, c.state, c.policy, x.offered_at_ms
FROM execution x JOIN campaign c ON c.id = x.campaign_id
WHERE x.id = :id;

-- What is not over for a device: what is active first, then the newest campaign.
-- name: execution_live
SELECT x.id, x.campaign_id, x.device_id, x.wave, x.state, x.percent, x.attempt, x.suspect, x.due_at_ms,
       x.deadline_at_ms, x.started_at_ms, x.updated_at_ms, c.state, c.policy, x.offered_at_ms
FROM execution x JOIN campaign c ON c.id = x.campaign_id
WHERE x.device_id = :device_id AND x.state < 7
ORDER BY x.state >= 2 DESC, x.campaign_id DESC LIMIT :cap;

-- Live executions of a device whose next part is this module, with the version they bring.
-- name: execution_live_module
SELECT x.id, f.version, m.ord
FROM execution x
     JOIN execution_module m ON m.execution_id = x.id AND m.module = :module AND m.done_at_ms = 0
     JOIN firmware f ON f.id = m.firmware_id
WHERE x.device_id = :device_id AND x.state < 7
  AND NOT EXISTS (SELECT 1 FROM execution_module b
                  WHERE b.execution_id = x.id AND b.ord < m.ord AND b.done_at_ms = 0)
ORDER BY x.id DESC LIMIT :cap;

-- name: execution_any_live
SELECT 1 FROM execution WHERE device_id = :device_id AND state < 7 LIMIT 1;

-- Older executions that a campaign that starts now replaces (invariant 5).
-- name: execution_older
SELECT DISTINCT x.id
FROM execution x JOIN execution_module m ON m.execution_id = x.id
WHERE x.device_id = :device_id AND x.state < 2 AND x.campaign_id <> :campaign_id
  AND m.module IN (SELECT module FROM campaign_firmware WHERE campaign_id = :campaign_id)
LIMIT 64;

-- The one mover's statement: nothing else writes state.
-- name: execution_move
UPDATE execution
SET state = :to, percent = :percent, attempt = :attempt, reason = :reason, detail = :detail, suspect = 0,
    due_at_ms = :due_at_ms, deadline_at_ms = :deadline_at_ms, started_at_ms = :started_at_ms, updated_at_ms = :now_ms,
    offered_at_ms = CASE WHEN :to = 2 THEN :now_ms ELSE offered_at_ms END,
    finished_at_ms = CASE WHEN :to >= 7 THEN :now_ms ELSE 0 END
WHERE id = :id AND state = :from;

-- name: execution_percent
UPDATE execution SET percent = :percent, updated_at_ms = :now_ms WHERE id = :id;

-- name: execution_suspect
UPDATE execution SET suspect = 1, deadline_at_ms = :deadline_at_ms WHERE id = :id;

-- name: execution_due_now
UPDATE execution SET due_at_ms = 0 WHERE id = :id;

-- name: execution_module_activate
UPDATE execution_module
SET active = :active,
    from_version = CASE WHEN :active = 1 AND from_version = ''
                        THEN coalesce((SELECT version FROM device_module v
                                       WHERE v.device_id = execution_module.device_id
                                         AND v.module = execution_module.module), '')
                        ELSE from_version END
WHERE execution_id = :id;

-- name: execution_module_done
UPDATE execution_module SET done_at_ms = :now_ms WHERE execution_id = :id AND ord = :ord AND done_at_ms = 0;

-- This module of an execution in testing has gone back: it is to be done again.
-- name: execution_module_undo
UPDATE execution_module SET done_at_ms = 0 WHERE execution_id = :id AND module = :module;

-- An attempt that failed in testing, and nobody knows by which module: the last one is to be done again.
-- name: execution_module_undo_last
UPDATE execution_module SET done_at_ms = 0
WHERE execution_id = :id AND ord = (SELECT max(ord) FROM execution_module WHERE execution_id = :id)
  AND NOT EXISTS (SELECT 1 FROM execution_module b WHERE b.execution_id = :id AND b.done_at_ms = 0);

-- Whether a campaign that started later waits with a module that this execution has yet to do (invariant 5).
-- name: execution_outdated
SELECT 1
FROM execution_module m
     JOIN execution y ON y.device_id = m.device_id AND y.state < 7 AND y.state < 2 AND y.id <> m.execution_id
     JOIN execution_module n ON n.execution_id = y.id AND n.module = m.module AND n.done_at_ms = 0
     JOIN campaign c ON c.id = y.campaign_id AND c.state <> 'cancelled'
WHERE m.execution_id = :id AND m.done_at_ms = 0
LIMIT 1;

-- name: execution_modules_left
SELECT count(*) FROM execution_module WHERE execution_id = :id AND done_at_ms = 0;

-- The part an execution is at: its module, its file, and what the device has.
-- name: execution_next_module
SELECT m.ord, m.module, m.firmware_id, f.version, coalesce(v.version, '')
FROM execution_module m
     JOIN firmware f ON f.id = m.firmware_id
     LEFT JOIN device_module v ON v.device_id = m.device_id AND v.module = m.module
WHERE m.execution_id = :id AND m.done_at_ms = 0
ORDER BY m.ord LIMIT 1;

-- An execution that ended without success, whose target version the device reports now (invariant 1).
-- name: execution_late
SELECT x.id, x.campaign_id
FROM execution x
     JOIN execution_module m ON m.execution_id = x.id AND m.module = :module
     JOIN firmware f ON f.id = m.firmware_id AND f.version = :version
WHERE x.device_id = :device_id AND x.state > 7 AND x.attempt > 0 AND x.late = 0
ORDER BY x.id DESC LIMIT 1;

-- name: execution_late_set
UPDATE execution SET late = 1 WHERE id = :id;

-- name: execution_deadlines
SELECT id FROM execution WHERE deadline_at_ms <= :now_ms AND updated_at_ms > :moved_after_ms ORDER BY deadline_at_ms LIMIT :cap;

-- What was offered up to a moment, and is without an answer; what has a deadline is active.
-- name: execution_offered
SELECT id, device_id FROM execution
WHERE deadline_at_ms > 0 AND state = 2 AND offered_at_ms <= :until_ms AND id > :after_id
ORDER BY id LIMIT :cap;

-- name: execution_retries_due
SELECT id, device_id FROM execution
WHERE state = 1 AND due_at_ms > 0 AND due_at_ms <= :now_ms ORDER BY due_at_ms LIMIT :cap;

-- name: execution_queued
SELECT device_id FROM execution
WHERE campaign_id = :campaign_id AND state = 1 AND state < 2 AND device_id > :after_device_id
ORDER BY device_id LIMIT :cap;

-- name: execution_to_cancel
SELECT id FROM execution
WHERE campaign_id = :campaign_id AND state < 2 LIMIT :cap;

-- name: execution_to_end
SELECT id FROM execution
WHERE campaign_id = :campaign_id AND state < 7 LIMIT :cap;

-- name: execution_live_of_device
SELECT id FROM execution WHERE device_id = :device_id AND state < 7;

-- name: execution_view
SELECT x.id, x.campaign_id, x.device_id, p.key, coalesce(d.name, g.name, ''), x.wave, x.state, x.percent, x.attempt,
       x.reason, x.detail, x.due_at_ms, x.offered_at_ms, x.started_at_ms, x.finished_at_ms, x.updated_at_ms
FROM execution x
     JOIN campaign c ON c.id = x.campaign_id
     JOIN product p ON p.id = c.product_id
     LEFT JOIN device d ON d.id = x.device_id
     LEFT JOIN device_gone g ON g.id = x.device_id
WHERE x.id = :id;

-- name: execution_list
SELECT x.id, x.campaign_id, x.device_id, p.key, coalesce(d.name, g.name, ''), x.wave, x.state, x.percent, x.attempt,
       x.reason, x.detail, x.due_at_ms, x.offered_at_ms, x.started_at_ms, x.finished_at_ms, x.updated_at_ms
FROM execution x
     JOIN campaign c ON c.id = x.campaign_id
     JOIN product p ON p.id = c.product_id
     LEFT JOIN device d ON d.id = x.device_id
     LEFT JOIN device_gone g ON g.id = x.device_id
WHERE x.campaign_id = :campaign_id AND x.device_id > :after_device_id AND (:state IS NULL OR x.state = :state)
ORDER BY x.device_id LIMIT :cap;

-- name: execution_list_device
SELECT x.id, x.campaign_id, x.device_id, p.key, coalesce(d.name, g.name, ''), x.wave, x.state, x.percent, x.attempt,
       x.reason, x.detail, x.due_at_ms, x.offered_at_ms, x.started_at_ms, x.finished_at_ms, x.updated_at_ms
FROM execution x
     JOIN campaign c ON c.id = x.campaign_id
     JOIN product p ON p.id = c.product_id
     LEFT JOIN device d ON d.id = x.device_id
     LEFT JOIN device_gone g ON g.id = x.device_id
WHERE x.device_id = :device_id AND x.id < :before_id
ORDER BY x.id DESC LIMIT :cap;

-- Who speaks: a product and, where it is known, a device of it.
-- name: party_get
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun'
FROM product p LEFT JOIN device d ON d.product_id = p.id AND d.name = :device
WHERE p.key = :product;

-- name: party_get_id
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun'
FROM device d JOIN product p ON p.id = d.product_id
WHERE d.id = :id;

-- The version that an execution brings for a module; no row when it brings nothing for it.
-- name: execution_brings
SELECT f.version
FROM execution_module m JOIN firmware f ON f.id = m.firmware_id
WHERE m.execution_id = :id AND m.module = :module;

-- A thing of AWS: its name alone says who it is.
-- name: party_get_thing
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun'
FROM device d JOIN product p ON p.id = d.product_id AND p.protocol = 'aws'
WHERE d.name = :device;

-- Every file of an execution in the order of its modules; what follows a firmware's own row are its further files.
-- name: offer_files
SELECT m.ord, 1, m.module, f.id, f.version, f.filename, f.size, f.sha256, f.sha1, f.md5, f.signature, f.delta_from,
       m.done_at_ms
FROM execution_module m JOIN firmware f ON f.id = m.firmware_id
WHERE m.execution_id = :id
UNION ALL
SELECT m.ord, r.ord, m.module, f.id, f.version, r.filename, r.size, r.sha256, r.sha1, r.md5, r.signature, f.delta_from,
       m.done_at_ms
FROM execution_module m
     JOIN firmware f ON f.id = m.firmware_id
     JOIN firmware_part r ON r.firmware_id = f.id
WHERE m.execution_id = :id
ORDER BY 1, 2 LIMIT 64;

-- What an offer says beside its files.
-- name: offer_words
SELECT c.ext_data, p.transfer, p.sign_method = 'SHA256', p.digest_sign, p.job_document, p.name,
       coalesce((SELECT t.value FROM device_tag t WHERE t.device_id = x.device_id AND t.key = 'group'), '')
FROM execution x JOIN campaign c ON c.id = x.campaign_id JOIN product p ON p.id = c.product_id
WHERE x.id = :id;

-- The execution under way that brings a firmware to a device.
-- name: stream_of_firmware
SELECT x.id, p.key
FROM product p
     JOIN device d ON d.product_id = p.id AND d.name = :device AND d.enabled = 1
     JOIN execution x ON x.device_id = d.id AND x.state < 7 AND x.state >= 2
     JOIN execution_module m ON m.execution_id = x.id AND m.firmware_id = :stream
WHERE p.key = :product AND p.enabled = 1
LIMIT 1;

-- name: stream_of_execution
SELECT x.id, p.key
FROM execution x
     JOIN device d ON d.id = x.device_id AND d.enabled = 1
     JOIN product p ON p.id = d.product_id AND p.enabled = 1
WHERE x.id = :stream AND x.state < 7 AND x.state >= 2 AND d.name = :device
  AND (p.key = :product OR (:product = '' AND p.protocol = 'aws'));

-- name: job_get
SELECT version, details FROM execution_job WHERE execution_id = :id AND attempt = :attempt;

-- name: job_set
INSERT INTO execution_job (execution_id, attempt, version, details)
VALUES (:id, :attempt, :version, :details)
ON CONFLICT DO UPDATE SET attempt = excluded.attempt, version = excluded.version, details = excluded.details;

-- name: execution_deadline
UPDATE execution SET deadline_at_ms = :deadline_at_ms WHERE id = :id;
