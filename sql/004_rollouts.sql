-- What rollouts take beyond "everyone, at once".

-- Which firmware a campaign brings: one for each module; where it puts devices back, what each of them had.
CREATE TABLE campaign_firmware_new (
    campaign_id       INTEGER NOT NULL REFERENCES campaign (id),
    ord               INTEGER NOT NULL,                    -- the order in which the modules are updated, from 0
    firmware_id       INTEGER NOT NULL REFERENCES firmware (id),
    module            TEXT    NOT NULL,
    by_device         INTEGER NOT NULL DEFAULT 0,          -- 1: a goal for those alone whose execution_module says so
    PRIMARY KEY (campaign_id, ord, firmware_id)
) STRICT, WITHOUT ROWID;
INSERT INTO campaign_firmware_new (campaign_id, ord, firmware_id, module)
SELECT campaign_id, ord, firmware_id, module FROM campaign_firmware;
DROP TABLE campaign_firmware;
ALTER TABLE campaign_firmware_new RENAME TO campaign_firmware;
CREATE INDEX campaign_firmware_file ON campaign_firmware (firmware_id);

ALTER TABLE campaign ADD COLUMN waves TEXT NOT NULL DEFAULT '[]';          -- JSON as given
ALTER TABLE campaign ADD COLUMN dynamic INTEGER NOT NULL DEFAULT 0;        -- takes in who comes later
ALTER TABLE campaign ADD COLUMN salt INTEGER NOT NULL DEFAULT 0;           -- of the hashes that pick its devices
ALTER TABLE campaign ADD COLUMN state_cause TEXT NOT NULL DEFAULT '';      -- operator threshold approval end
ALTER TABLE campaign ADD COLUMN start_at_ms INTEGER NOT NULL DEFAULT 0;    -- of its policy
ALTER TABLE campaign ADD COLUMN end_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN devices_to INTEGER NOT NULL DEFAULT 0;     -- preparing: the last device it looks at
ALTER TABLE campaign ADD COLUMN source_id INTEGER;                         -- its devices are those of this campaign
ALTER TABLE campaign ADD COLUMN puts_back INTEGER NOT NULL DEFAULT 0;      -- to what they had before that one
UPDATE campaign SET devices_to = 9223372036854775807 WHERE state = 'preparing';
CREATE INDEX campaign_open ON campaign (id) WHERE finished_at_ms = 0;
CREATE INDEX campaign_of_product ON campaign (product_id, id) WHERE finished_at_ms = 0;

-- A campaign's waves, in order; at least one. Who is in it: hash below upto, or these tags, and in no wave before it.
CREATE TABLE campaign_wave (
    campaign_id       INTEGER NOT NULL REFERENCES campaign (id),
    wave              INTEGER NOT NULL,                    -- from 0
    devices           INTEGER NOT NULL DEFAULT 0,          -- asked for so many: upto is found while preparing
    upto              INTEGER,                             -- null: by tags, or not found yet
    tags              TEXT,
    success_pct       INTEGER NOT NULL,                    -- of its devices, before the next one starts
    soak_ms           INTEGER NOT NULL,
    started_at_ms     INTEGER NOT NULL DEFAULT 0,
    met_at_ms         INTEGER NOT NULL DEFAULT 0,          -- its success was met
    PRIMARY KEY (campaign_id, wave)
) STRICT, WITHOUT ROWID;
INSERT INTO campaign_wave (campaign_id, wave, upto, success_pct, soak_ms, started_at_ms)
SELECT id, 0, 9223372036854775807, 0, 0, started_at_ms FROM campaign;

-- What changes with offers; apart from its campaign, whose row is long.
CREATE TABLE campaign_pace (
    campaign_id       INTEGER PRIMARY KEY REFERENCES campaign (id),
    wave              INTEGER NOT NULL DEFAULT 0,          -- the last one that has started; -1 none
    queued_to         INTEGER NOT NULL DEFAULT 0,          -- the last device whose execution is queued for it
    next_offer_us     INTEGER NOT NULL DEFAULT 0,          -- the rate allows no offer before
    silent            INTEGER NOT NULL DEFAULT 0           -- active executions that hold no slot
) STRICT;
INSERT INTO campaign_pace (campaign_id, queued_to) SELECT id, 9223372036854775807 FROM campaign;

