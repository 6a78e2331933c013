-- name: execution_insert
INSERT INTO execution (campaign_id, device_id, wave, state, reason, detail, updated_at_ms, finished_at_ms)
VALUES (:campaign_id, :device_id, :wave, :state, :reason, :detail, :now_ms,
        CASE WHEN :state >= 7 THEN :now_ms ELSE 0 END);

-- Rows of devices that are to be updated: device << 6 | wave, in an array.
-- name: execution_insert_many
INSERT INTO execution (campaign_id, device_id, wave, state, updated_at_ms)
SELECT :campaign_id, j.value >> 6, j.value & 63, (j.value & 63) <= :started, :now_ms FROM json_each(:rows) j;

-- name: execution_module_insert
INSERT INTO execution_module (execution_id, ord, device_id, module, firmware_id, goal_id)
VALUES (:execution_id, :ord, :device_id, :module, :firmware_id, :goal_id);

-- Rows for the modules that have none yet; a goal that is not every device's has its row.
-- name: execution_modules_make
INSERT OR IGNORE INTO execution_module (execution_id, ord, device_id, module, firmware_id)
SELECT x.id, k.ord, x.device_id, k.module, k.firmware_id
FROM execution x JOIN campaign_firmware k ON k.campaign_id = x.campaign_id
WHERE x.id = :id AND k.by_device = 0;

-- name: execution_get
SELECT * FROM execution_of_campaign x
WHERE x.id = :id;

-- What is not over for a device, in no order.
-- name: execution_live
SELECT * FROM execution_of_campaign x
WHERE x.device_id = :device_id AND x.state < 7;

-- Live executions of a device whose next part is this module: the version they bring, and the one that they offered. What
-- puts it back is not done before that which it puts back is over: until then it has the old version still.
-- name: execution_live_module
SELECT p.execution_id, g.version, p.ord, coalesce(f.version, '')
FROM part p
     JOIN firmware g ON g.id = p.goal_id
     LEFT JOIN firmware f ON f.id = p.firmware_id
WHERE p.device_id = :device_id AND p.state < 7 AND p.module = :module AND p.done_at_ms = 0
  AND NOT EXISTS (SELECT 1 FROM part b WHERE b.execution_id = p.execution_id AND b.ord < p.ord AND b.done_at_ms = 0)
  AND (p.state >= 2
       OR NOT EXISTS (SELECT 1 FROM campaign c
                           JOIN execution y ON y.campaign_id = c.source_id AND y.device_id = p.device_id
                      WHERE c.id = p.campaign_id AND c.puts_back = 1 AND y.state BETWEEN 2 AND 6))
ORDER BY p.execution_id DESC LIMIT :cap;

-- What waits on these devices for a module of the campaign that starts now (invariant 5); up to state: what has begun
-- too.
-- name: execution_older
SELECT x.id, x.device_id, x.state, x.campaign_id, x.wave
FROM execution x
WHERE x.device_id >= :first_id AND x.device_id <= :last_id AND x.state < 7 AND x.state < :state
  AND x.campaign_id <> :campaign_id
  AND EXISTS (SELECT 1 FROM campaign_firmware o JOIN campaign_firmware k ON k.campaign_id = :campaign_id
              WHERE o.campaign_id = x.campaign_id AND o.module = k.module)
ORDER BY x.device_id LIMIT :cap;

-- The one mover's statement: nothing else writes state.
-- name: execution_move
UPDATE execution
SET state = :to, percent = :percent, attempt = :attempt, reason = :reason, detail = :detail, suspect = 0, silent = 0,
    due_at_ms = :due_at_ms, deadline_at_ms = :deadline_at_ms, started_at_ms = :started_at_ms, updated_at_ms = :now_ms,
    offered_at_ms = CASE WHEN :to = 2 THEN :now_ms ELSE offered_at_ms END,
    finished_at_ms = CASE WHEN :to >= 7 THEN :now_ms ELSE 0 END
WHERE id = :id AND state = :from;

-- A stretch of executions that wait, their ids in an array, is taken back.
-- A line for whoever was offered something: of what a device never heard of, its executions tell.
-- name: execution_withdraw_tell
INSERT INTO timeline (device_id, at_ms, kind, campaign_id, execution_id, text)
SELECT device_id, :now_ms, 'state', campaign_id, id, CASE state WHEN 0 THEN :pending ELSE :queued END FROM execution
WHERE id IN (SELECT value FROM json_each(:ids)) AND state < 2 AND offered_at_ms > 0;

-- name: execution_withdraw
UPDATE execution
SET state = :to, reason = '', detail = :detail, suspect = 0, silent = 0, due_at_ms = 0, deadline_at_ms = NULL,
    updated_at_ms = :now_ms, finished_at_ms = :now_ms
WHERE id IN (SELECT value FROM json_each(:ids)) AND state < 2;

-- name: execution_percent
UPDATE execution SET percent = :percent, updated_at_ms = :now_ms WHERE id = :id;

