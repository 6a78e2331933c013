-- name: wave_insert
INSERT INTO campaign_wave (campaign_id, wave, devices, upto, tags, success_pct, soak_ms)
VALUES (:campaign_id, :wave, :devices, :upto, :tags, :success_pct, :soak_ms);

-- name: waves_get
SELECT devices, coalesce(upto, 0), tags, success_pct, soak_ms, started_at_ms, met_at_ms
FROM campaign_wave WHERE campaign_id = :campaign_id ORDER BY wave;

-- name: wave_limit
UPDATE campaign_wave SET upto = :upto WHERE campaign_id = :campaign_id AND wave = :wave;

-- name: wave_started
UPDATE campaign_wave SET started_at_ms = :now_ms WHERE campaign_id = :campaign_id AND wave = :wave;

-- name: wave_met
UPDATE campaign_wave SET met_at_ms = :now_ms WHERE campaign_id = :campaign_id AND wave = :wave;

-- name: wave_get
SELECT success_pct, soak_ms, started_at_ms, met_at_ms,
       (SELECT max(wave) FROM campaign_wave n WHERE n.campaign_id = :campaign_id)
FROM campaign_wave WHERE campaign_id = :campaign_id AND wave = :wave;

-- The executions of a stretch of devices whose wave has started: all of them at once, since this is no move of theirs.
-- name: wave_queue
UPDATE execution SET state = 1, updated_at_ms = :now_ms
WHERE campaign_id = :campaign_id AND wave = :wave AND +state = 0 AND device_id > :after_id AND device_id <= :to_id;

-- Where a stretch of one wave ends; no row when it is the last.
-- name: wave_queue_end
SELECT device_id FROM execution
WHERE campaign_id = :campaign_id AND wave = :wave AND device_id > :after_id
ORDER BY device_id LIMIT 1 OFFSET :cap - 1;

-- Waves that have started, and in which something waits for that.
-- name: wave_pending
SELECT wave FROM wave_count WHERE campaign_id = :campaign_id AND wave BETWEEN 0 AND :wave AND state = 0 AND n > 0;

-- name: wave_count_add
INSERT INTO wave_count (campaign_id, wave, state, n) VALUES (:campaign_id, :wave, :state, :n)
ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- name: wave_counts
SELECT wave, state, n FROM wave_count WHERE campaign_id = :campaign_id;

-- name: pace_get
SELECT wave, queued_to, next_offer_us, silent FROM campaign_pace WHERE campaign_id = :campaign_id;

-- name: pace_start
INSERT INTO campaign_pace (campaign_id, wave, queued_to) VALUES (:campaign_id, :wave, 0)
ON CONFLICT DO UPDATE SET wave = excluded.wave, queued_to = 0;

-- name: pace_queued
UPDATE campaign_pace SET queued_to = :queued_to WHERE campaign_id = :campaign_id;

-- name: pace_pay
UPDATE campaign_pace SET next_offer_us = max(min(next_offer_us, :ceiling_us), :floor_us) + :interval_us
WHERE campaign_id = :campaign_id;

-- name: pace_silent
UPDATE campaign_pace SET silent = silent + :n WHERE campaign_id = :campaign_id;

-- name: pace_active
SELECT coalesce(sum(n), 0) FROM wave_count WHERE campaign_id = :campaign_id AND state BETWEEN 2 AND 6;

-- Active executions that hold a slot.
-- name: execution_slots
SELECT id, device_id, updated_at_ms FROM execution
WHERE campaign_id = :campaign_id AND state = :state AND device_id > :after_id AND silent = 0
ORDER BY device_id LIMIT :cap;

-- name: execution_silent
UPDATE execution SET silent = :silent WHERE id = :id;
