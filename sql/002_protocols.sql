-- What the clouds' protocols need beside the native one.

-- How devices fetch files: by the URL of their offer, in blocks over MQTT, or whichever suits what is offered.
ALTER TABLE product ADD COLUMN transfer TEXT NOT NULL DEFAULT 'auto' CHECK (transfer IN ('auto', 'https', 'mqtt'));
ALTER TABLE product ADD COLUMN sign_method TEXT NOT NULL DEFAULT 'Md5' CHECK (sign_method IN ('Md5', 'SHA256'));
ALTER TABLE product ADD COLUMN digest_sign INTEGER NOT NULL DEFAULT 0;    -- aliyun: offers carry our signature
ALTER TABLE product ADD COLUMN job_document TEXT NOT NULL DEFAULT '';     -- aws: JSON object laid over ours; '' none

-- A device that is known by its MAC address: 12 lower-case hex digits of its name, '' when the name is none.
ALTER TABLE device ADD COLUMN mac TEXT NOT NULL DEFAULT '';
UPDATE device SET mac = lower(replace(replace(replace(name, ':', ''), '-', ''), '.', ''))
WHERE length(replace(replace(replace(name, ':', ''), '-', ''), '.', '')) = 12
  AND replace(replace(replace(name, ':', ''), '-', ''), '.', '') NOT GLOB '*[^0-9A-Fa-f]*';
CREATE INDEX device_mac ON device (mac, product_id) WHERE mac <> '';
CREATE INDEX device_name ON device (name);                -- things of AWS, whose topics do not tell the product

-- Files of one firmware beyond its first. Like the row they belong to they never change once a campaign names it.
CREATE TABLE firmware_part (
    firmware_id       INTEGER NOT NULL REFERENCES firmware (id) ON DELETE CASCADE,
    ord               INTEGER NOT NULL,                    -- from 2: the firmware's own row is file 1
    filename          TEXT    NOT NULL,
    size              INTEGER NOT NULL,
    sha256            TEXT    NOT NULL,
    sha1              TEXT    NOT NULL,
    md5               TEXT    NOT NULL,
    signature         TEXT    NOT NULL,
    created_at_ms     INTEGER NOT NULL,
    PRIMARY KEY (firmware_id, ord)
) STRICT, WITHOUT ROWID;
CREATE INDEX firmware_part_sha256 ON firmware_part (sha256);

-- What operators tell devices beside the file: JSON object of texts; '' none.
ALTER TABLE campaign ADD COLUMN ext_data TEXT NOT NULL DEFAULT '';

-- An execution as a job of AWS IoT: the device's own version counter and details, of one attempt.
CREATE TABLE execution_job (
    execution_id      INTEGER PRIMARY KEY REFERENCES execution (id) ON DELETE CASCADE,
    attempt           INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    details           TEXT    NOT NULL DEFAULT ''          -- JSON object of texts; '' none
) STRICT;
