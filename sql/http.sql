-- Which file a download may be: answers are ids of firmware, that the bytes are a file of.

-- name: file_of_product
SELECT f.id FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.sha256 = :sha256 AND f.withdrawn_at_ms = 0 AND p.key = :product
UNION ALL
SELECT f.id FROM firmware_part r JOIN firmware f ON f.id = r.firmware_id JOIN product p ON p.id = f.product_id
WHERE r.sha256 = :sha256 AND f.withdrawn_at_ms = 0 AND p.key = :product
LIMIT 1;

-- name: file_of_public
SELECT f.id FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.sha256 = :sha256 AND f.withdrawn_at_ms = 0 AND p.public = 1 AND p.enabled = 1
UNION ALL
SELECT f.id FROM firmware_part r JOIN firmware f ON f.id = r.firmware_id JOIN product p ON p.id = f.product_id
WHERE r.sha256 = :sha256 AND f.withdrawn_at_ms = 0 AND p.public = 1 AND p.enabled = 1
LIMIT 1;

-- The file of this name that is offered to the device now; state < 7 is not final.
-- name: file_of_offer
SELECT f.id FROM part p
JOIN firmware f ON f.id = p.firmware_id
WHERE p.device_id = :device AND p.state < 7 AND p.state >= 1 AND f.filename = :name AND f.withdrawn_at_ms = 0
ORDER BY p.active DESC, p.execution_id DESC LIMIT 1;

-- name: update_newest
SELECT id FROM firmware f
WHERE product_id = :product_id AND module = :module AND delta_from = '' AND withdrawn_at_ms = 0
  AND NOT EXISTS (SELECT 1 FROM odd_file o WHERE o.firmware_id = f.id)
ORDER BY id DESC LIMIT 1;

-- name: update_version_of_md5
SELECT version FROM firmware
WHERE product_id = :product_id AND module = :module AND md5 = :md5 AND delta_from = '' AND withdrawn_at_ms = 0
ORDER BY id DESC LIMIT 1;

-- The active execution that a device fetches these bytes for.
-- name: execution_of_file
SELECT x.id FROM product p
JOIN device d ON d.product_id = p.id AND d.name = :device
JOIN execution x ON x.device_id = d.id AND x.state < 7
JOIN execution_module m ON m.execution_id = x.id AND m.active = 1
JOIN firmware f ON f.id = m.firmware_id
WHERE p.key = :product
  AND (f.sha256 = :sha256
       OR EXISTS (SELECT 1 FROM firmware_part r WHERE r.firmware_id = f.id AND r.sha256 = :sha256))
ORDER BY x.id DESC LIMIT 1;

-- A device's part of a campaign, by OneNET's name of it.
-- name: fuse_task
SELECT id, state FROM execution WHERE campaign_id = :campaign_id AND device_id = :device_id;

-- What was offered last of it: the campaign's file, a delta, or a stepping stone on the way.
-- name: fuse_file
SELECT firmware_id FROM part WHERE execution_id = :execution_id AND done_at_ms = 0 ORDER BY ord LIMIT 1;
