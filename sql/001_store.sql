-- The store of otad. Every table is STRICT: what is not the declared type does not get in.
-- Moments are milliseconds since 1970, UTC. Digests are lower-case hex.

CREATE TABLE product (
    id                INTEGER PRIMARY KEY,
    key               TEXT    NOT NULL UNIQUE,
    name              TEXT    NOT NULL,
    protocol          TEXT    NOT NULL,                    -- a name of src/protocol/
    enrolment         TEXT    NOT NULL CHECK (enrolment IN ('open', 'closed')),
    enrolment_secret  BLOB,                                -- sealed, purpose "enrolment", owner = key
    public            INTEGER NOT NULL DEFAULT 0,          -- files may be fetched by name without a proof
    enabled           INTEGER NOT NULL DEFAULT 1,
    strict_version    INTEGER NOT NULL DEFAULT 0,
    version_scheme    TEXT    NOT NULL DEFAULT 'dotted',
    chip              TEXT    NOT NULL DEFAULT '',         -- the only chip whose images are taken; '' any
    max_image_bytes   INTEGER NOT NULL DEFAULT 0,          -- size of the update partition; 0 no limit
    success           TEXT    NOT NULL DEFAULT 'version' CHECK (success IN ('version', 'report')),
    created_at_ms     INTEGER NOT NULL,
    revision          INTEGER NOT NULL DEFAULT 1           -- grows with every change: the entity tag
) STRICT;

CREATE TABLE device (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,   -- executions outlive their device: never used twice
    product_id        INTEGER NOT NULL REFERENCES product (id),
    name              TEXT    NOT NULL,
    secret            BLOB,                                -- sealed, purpose "device", owner = product/name
    enabled           INTEGER NOT NULL DEFAULT 1,          -- 0: may not log in
    paused            INTEGER NOT NULL DEFAULT 0,          -- 1: gets no offers
    registered_at_ms  INTEGER NOT NULL,
    last_seen_at_ms   INTEGER NOT NULL DEFAULT 0,
    revision          INTEGER NOT NULL DEFAULT 1,
    UNIQUE (product_id, name)
) STRICT;

CREATE INDEX device_product ON device (product_id);       -- and id: pages of one product's devices

-- The names of devices that were deleted, for the executions that still tell of them.
CREATE TABLE device_gone (
    id                INTEGER PRIMARY KEY,                 -- what device.id was
    product_id        INTEGER NOT NULL REFERENCES product (id),
    name              TEXT    NOT NULL,
    gone_at_ms        INTEGER NOT NULL
) STRICT;

