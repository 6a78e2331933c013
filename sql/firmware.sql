-- A firmware is read as its product's key and then its columns in the order that the migrations gave them: what they add comes
-- last, and a statement that lists the columns itself is refused when it falls behind.

-- name: firmware_insert
INSERT INTO firmware (product_id, module, version, delta_from, filename, size, sha256, sha1, md5, signature, image,
                      image_version, image_project, image_chip, created_at_ms, requires, signed_by)
VALUES (:product_id, :module, :version, :delta_from, :filename, :size, :sha256, :sha1, :md5, :signature, :image,
        :image_version, :image_project, :image_chip, :created_at_ms, :requires, :signed_by)

-- name: firmware_get
SELECT p.key, f.*
FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.id = :id

-- name: firmware_get_same
SELECT p.key, f.*
FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.product_id = :product_id AND f.module = :module AND f.version = :version AND f.delta_from = :delta_from
  AND f.withdrawn_at_ms = 0

-- As whose file it is that the bytes are: a further file of a firmware is shown with its own name and digests.
-- name: firmware_get_sha256
SELECT p.key, f.*
FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.sha256 = :sha256 AND f.withdrawn_at_ms = 0
UNION ALL
SELECT p.key, r.firmware_id, f.product_id, f.module, f.version, f.delta_from, r.filename, r.size, r.sha256, r.sha1, r.md5,
       r.signature, '', '', '', '', r.created_at_ms, f.withdrawn_at_ms, f.requires, r.signed_by
FROM firmware_part r CROSS JOIN firmware f ON f.id = r.firmware_id JOIN product p ON p.id = f.product_id
WHERE r.sha256 = :sha256 AND f.withdrawn_at_ms = 0
ORDER BY id DESC LIMIT 1

-- A delta is of use only to the one version it starts from: its name alone never asks for it. To who comes by the name again
-- and again it is an offer: what the product's keys do not stand for is none.
-- name: firmware_get_public
SELECT p.key, f.*
FROM firmware f JOIN product p ON p.id = f.product_id
WHERE f.id = (SELECT max(n.id)
              FROM product o CROSS JOIN firmware n ON n.product_id = o.id AND n.filename = :filename
              WHERE o.public = 1 AND o.enabled = 1 AND n.delta_from = '' AND n.withdrawn_at_ms = 0
                AND NOT EXISTS (SELECT 1 FROM odd_file x WHERE x.firmware_id = n.id))

-- name: firmware_list
SELECT p.key, f.*
FROM firmware f CROSS JOIN product p ON p.id = f.product_id
WHERE f.id > :after_id AND f.withdrawn_at_ms = 0 AND (:product IS NULL OR p.key = :product)
ORDER BY f.id LIMIT :cap

-- Cancelled without force, devices that were at it may still fetch the file; so may those that are at a delta or a stepping
-- stone, which no campaign names.
-- name: firmware_live_campaign
SELECT c.id FROM campaign_firmware k JOIN campaign c ON c.id = k.campaign_id
WHERE k.firmware_id = :id
  AND (c.state NOT IN ('completed', 'cancelled')
       OR (c.forced = 0
           AND EXISTS (SELECT 1 FROM wave_count n WHERE n.campaign_id = c.id AND n.state < 7 AND n.n > 0)))
UNION ALL
SELECT x.campaign_id FROM execution_module m JOIN execution x ON x.id = m.execution_id
WHERE m.firmware_id = :id AND m.active = 1
LIMIT 1

-- A row that no campaign ever named goes; another is marked.
-- name: firmware_delete
DELETE FROM firmware
WHERE id = :id AND NOT EXISTS (SELECT 1 FROM campaign_firmware k WHERE k.firmware_id = firmware.id)

-- name: firmware_withdraw
UPDATE firmware SET withdrawn_at_ms = :now_ms WHERE id = :id AND withdrawn_at_ms = 0

-- name: firmware_known
SELECT 1 FROM firmware WHERE sha256 = :sha256 AND withdrawn_at_ms = 0
UNION ALL
SELECT 1 FROM firmware_part r JOIN firmware f ON f.id = r.firmware_id
WHERE r.sha256 = :sha256 AND f.withdrawn_at_ms = 0
LIMIT 1

-- What the rows name of blobs/, by digest, and whether it is listed as damaged. A file that two products have is named once.
-- name: firmware_blobs
SELECT f.sha256, f.size, EXISTS (SELECT 1 FROM blob_damage d WHERE d.sha256 = f.sha256)
FROM firmware f WHERE f.sha256 > :after AND f.withdrawn_at_ms = 0
UNION
SELECT r.sha256, r.size, EXISTS (SELECT 1 FROM blob_damage d WHERE d.sha256 = r.sha256)
FROM firmware_part r JOIN firmware f ON f.id = r.firmware_id
WHERE r.sha256 > :after AND f.withdrawn_at_ms = 0
ORDER BY 1 LIMIT :cap

-- A campaign that names it, over or not.
-- name: firmware_named
SELECT campaign_id FROM campaign_firmware WHERE firmware_id = :id LIMIT 1

-- name: firmware_parts
SELECT ord, filename, size, sha256, sha1, md5, signature, created_at_ms, signed_by
FROM firmware_part WHERE firmware_id = :id ORDER BY ord

-- name: firmware_part_insert
INSERT INTO firmware_part (firmware_id, ord, filename, size, sha256, sha1, md5, signature, created_at_ms, signed_by)
VALUES (:firmware_id, :ord, :filename, :size, :sha256, :sha1, :md5, :signature, :created_at_ms, :signed_by)

-- Who signed the first file of a firmware that its product's devices would not take; no row when they take all.
-- name: firmware_odd
SELECT signed_by FROM odd_file WHERE firmware_id = :id LIMIT 1

-- What a device may be offered on its way to a goal.
-- name: choose_delta
SELECT id, size FROM firmware f
WHERE product_id = :product_id AND module = :module AND version = :version AND delta_from = :has
  AND withdrawn_at_ms = 0 AND NOT EXISTS (SELECT 1 FROM odd_file o WHERE o.firmware_id = f.id)
  AND NOT EXISTS (SELECT 1 FROM blob_damage d WHERE d.sha256 = f.sha256)

-- name: choose_stones
SELECT id, version, requires, size FROM firmware f
WHERE product_id = :product_id AND module = :module AND delta_from = '' AND withdrawn_at_ms = 0
  AND NOT EXISTS (SELECT 1 FROM odd_file o WHERE o.firmware_id = f.id)

-- name: firmware_of_version
SELECT id FROM firmware
WHERE product_id = :product_id AND module = :module AND version = :version AND delta_from = '' AND withdrawn_at_ms = 0
