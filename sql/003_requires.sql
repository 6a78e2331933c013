-- The versions that a firmware installs over, as text of base/version_range; '' any.
ALTER TABLE firmware ADD COLUMN requires TEXT NOT NULL DEFAULT '';
