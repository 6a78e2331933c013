-- name: certificate_insert
INSERT INTO certificate (serial, device_id, issued_at_ms, ends_at_ms)
VALUES (:serial, :device_id, :issued_at_ms, :ends_at_ms)

-- name: certificate_get
SELECT id, serial, device_id, issued_at_ms, ends_at_ms, revoked_at_ms FROM certificate WHERE serial = :serial

-- Also one that was not made here. The moment of the first time stays.
-- name: certificate_revoke
INSERT INTO certificate (serial, device_id, issued_at_ms, ends_at_ms, revoked_at_ms)
VALUES (:serial, :device_id, 0, 0, :now_ms)
ON CONFLICT (serial) DO UPDATE SET revoked_at_ms = excluded.revoked_at_ms WHERE revoked_at_ms = 0

-- name: certificate_list
SELECT id, serial, device_id, issued_at_ms, ends_at_ms, revoked_at_ms FROM certificate
WHERE device_id = :device_id AND id < :before_id ORDER BY id DESC LIMIT :cap

-- A bounded number, so that no transaction is long; the next hour takes the rest. One that was revoked stays: forgotten by a
-- clock that was ahead, it would be good again when the clock is right.
-- name: certificate_forget
DELETE FROM certificate
WHERE id IN (SELECT id FROM certificate
             WHERE ends_at_ms > 0 AND ends_at_ms < :before_ms AND revoked_at_ms = 0 ORDER BY ends_at_ms LIMIT 5000)