CREATE TABLE device_tag (
    device_id         INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    key               TEXT    NOT NULL,
    value             TEXT    NOT NULL,
    PRIMARY KEY (device_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_tag_value ON device_tag (key, value, device_id);

CREATE TABLE device_module (
    device_id         INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    module            TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    assumed           INTEGER NOT NULL DEFAULT 0,          -- taken from the device's own "succeeded"
    reported_at_ms    INTEGER NOT NULL,
    PRIMARY KEY (device_id, module)
) STRICT, WITHOUT ROWID;

CREATE TABLE firmware (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: devices and scripts keep them
    product_id        INTEGER NOT NULL REFERENCES product (id),
    module            TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    delta_from        TEXT    NOT NULL DEFAULT '',         -- '' a full file
    filename          TEXT    NOT NULL,
    size              INTEGER NOT NULL,
    sha256            TEXT    NOT NULL,
    sha1              TEXT    NOT NULL,
    md5               TEXT    NOT NULL,
    signature         TEXT    NOT NULL,                    -- base64 of the DER signature over the bytes
    image             TEXT    NOT NULL DEFAULT '',         -- kind of image that was read: 'esp', '' opaque
    image_version     TEXT    NOT NULL DEFAULT '',
    image_project     TEXT    NOT NULL DEFAULT '',
    image_chip        TEXT    NOT NULL DEFAULT '',
    created_at_ms     INTEGER NOT NULL,
    withdrawn_at_ms   INTEGER NOT NULL DEFAULT 0           -- not 0: the bytes are gone, a campaign's story stays
) STRICT;
CREATE UNIQUE INDEX firmware_version ON firmware (product_id, module, version, delta_from)
    WHERE withdrawn_at_ms = 0;
CREATE INDEX firmware_sha256 ON firmware (sha256);
CREATE INDEX firmware_filename ON firmware (product_id, filename);

CREATE TABLE campaign (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    name              TEXT    NOT NULL,
    product_id        INTEGER NOT NULL REFERENCES product (id),
    state             TEXT    NOT NULL CHECK (state IN ('draft', 'preparing', 'scheduled', 'running', 'paused',
                                                        'completed', 'cancelled')),
    state_reason      TEXT    NOT NULL DEFAULT '',         -- who or what paused or cancelled it
    target            TEXT    NOT NULL,                    -- JSON as given, without product
    policy            TEXT    NOT NULL,                    -- JSON of every policy key, defaults filled in
    forced            INTEGER NOT NULL DEFAULT 0,          -- cancelled: active executions end too
    prepared_to       INTEGER NOT NULL DEFAULT 0,          -- preparing: the last device id that has its execution
    late_success      INTEGER NOT NULL DEFAULT 0,          -- target versions reported after the end of an execution
    created_at_ms     INTEGER NOT NULL,
    started_at_ms     INTEGER NOT NULL DEFAULT 0,
    finished_at_ms    INTEGER NOT NULL DEFAULT 0,
    revision          INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX campaign_live ON campaign (state, id) WHERE finished_at_ms = 0;

CREATE TABLE campaign_firmware (
    campaign_id       INTEGER NOT NULL REFERENCES campaign (id),
    ord               INTEGER NOT NULL,                    -- the order in which the modules are updated, from 0
    firmware_id       INTEGER NOT NULL REFERENCES firmware (id),
    module            TEXT    NOT NULL,
    PRIMARY KEY (campaign_id, ord),
    UNIQUE (campaign_id, module)
) STRICT, WITHOUT ROWID;
CREATE INDEX campaign_firmware_file ON campaign_firmware (firmware_id);

-- Counts by state, moved in the same transaction as the execution they count.
CREATE TABLE wave_count (
    campaign_id       INTEGER NOT NULL REFERENCES campaign (id),
    wave              INTEGER NOT NULL,
    state             INTEGER NOT NULL,
    n                 INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, wave, state)
) STRICT, WITHOUT ROWID;

-- state: 0 pending 1 queued | 2 offered 3 downloading 4 downloaded 5 installing 6 testing (these are active)
--        | 7 succeeded 8 failed 9 timed_out 10 rejected 11 rolled_back 12 cancelled 13 superseded 14 removed (final)
CREATE TABLE execution (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,   -- the id that devices echo
    campaign_id       INTEGER NOT NULL REFERENCES campaign (id),
    device_id         INTEGER NOT NULL,                    -- of device, or of device_gone
    wave              INTEGER NOT NULL DEFAULT 0,
    state             INTEGER NOT NULL,
    percent           INTEGER NOT NULL DEFAULT 0,
    attempt           INTEGER NOT NULL DEFAULT 0,          -- offers begun, re-offers not counted
    reason            TEXT    NOT NULL DEFAULT '',
    detail            TEXT    NOT NULL DEFAULT '',
    suspect           INTEGER NOT NULL DEFAULT 0,          -- installing, and the old version was reported
    late              INTEGER NOT NULL DEFAULT 0,          -- its late success has been counted
    due_at_ms         INTEGER NOT NULL DEFAULT 0,          -- queued: a retry that is not due before; 0 due now
    deadline_at_ms    INTEGER,                             -- the clock that runs; null none
    offered_at_ms     INTEGER NOT NULL DEFAULT 0,
    started_at_ms     INTEGER NOT NULL DEFAULT 0,          -- first sign of life of this attempt
    finished_at_ms    INTEGER NOT NULL DEFAULT 0,
    updated_at_ms     INTEGER NOT NULL,
    UNIQUE (campaign_id, device_id)
) STRICT;
CREATE INDEX execution_device ON execution (device_id, id);
CREATE INDEX execution_live ON execution (device_id) WHERE state < 7;
CREATE INDEX execution_queued ON execution (campaign_id, device_id) WHERE state < 2;
CREATE INDEX execution_due ON execution (due_at_ms) WHERE state = 1 AND due_at_ms > 0;
CREATE INDEX execution_deadline ON execution (deadline_at_ms) WHERE deadline_at_ms IS NOT NULL;

CREATE TABLE execution_module (
    execution_id      INTEGER NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    ord               INTEGER NOT NULL,
    device_id         INTEGER NOT NULL,
    module            TEXT    NOT NULL,
    firmware_id       INTEGER NOT NULL,
    from_version      TEXT    NOT NULL DEFAULT '',         -- what the device had when it was first offered
    active            INTEGER NOT NULL DEFAULT 0,          -- 1 while the execution is active
    done_at_ms        INTEGER NOT NULL DEFAULT 0,          -- the target version was reported
    PRIMARY KEY (execution_id, ord)
) STRICT, WITHOUT ROWID;
-- Invariant 2: at most one execution is active for a device's module.
CREATE UNIQUE INDEX execution_module_active ON execution_module (device_id, module) WHERE active = 1;

CREATE TABLE timeline (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id         INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    at_ms             INTEGER NOT NULL,
    kind              TEXT    NOT NULL,                    -- registered version state retry late_success tags ...
    campaign_id       INTEGER,
    execution_id      INTEGER,
    text              TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX timeline_device ON timeline (device_id, id);

CREATE TABLE token (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    name              TEXT    NOT NULL,
    role              TEXT    NOT NULL CHECK (role IN ('viewer', 'uploader', 'operator', 'admin')),
    hash              BLOB    NOT NULL UNIQUE,             -- HMAC-SHA-256 of the token
    created_at_ms     INTEGER NOT NULL,
    expires_at_ms     INTEGER NOT NULL DEFAULT 0           -- 0 never
) STRICT;

CREATE TABLE idempotency (
    caller            INTEGER NOT NULL,                    -- token id, 0 for the socket
    key               TEXT    NOT NULL,
    request_hash      BLOB    NOT NULL,                    -- SHA-256 of method, path, query and body
    status            INTEGER NOT NULL,
    location          TEXT    NOT NULL,
    reply             TEXT    NOT NULL,
    created_at_ms     INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at_ms);
