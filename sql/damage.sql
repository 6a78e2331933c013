-- Files whose bytes are damaged. Their table is small; what it is held against is not.

-- name: damage_insert
INSERT OR IGNORE INTO blob_damage (sha256, found_at_ms, found) VALUES (:sha256, :now_ms, :found)

-- name: damage_delete
DELETE FROM blob_damage WHERE sha256 = :sha256

-- name: damage_get
SELECT found FROM blob_damage WHERE sha256 = :sha256

-- The newest, and how many there are.
-- name: damage_newest
SELECT sha256, (SELECT count(*) FROM blob_damage) FROM blob_damage ORDER BY found_at_ms DESC LIMIT 1

-- name: damage_of_firmware
SELECT f.id, f.filename FROM firmware f
WHERE f.id = :id AND EXISTS (SELECT 1 FROM blob_damage d WHERE d.sha256 = f.sha256)
UNION ALL
SELECT r.firmware_id, r.filename FROM firmware_part r
WHERE r.firmware_id = :id AND EXISTS (SELECT 1 FROM blob_damage d WHERE d.sha256 = r.sha256)
LIMIT 1

-- Of what a campaign brings, and of what its devices are at: a delta or a stepping stone, which no campaign names.
-- name: damage_of_campaign
WITH damaged (id, filename) AS (
    SELECT f.id, f.filename FROM blob_damage d CROSS JOIN firmware f ON f.sha256 = d.sha256
    UNION ALL
    SELECT r.firmware_id, r.filename FROM blob_damage d CROSS JOIN firmware_part r ON r.sha256 = d.sha256)
SELECT a.id, a.filename FROM damaged a CROSS JOIN campaign_firmware k ON k.firmware_id = a.id AND k.campaign_id = :id
UNION ALL
SELECT a.id, a.filename
FROM damaged a
     CROSS JOIN execution_module m ON m.firmware_id = a.id AND m.active = 1
     CROSS JOIN execution x ON x.id = m.execution_id AND x.campaign_id = :id
LIMIT 1

-- Campaigns under way that bring these bytes, or whose devices are at them.
-- name: damage_campaigns
WITH file (id) AS (
    SELECT id FROM firmware WHERE sha256 = :sha256
    UNION
    SELECT firmware_id FROM firmware_part WHERE sha256 = :sha256)
SELECT c.id FROM file f
     JOIN campaign_firmware k ON k.firmware_id = f.id
     JOIN campaign c ON c.id = k.campaign_id AND c.state = 'running'
UNION
SELECT c.id FROM file f
     CROSS JOIN execution_module m ON m.firmware_id = f.id AND m.active = 1
     CROSS JOIN execution x ON x.id = m.execution_id
     CROSS JOIN campaign c ON c.id = x.campaign_id AND c.state = 'running'
LIMIT :cap

-- The file that comes next in the order of digests, which is no order of anything else.
-- name: damage_next_file
SELECT sha256, size FROM (
    SELECT sha256, size FROM firmware WHERE sha256 > :after AND withdrawn_at_ms = 0 ORDER BY sha256 LIMIT 1)
UNION ALL
SELECT sha256, size FROM (
    SELECT r.sha256, r.size FROM firmware_part r CROSS JOIN firmware f ON f.id = r.firmware_id
    WHERE r.sha256 > :after AND f.withdrawn_at_ms = 0 ORDER BY r.sha256 LIMIT 1)
ORDER BY sha256 LIMIT 1