-- name: execution_suspect
UPDATE execution SET suspect = 1, deadline_at_ms = :deadline_at_ms WHERE id = :id;

-- name: execution_due_now
UPDATE execution SET due_at_ms = 0 WHERE id = :id;

-- name: execution_module_activate
UPDATE execution_module
SET active = :active,
    from_version = CASE WHEN :active = 1 AND from_version = '' AND done_at_ms = 0
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
FROM part m
     JOIN execution y ON y.device_id = m.device_id AND y.state < 7 AND y.state < 2 AND y.id <> m.execution_id
     JOIN part n ON n.execution_id = y.id AND n.module = m.module AND n.done_at_ms = 0
     JOIN campaign c ON c.id = y.campaign_id AND c.state <> 'cancelled'
WHERE m.execution_id = :id AND m.done_at_ms = 0
LIMIT 1;

-- name: execution_modules_left
SELECT count(*) FROM part WHERE execution_id = :id AND done_at_ms = 0;

-- The part an execution is at, or its next one from ord on: its module, its file, and what the device has. What was offered
-- may be nothing, or withdrawn between two attempts.
-- name: execution_next_module
SELECT p.ord, p.module, p.goal_id, g.version, coalesce(v.version, ''), p.no_delta, coalesce(f.version, ''), f.id
FROM part p
     JOIN firmware g ON g.id = p.goal_id
     LEFT JOIN firmware f ON f.id = p.firmware_id
     LEFT JOIN device_module v ON v.device_id = p.device_id AND v.module = p.module
WHERE p.execution_id = :id AND p.done_at_ms = 0 AND p.ord >= :ord
ORDER BY p.ord LIMIT 1;

-- An execution that ended without success, whose target version the device reports now (invariant 1).
-- name: execution_late
SELECT x.id, x.campaign_id
FROM execution x
     JOIN part p ON p.execution_id = x.id AND p.module = :module
     JOIN firmware f ON f.id = p.goal_id AND f.version = :version
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
WHERE campaign_id = :campaign_id AND state = 1 AND device_id > :after_device_id
ORDER BY device_id LIMIT :cap;

-- name: execution_to_cancel
SELECT id, wave, state FROM execution
WHERE campaign_id = :campaign_id AND state < 2 LIMIT :cap;

-- name: execution_to_end
SELECT id FROM execution
WHERE campaign_id = :campaign_id AND state < 7 LIMIT :cap;

-- name: execution_live_of_device
SELECT id FROM execution WHERE device_id = :device_id AND state < 7;

-- name: execution_view
SELECT * FROM execution_row x
WHERE x.id = :id;

-- name: execution_list
SELECT * FROM execution_row x
WHERE x.campaign_id = :campaign_id AND x.device_id > :after_device_id
ORDER BY x.device_id LIMIT :cap;

-- The same of one wave, by the index that has it; of one state where it is given.
-- name: execution_list_wave
SELECT * FROM execution_row x
WHERE x.campaign_id = :campaign_id AND x.device_id > :after_device_id
  AND x.wave = :wave AND (:state IS NULL OR x.state = :state)
ORDER BY x.device_id LIMIT :cap;

-- The same of one state, by the index that has it.
-- name: execution_list_state
SELECT * FROM execution_row x
WHERE x.campaign_id = :campaign_id AND x.device_id > :after_device_id
  AND x.state = :state AND (:wave IS NULL OR x.wave = :wave)
ORDER BY x.device_id LIMIT :cap;

-- name: execution_list_device
SELECT * FROM execution_row x
WHERE x.device_id = :device_id AND x.id < :before_id
ORDER BY x.id DESC LIMIT :cap;

-- Who speaks: a product and, where it is known, a device of it.
-- name: party_get
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun',
       instr('native aliyun onenet', p.protocol) > 0, d.pinned, d.failures, d.quarantine_until_ms
FROM product p LEFT JOIN device d ON d.product_id = p.id AND d.name = :device
WHERE p.key = :product;

-- name: party_get_id
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun',
       instr('native aliyun onenet', p.protocol) > 0, d.pinned, d.failures, d.quarantine_until_ms
FROM device d JOIN product p ON p.id = d.product_id
WHERE d.id = :id;

-- What most polls come to: the version that the device has reported, and whether anything at all might be due. No row: no such
-- device.
-- name: poll_look
SELECT iif(v.assumed, '', coalesce(v.version, '')),
       EXISTS (SELECT 1 FROM execution x WHERE x.device_id = d.id AND x.state < 7)
       OR EXISTS (SELECT 1 FROM campaign c WHERE c.product_id = d.product_id AND c.finished_at_ms = 0 AND c.dynamic = 1)
FROM device d LEFT JOIN device_module v ON v.device_id = d.id AND v.module = :module
WHERE d.id = :id;

-- The version that an execution brings for a module; no row when it brings nothing for it.
-- name: execution_brings
SELECT f.version
FROM part p JOIN firmware f ON f.id = p.goal_id
WHERE p.execution_id = :id AND p.module = :module;

