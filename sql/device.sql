-- name: device_insert
INSERT INTO device (product_id, name, mac, secret, enabled, paused, pinned, registered_at_ms, last_seen_at_ms)
VALUES (:product_id, :name, :mac, :secret, :enabled, :paused, :pinned, :registered_at_ms, :last_seen_at_ms)

-- A thing of AWS is known by its name alone: whose it is already, where this product has things as well.
-- name: device_thing_of
SELECT p.key
FROM device d JOIN product p ON p.id = d.product_id AND p.protocol = 'aws'
WHERE d.name = :name AND d.product_id <> :product_id
  AND (SELECT protocol FROM product WHERE id = :product_id) = 'aws'
LIMIT 1

-- name: device_update
UPDATE device SET secret = :secret, enabled = :enabled, paused = :paused, pinned = :pinned, revision = revision + 1
WHERE id = :id AND revision = :revision

-- name: device_gone_insert
INSERT INTO device_gone (id, product_id, name, gone_at_ms)
SELECT id, product_id, name, :now_ms FROM device WHERE id = :id

-- name: device_delete
DELETE FROM device WHERE id = :id

-- name: device_get
SELECT * FROM device_row WHERE product = :product AND name = :name

-- name: device_get_mac
SELECT * FROM device_row WHERE product = :product AND mac = :mac AND mac <> '' ORDER BY id LIMIT 1

-- name: device_get_thing
SELECT r.*
FROM device d CROSS JOIN product p ON p.id = d.product_id AND p.protocol = 'aws' CROSS JOIN device_row r ON r.id = d.id
WHERE d.name = :name LIMIT 1

-- name: device_get_id
SELECT * FROM device_row WHERE id = :id

-- name: device_seen
UPDATE device SET last_seen_at_ms = :at_ms WHERE id = :id AND last_seen_at_ms < :at_ms

-- name: device_failures_set
UPDATE device SET failures = :failures, quarantine_until_ms = :quarantine_until_ms WHERE id = :id

-- Whose rest is over.
-- name: device_quarantined
SELECT id FROM device WHERE quarantine_until_ms > 0 AND quarantine_until_ms <= :now_ms
ORDER BY quarantine_until_ms LIMIT :cap

-- Three lists that differ in what leads: everything, one product, one tag. The filters behind are the same.
-- name: device_list
SELECT * FROM device_row d
WHERE d.id > :after_id
  AND (:tag_key IS NULL OR EXISTS (SELECT 1 FROM device_tag g WHERE g.device_id = d.id AND g.key = :tag_key
                                   AND (:tag_value IS NULL OR g.value = :tag_value)))
  AND (coalesce(:module, :version) IS NULL
       OR EXISTS (SELECT 1 FROM device_module m WHERE m.device_id = d.id
                  AND (:module IS NULL OR m.module = :module) AND (:version IS NULL OR m.version = :version)))
  AND (:seen_before_ms IS NULL OR d.last_seen_at_ms < :seen_before_ms)
  AND (:seen_after_ms IS NULL OR d.last_seen_at_ms > :seen_after_ms)
ORDER BY d.id LIMIT :cap

-- The product's id, found apart, keeps the walk in the order of ids: a page must not sort all of a product's devices.
-- name: device_list_product
SELECT * FROM device_row d
WHERE d.product_id = (SELECT id FROM product WHERE key = :product) AND d.id > :after_id
  AND (:tag_key IS NULL OR EXISTS (SELECT 1 FROM device_tag g WHERE g.device_id = d.id AND g.key = :tag_key
                                   AND (:tag_value IS NULL OR g.value = :tag_value)))
  AND (coalesce(:module, :version) IS NULL
       OR EXISTS (SELECT 1 FROM device_module m WHERE m.device_id = d.id
                  AND (:module IS NULL OR m.module = :module) AND (:version IS NULL OR m.version = :version)))
  AND (:seen_before_ms IS NULL OR d.last_seen_at_ms < :seen_before_ms)
  AND (:seen_after_ms IS NULL OR d.last_seen_at_ms > :seen_after_ms)
ORDER BY d.id LIMIT :cap

-- name: device_list_tag
SELECT d.* FROM device_tag t CROSS JOIN device_row d ON d.id = t.device_id
WHERE t.key = :tag_key AND t.value = :tag_value AND t.device_id > :after_id
  AND (:product IS NULL OR d.product = :product)
  AND (coalesce(:module, :version) IS NULL
       OR EXISTS (SELECT 1 FROM device_module m WHERE m.device_id = d.id
                  AND (:module IS NULL OR m.module = :module) AND (:version IS NULL OR m.version = :version)))
  AND (:seen_before_ms IS NULL OR d.last_seen_at_ms < :seen_before_ms)
  AND (:seen_after_ms IS NULL OR d.last_seen_at_ms > :seen_after_ms)
ORDER BY t.device_id LIMIT :cap

-- name: device_tags_clear
DELETE FROM device_tag WHERE device_id = :device_id

-- name: device_tag_insert
INSERT INTO device_tag (device_id, key, value) VALUES (:device_id, :key, :value)

-- name: device_tags_get
SELECT key, value FROM device_tag WHERE device_id = :device_id ORDER BY key LIMIT :cap

-- name: device_version_get
SELECT version, assumed FROM device_module WHERE device_id = :device_id AND module = :module

-- name: device_version_set
INSERT INTO device_module (device_id, module, version, assumed, reported_at_ms)
VALUES (:device_id, :module, :version, :assumed, :at_ms)
ON CONFLICT DO UPDATE SET version = excluded.version, assumed = excluded.assumed,
                          reported_at_ms = excluded.reported_at_ms

-- name: device_modules_count
SELECT count(*) FROM device_module WHERE device_id = :device_id

-- name: device_modules_get
SELECT module, version, assumed, reported_at_ms FROM device_module
WHERE device_id = :device_id ORDER BY module LIMIT :cap

-- name: timeline_add
INSERT INTO timeline (device_id, at_ms, kind, campaign_id, execution_id, text)
VALUES (:device_id, :at_ms, :kind, :campaign_id, :execution_id, :text)

-- name: timeline_list
SELECT id, at_ms, kind, campaign_id, execution_id, text FROM timeline
WHERE device_id = :device_id AND id < :before_id ORDER BY id DESC LIMIT :cap

-- name: device_tag_value
SELECT value FROM device_tag WHERE device_id = :device_id AND key = :key

-- name: device_failures_get
SELECT failures, quarantine_until_ms FROM device WHERE id = :id

-- Who says to be a device, and what must bear it out; a device that is not there is NULL.
-- name: login_get
SELECT p.id, p.enabled, p.enrolment = 'open', p.protocol, p.enrolment_secret, d.id, d.enabled, d.secret
FROM product p LEFT JOIN device d ON d.product_id = p.id AND d.name = :device
WHERE p.key = :product