ALTER TABLE device ADD COLUMN pinned TEXT NOT NULL DEFAULT '';             -- the only version it is offered; '' any
ALTER TABLE device ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;         -- executions that ended badly in a row
ALTER TABLE device ADD COLUMN quarantine_until_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX device_quarantine ON device (quarantine_until_ms) WHERE quarantine_until_ms > 0;

ALTER TABLE execution ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;        -- active, and holds no slot any more
DROP INDEX execution_queued;
CREATE INDEX execution_state ON execution (campaign_id, state, device_id);
CREATE INDEX execution_wave ON execution (campaign_id, wave, device_id);   -- else a look at one wave goes over all of them

-- Rows of execution_module are made when the execution is first offered, or a module of it is found done. firmware_id is
-- what was offered last: the campaign's, a delta, or a stepping stone on the way.
ALTER TABLE execution_module ADD COLUMN goal_id INTEGER;                   -- null: the campaign's; puts_back: its own
ALTER TABLE execution_module ADD COLUMN no_delta INTEGER NOT NULL DEFAULT 0; -- a delta failed: the full file from now on
ALTER TABLE execution_module ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;  -- stepping stones that it has reached
CREATE INDEX execution_module_firmware ON execution_module (firmware_id) WHERE active = 1;

-- The modules of an execution, whether they have rows of their own or not.
CREATE VIEW part AS
SELECT x.id AS execution_id, x.campaign_id, x.device_id, x.state, k.ord, k.module, k.firmware_id AS goal_id,
       coalesce(m.firmware_id, k.firmware_id) AS firmware_id, coalesce(m.from_version, '') AS from_version,
       coalesce(m.active, 0) AS active, coalesce(m.done_at_ms, 0) AS done_at_ms, coalesce(m.no_delta, 0) AS no_delta
FROM execution x
     JOIN campaign_firmware k ON k.campaign_id = x.campaign_id
     LEFT JOIN execution_module m ON m.execution_id = x.id AND m.ord = k.ord
WHERE CASE WHEN k.by_device THEN m.goal_id = k.firmware_id ELSE 1 END;

-- A device as it is read, with its product's key: the columns in the order of read_device of store/device.c.
CREATE VIEW device_row AS
SELECT device.id, device.product_id, product.key AS product, device.name, device.secret, device.enabled, device.paused,
       device.registered_at_ms, device.last_seen_at_ms, device.revision, device.pinned, device.failures,
       device.quarantine_until_ms, device.mac
FROM device JOIN product ON product.id = device.product_id;

-- An execution and what its campaign says of it: the columns in the order of execution_read of rollout/execution.c.
CREATE VIEW execution_of_campaign AS
SELECT x.id, x.campaign_id, x.device_id, x.wave, x.state, x.percent, x.attempt, x.suspect, x.due_at_ms, x.deadline_at_ms,
       x.started_at_ms, x.updated_at_ms, c.state AS campaign_state, c.policy, x.offered_at_ms, x.silent
FROM execution x JOIN campaign c ON c.id = x.campaign_id;

-- An execution as it is shown: the columns in the order of view_read of rollout/view.c.
CREATE VIEW execution_row AS
SELECT x.id, x.campaign_id, x.device_id, p.key AS product, coalesce(d.name, g.name, '') AS device, x.wave, x.state, x.percent,
       x.attempt, x.reason, x.detail, x.due_at_ms, x.offered_at_ms, x.started_at_ms, x.finished_at_ms, x.updated_at_ms
FROM execution x
     JOIN campaign c ON c.id = x.campaign_id
     JOIN product p ON p.id = c.product_id
     LEFT JOIN device d ON d.id = x.device_id
     LEFT JOIN device_gone g ON g.id = x.device_id;
