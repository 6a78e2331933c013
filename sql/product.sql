-- name: product_insert
INSERT INTO product (key, name, protocol, enrolment, enrolment_secret, public, enabled, strict_version,
                     version_scheme, chip, max_image_bytes, success, created_at_ms, transfer, sign_method, digest_sign,
                     job_document, public_keys)
VALUES (:key, :name, :protocol, :enrolment, :enrolment_secret, :public, :enabled, :strict_version,
        :version_scheme, :chip, :max_image_bytes, :success, :created_at_ms, :transfer, :sign_method, :digest_sign,
        :job_document, :public_keys)

-- name: product_update
UPDATE product
SET name = :name, protocol = :protocol, enrolment = :enrolment, enrolment_secret = :enrolment_secret,
    public = :public, enabled = :enabled, strict_version = :strict_version, version_scheme = :version_scheme,
    chip = :chip, max_image_bytes = :max_image_bytes, success = :success,
    transfer = :transfer, sign_method = :sign_method, digest_sign = :digest_sign, job_document = :job_document,
    public_keys = :public_keys, revision = revision + 1
WHERE id = :id AND revision = :revision

-- A device of the product whose name no thing of AWS could have, or another product's thing has.
-- name: product_no_thing
SELECT name FROM device WHERE product_id = :id AND name GLOB '*[^a-zA-Z0-9:_-]*' LIMIT 1

-- name: product_thing_twice
SELECT d.name, p.key
FROM device d CROSS JOIN device o ON o.name = d.name AND o.product_id <> d.product_id
     JOIN product p ON p.id = o.product_id AND p.protocol = 'aws'
WHERE d.product_id = :id
LIMIT 1

-- name: product_delete
DELETE FROM product WHERE id = :id

-- The names of devices that are gone belong to executions of the product's campaigns: without those, to nothing.
-- name: product_forget_gone
-- scan: once in a product's life, when it is deleted
DELETE FROM device_gone WHERE product_id = :id

-- name: product_get
SELECT id, key, name, protocol, enrolment, enrolment_secret, public, enabled, strict_version, version_scheme, chip,
       max_image_bytes, success, created_at_ms, revision, transfer, sign_method, digest_sign, job_document,
       public_keys
FROM product WHERE key = :key

-- name: product_get_id
SELECT id, key, name, protocol, enrolment, enrolment_secret, public, enabled, strict_version, version_scheme, chip,
       max_image_bytes, success, created_at_ms, revision, transfer, sign_method, digest_sign, job_document,
       public_keys
FROM product WHERE id = :id

-- name: product_list
SELECT id, key, name, protocol, enrolment, enrolment_secret, public, enabled, strict_version, version_scheme, chip,
       max_image_bytes, success, created_at_ms, revision, transfer, sign_method, digest_sign, job_document,
       public_keys
FROM product WHERE id > :after_id ORDER BY id LIMIT :cap

-- One of the things that keep a product, by name; no row when nothing does.
-- name: product_in_use
SELECT 'devices' WHERE EXISTS (SELECT 1 FROM device WHERE product_id = :id)
UNION ALL SELECT 'campaigns' WHERE EXISTS (SELECT 1 FROM campaign WHERE product_id = :id)
UNION ALL SELECT 'firmware' WHERE EXISTS (SELECT 1 FROM firmware WHERE product_id = :id)
LIMIT 1

-- Whether devices of this protocol are told that a file is a delta.
-- name: product_takes_deltas
SELECT instr('native aliyun onenet', protocol) > 0 FROM product WHERE id = :id
