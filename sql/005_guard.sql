-- Who may do what, and what was done: keys of makers, certificates, tokens in use, the audit; and what was found damaged.

ALTER TABLE token ADD COLUMN last_used_at_ms INTEGER NOT NULL DEFAULT 0;   -- to the minute; 0 never

-- A secret that was replaced still opens the door for a while, so that devices can be given the new one in peace.
ALTER TABLE product ADD COLUMN old_enrolment_secret BLOB;                  -- sealed like enrolment_secret
ALTER TABLE product ADD COLUMN old_enrolment_until_ms INTEGER NOT NULL DEFAULT 0;
CREATE TABLE device_old_secret (
    device_id         INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    secret            BLOB    NOT NULL,                    -- sealed like device.secret
    until_ms          INTEGER NOT NULL
) STRICT;
CREATE INDEX device_old_secret_until ON device_old_secret (until_ms);
-- Whoever changes a secret voids the one before it; who wants it kept keeps it behind the change.
CREATE TRIGGER device_secret_changed AFTER UPDATE OF secret ON device WHEN old.secret IS NOT new.secret
BEGIN DELETE FROM device_old_secret WHERE device_id = new.id; END;
CREATE TRIGGER product_secret_changed AFTER UPDATE OF enrolment_secret ON product
WHEN old.enrolment_secret IS NOT new.enrolment_secret
BEGIN UPDATE product SET old_enrolment_secret = NULL, old_enrolment_until_ms = 0 WHERE id = new.id; END;

-- Signatures that are made elsewhere: the public keys of who may, each PEM behind a line with its type and its SHA-256 (of the
-- DER); '' otad signs itself.
ALTER TABLE product ADD COLUMN public_keys TEXT NOT NULL DEFAULT '';
-- SHA-256 of the public key (DER) that the signature verifies with; '' otad's own.
ALTER TABLE firmware ADD COLUMN signed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE firmware_part ADD COLUMN signed_by TEXT NOT NULL DEFAULT '';

-- Files that nothing new is to offer: signed by none of the keys that their product holds now, or by otad while it holds some.
CREATE VIEW odd_file AS
SELECT f.id AS firmware_id, f.signed_by
FROM firmware f JOIN product p ON p.id = f.product_id
WHERE instr(p.public_keys, f.signed_by) = 0 OR (f.signed_by = '' AND p.public_keys <> '')
UNION ALL
SELECT f.id, r.signed_by
FROM firmware f JOIN product p ON p.id = f.product_id JOIN firmware_part r ON r.firmware_id = f.id
WHERE instr(p.public_keys, r.signed_by) = 0 OR (r.signed_by = '' AND p.public_keys <> '');

-- Client certificates that were made here, and others that were revoked. One that is not listed is of before this table, or
-- was signed elsewhere, and is good until its end.
CREATE TABLE certificate (
    id                INTEGER PRIMARY KEY,
    serial            TEXT    NOT NULL UNIQUE,             -- lower-case hex, an even number of digits
    device_id         INTEGER NOT NULL,                    -- of device, or of one that is gone
    issued_at_ms      INTEGER NOT NULL,                    -- 0 not made here
    ends_at_ms        INTEGER NOT NULL,                    -- 0 not made here
    revoked_at_ms     INTEGER NOT NULL DEFAULT 0           -- 0 good
) STRICT;
CREATE INDEX certificate_device ON certificate (device_id);
CREATE INDEX certificate_ended ON certificate (ends_at_ms) WHERE ends_at_ms > 0;

-- Acts of operators, in the same transaction as what they did. Never changed; the oldest end by age.
CREATE TABLE audit (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms             INTEGER NOT NULL,
    token_id          INTEGER NOT NULL,                    -- 0 the socket, or otad itself
    who               TEXT    NOT NULL,                    -- the token's name, "socket"
    address           TEXT    NOT NULL,                    -- '' the socket
    method            TEXT    NOT NULL,
    path              TEXT    NOT NULL,                    -- without its query
    status            INTEGER NOT NULL,
    before            TEXT    NOT NULL DEFAULT '',         -- JSON of what it was about; '' it was not there
    after             TEXT    NOT NULL DEFAULT ''          -- JSON; '' it is not there any more
) STRICT;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is never changed'); END;

-- Files whose bytes are not what their name says any more: nobody gets them.
CREATE TABLE blob_damage (
    sha256            TEXT    PRIMARY KEY,
    found_at_ms       INTEGER NOT NULL,
    found             TEXT    NOT NULL                     -- one sentence
) STRICT, WITHOUT ROWID;

-- Campaigns that ended long ago keep their counts and lose their executions.
ALTER TABLE campaign ADD COLUMN pruned_at_ms INTEGER NOT NULL DEFAULT 0;   -- not 0: when that began
ALTER TABLE campaign ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;         -- 1: none is left
CREATE INDEX campaign_prunable ON campaign (finished_at_ms) WHERE finished_at_ms > 0 AND pruned = 0;

-- Those that may lose them. One that was cancelled gently may have devices that are at it; those of another may be the devices
-- of a campaign that is not over; and an older dynamic one that is open knows by them whom it must not take in any more.
CREATE VIEW prunable AS
SELECT c.id, c.finished_at_ms FROM campaign c
WHERE c.finished_at_ms > 0 AND c.pruned = 0
  AND NOT EXISTS (SELECT 1 FROM wave_count n WHERE n.campaign_id = c.id AND n.state < 7 AND n.n > 0)
  AND NOT EXISTS (SELECT 1 FROM campaign o WHERE o.finished_at_ms = 0 AND o.source_id = c.id)
  AND NOT EXISTS (SELECT 1 FROM campaign o
                  WHERE o.product_id = c.product_id AND o.finished_at_ms = 0 AND o.id < c.id AND o.dynamic = 1);
