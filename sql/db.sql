-- What the store does to itself: transactions, identity, checks.

-- name: tx_begin
BEGIN IMMEDIATE

-- Several questions, one state of the store: each transaction asks for locks of its own.
-- name: read_begin
BEGIN

-- name: tx_commit
COMMIT

-- name: tx_rollback
ROLLBACK

-- name: job_begin
SAVEPOINT job

-- name: job_keep
RELEASE job

-- name: job_undo
ROLLBACK TO job

-- name: db_synchronous
PRAGMA synchronous = FULL

-- A statement's journal would else be a file in /tmp, where a service may have no right to write.
-- name: db_temp_store
PRAGMA temp_store = MEMORY

-- In KiB where it is negative. The writer's holds what a batch of a large fleet touches; the readers' stay small.
-- name: db_writer_cache
PRAGMA cache_size = -16384

-- name: db_query_only
PRAGMA query_only = ON

-- name: store_wal
PRAGMA journal_mode = WAL

-- name: store_application_id
PRAGMA application_id

-- 'OTAD'
-- name: store_claim
PRAGMA application_id = 0x4F544144

-- name: store_version
PRAGMA user_version

-- name: store_tables
SELECT count(*) FROM sqlite_schema

-- name: store_quick_check
PRAGMA quick_check(1)

-- name: store_foreign_key_check
PRAGMA foreign_key_check

-- name: store_next_table
SELECT name FROM sqlite_schema WHERE type = 'table' AND name > :after ORDER BY name LIMIT 1

-- A table and its indices, a snapshot of its own for each: the WAL is not held for as long as the whole file takes.
-- name: store_quick_check_table
SELECT * FROM pragma_quick_check(:table) LIMIT 1

-- name: store_foreign_key_check_table
SELECT * FROM pragma_foreign_key_check(:table) LIMIT 1

-- name: store_copy
VACUUM INTO :path
