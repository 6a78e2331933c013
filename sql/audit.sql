-- name: audit_add
INSERT INTO audit (at_ms, token_id, who, address, method, path, status, before, after)
VALUES (:at_ms, :token_id, :who, :address, :method, :path, :status, :before, :after)

-- Both walk by id; what people do is little, and no index is kept for questions about it.
-- name: audit_list
SELECT id, at_ms, token_id, who, address, method, path, status, before, after FROM audit
WHERE id < :from_id AND at_ms >= :since_ms AND at_ms < :until_ms
  AND (:who IS NULL OR who = :who)
  AND (:path IS NULL OR path = :path OR substr(path, 1, length(:path) + 1) = :path || '/')
ORDER BY id DESC LIMIT :cap

-- name: audit_list_on
SELECT id, at_ms, token_id, who, address, method, path, status, before, after FROM audit
WHERE id > :from_id AND at_ms >= :since_ms AND at_ms < :until_ms
  AND (:who IS NULL OR who = :who)
  AND (:path IS NULL OR path = :path OR substr(path, 1, length(:path) + 1) = :path || '/')
ORDER BY id LIMIT :cap
