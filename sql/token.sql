-- name: token_insert
INSERT INTO token (name, role, hash, created_at_ms, expires_at_ms)
VALUES (:name, :role, :hash, :created_at_ms, :expires_at_ms)

-- name: token_find
SELECT id, name, role, created_at_ms, expires_at_ms, last_used_at_ms, hash FROM token
WHERE hash = :hash AND (expires_at_ms = 0 OR expires_at_ms > :now_ms)

-- name: token_get
SELECT id, name, role, created_at_ms, expires_at_ms, last_used_at_ms FROM token WHERE id = :id

-- name: token_list
SELECT id, name, role, created_at_ms, expires_at_ms, last_used_at_ms FROM token
WHERE id > :after_id ORDER BY id LIMIT :cap

-- name: token_used
UPDATE token SET last_used_at_ms = :at_ms WHERE id = :id AND last_used_at_ms < :at_ms

-- name: token_delete
DELETE FROM token WHERE id = :id

-- name: idempotency_find
SELECT request_hash, status, location, reply FROM idempotency WHERE caller = :caller AND key = :key

-- name: idempotency_add
INSERT INTO idempotency (caller, key, request_hash, status, location, reply, created_at_ms)
VALUES (:caller, :key, :request_hash, :status, :location, :reply, :now_ms)

-- A bounded number, so that no transaction is long; the next hour takes the rest.
-- name: idempotency_forget
DELETE FROM idempotency
WHERE (caller, key) IN (SELECT caller, key FROM idempotency WHERE created_at_ms < :before_ms
                        ORDER BY created_at_ms LIMIT 5000)

-- Sealed replies, when there is another key.
-- name: idempotency_forget_all
DELETE FROM idempotency
