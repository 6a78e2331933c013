-- name: old_secret_of_device
SELECT secret, until_ms FROM device_old_secret WHERE device_id = :id AND until_ms > :now_ms

-- name: old_secret_of_product
SELECT old_enrolment_secret, old_enrolment_until_ms FROM product WHERE id = :id AND old_enrolment_until_ms > :now_ms

-- name: old_secret_keep_device
INSERT INTO device_old_secret (device_id, secret, until_ms) VALUES (:id, :secret, :until_ms)

-- name: old_secret_keep_product
UPDATE product SET old_enrolment_secret = :secret, old_enrolment_until_ms = :until_ms WHERE id = :id

-- name: old_secrets_forget_device
DELETE FROM device_old_secret
WHERE device_id IN (SELECT device_id FROM device_old_secret WHERE until_ms <= :now_ms ORDER BY until_ms LIMIT 5000)

-- name: old_secrets_forget_product
UPDATE product SET old_enrolment_secret = NULL, old_enrolment_until_ms = 0
WHERE old_enrolment_until_ms > 0 AND old_enrolment_until_ms <= :now_ms