-- A thing of AWS: its name alone says who it is.
-- name: party_get_thing
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.version_scheme, p.success = 'report',
       d.id, d.enabled, d.paused, p.key, d.name, p.protocol = 'aws', p.protocol = 'aliyun',
       instr('native aliyun onenet', p.protocol) > 0, d.pinned, d.failures, d.quarantine_until_ms
FROM device d JOIN product p ON p.id = d.product_id AND p.protocol = 'aws'
WHERE d.name = :device;

-- Every file of an execution in the order of its modules; what follows a firmware's own row are its further files. There is one
-- goal for each ord: that it is among the terms lets SQLite see that the rows come in this order by themselves.
-- name: offer_files
SELECT p.ord, 1, p.module, f.id, f.version, f.filename, f.size, f.sha256, f.sha1, f.md5, f.signature, f.delta_from,
       p.done_at_ms, p.goal_id
FROM part p JOIN firmware f ON f.id = p.firmware_id
WHERE p.execution_id = :id
UNION ALL
SELECT p.ord, r.ord, p.module, f.id, f.version, r.filename, r.size, r.sha256, r.sha1, r.md5, r.signature, f.delta_from,
       p.done_at_ms, p.goal_id
FROM part p
     JOIN firmware f ON f.id = p.firmware_id
     JOIN firmware_part r ON r.firmware_id = f.id
WHERE p.execution_id = :id
ORDER BY 1, 14, 2 LIMIT 64;

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

-- What a campaign's device had of each module when it was first offered one, and the full file of that if it may have it; ''
-- when that was not known, and then whether the module was changed.
-- name: put_back_goals
SELECT m.ord, m.from_version,
       coalesce((SELECT f.id FROM firmware f
                 WHERE f.product_id = c.product_id AND f.module = m.module AND f.version = m.from_version
                   AND f.delta_from = '' AND f.withdrawn_at_ms = 0
                   AND NOT EXISTS (SELECT 1 FROM odd_file o WHERE o.firmware_id = f.id)), 0),
       x.state BETWEEN 2 AND 6, m.done_at_ms > 0
FROM execution x
     JOIN campaign c ON c.id = x.campaign_id
     JOIN execution_module m ON m.execution_id = x.id
WHERE x.campaign_id = :campaign_id AND x.device_id = :device_id AND x.offered_at_ms > 0;

-- name: execution_of_device
SELECT * FROM execution_of_campaign x
WHERE x.campaign_id = :campaign_id AND x.device_id = :device_id;

-- Whether a campaign's offer is due on a device.
-- name: execution_waits
SELECT 1 FROM execution WHERE campaign_id = :campaign_id AND device_id = :device_id AND state = 1;

-- What is to be sent of a module next, 0 nothing: the row is there once the execution has been offered.
-- name: execution_module_choose
UPDATE execution_module SET firmware_id = :firmware_id
WHERE execution_id = :id AND ord = :ord AND firmware_id <> :firmware_id;

-- A delta failed, of the module it is at: the full file from now on. Changes nothing when what was sent is none.
-- name: execution_module_no_delta
UPDATE execution_module SET no_delta = 1
WHERE execution_id = :id AND active = 1 AND done_at_ms = 0 AND no_delta = 0
  AND NOT EXISTS (SELECT 1 FROM execution_module b
                  WHERE b.execution_id = :id AND b.ord < execution_module.ord AND b.done_at_ms = 0)
  AND firmware_id IN (SELECT id FROM firmware f WHERE f.id = execution_module.firmware_id AND f.delta_from <> '');

-- Whether a delta failed of the module that an execution is at; of the last one, when all are done.
-- name: execution_delta_failed
SELECT no_delta FROM execution_module WHERE execution_id = :id
ORDER BY done_at_ms > 0, CASE done_at_ms WHEN 0 THEN ord ELSE -ord END LIMIT 1;

-- How a campaign's executions ended badly, alike with alike: the module that was not done tells what the device had.
-- name: campaign_failures
SELECT x.state, x.reason,
       coalesce((SELECT m.from_version FROM execution_module m
                 WHERE m.execution_id = x.id ORDER BY m.done_at_ms > 0, m.ord LIMIT 1), '') AS from_version,
       coalesce(t.value, '') AS tag, count(*) AS devices, coalesce(d.name, g.name, ''), x.detail
FROM execution x
     LEFT JOIN device_tag t ON t.device_id = x.device_id AND t.key = :key
     LEFT JOIN device d ON d.id = x.device_id
     LEFT JOIN device_gone g ON g.id = x.device_id
WHERE x.campaign_id = :campaign_id AND x.state IN (8, 9, 10, 11)
GROUP BY x.state, x.reason, from_version, tag
ORDER BY devices DESC, x.state, x.reason, from_version, tag LIMIT :cap;

-- name: execution_module_step
UPDATE execution_module SET steps = steps + 1 WHERE execution_id = :id AND ord = :ord RETURNING steps;
