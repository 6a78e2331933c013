-- Who a campaign is for: what leads, by the narrowest index, and what is asked of each device.

-- name: target_lead_product
SELECT id FROM device
WHERE product_id = :product_id AND id > :after_id AND id <= :to_id ORDER BY id LIMIT :cap;

-- name: target_lead_tag
SELECT device_id FROM device_tag
WHERE key = :key AND value = :value AND device_id > :after_id AND device_id <= :to_id ORDER BY device_id LIMIT :cap;

-- The names lead, not the product's devices: each name is looked up once.
-- name: target_lead_names
SELECT d.id
FROM (SELECT DISTINCT value FROM json_each(:devices)) j
     CROSS JOIN device d ON d.product_id = :product_id AND d.name = j.value
WHERE d.id > :after_id AND d.id <= :to_id ORDER BY d.id LIMIT :cap;

-- name: target_lead_campaign
SELECT device_id FROM execution
WHERE campaign_id = :source_id AND device_id > :after_id AND device_id <= :to_id ORDER BY device_id LIMIT :cap;

-- name: target_has
SELECT 1
FROM device d
WHERE d.id = :id AND d.product_id = :product_id
  AND (:devices IS NULL OR d.name IN (SELECT value FROM json_each(:devices)))
  AND (:equal IS NULL
       OR NOT EXISTS (SELECT 1 FROM json_each(:equal) t
                      WHERE NOT EXISTS (SELECT 1 FROM device_tag g
                                        WHERE g.device_id = d.id AND g.key = t.key AND g.value = t.value)))
  AND (:unequal IS NULL
       OR NOT EXISTS (SELECT 1 FROM json_each(:unequal) t
                           JOIN device_tag g ON g.device_id = d.id AND g.key = t.key AND g.value = t.value))
  AND (:present IS NULL
       OR NOT EXISTS (SELECT 1 FROM json_each(:present) t
                      WHERE NOT EXISTS (SELECT 1 FROM device_tag g WHERE g.device_id = d.id AND g.key = t.value)))
  AND (:absent IS NULL
       OR NOT EXISTS (SELECT 1 FROM json_each(:absent) t
                           JOIN device_tag g ON g.device_id = d.id AND g.key = t.value))
  AND (:source_id IS NULL
       OR EXISTS (SELECT 1 FROM execution x
                  WHERE x.campaign_id = :source_id AND x.device_id = d.id AND (:states >> x.state) & 1));

-- name: device_has_tags
SELECT NOT EXISTS (SELECT 1 FROM json_each(:tags) t
                   WHERE NOT EXISTS (SELECT 1 FROM device_tag g
                                     WHERE g.device_id = :id AND g.key = t.key AND g.value = t.value));

-- The first name of a target that is no device of the product.
-- name: target_unknown_device
SELECT j.value FROM json_each(:devices) j
WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.product_id = :product_id AND d.name = j.value)
LIMIT 1;

-- The first tag that nobody has.
-- name: target_unknown_value
SELECT t.key, t.value FROM json_each(:tags) t
WHERE NOT EXISTS (SELECT 1 FROM device_tag g WHERE g.key = t.key AND g.value = t.value) LIMIT 1;

-- name: target_unknown_key
SELECT t.value FROM json_each(:keys) t
WHERE NOT EXISTS (SELECT 1 FROM device_tag g WHERE g.key = t.value) LIMIT 1;

-- name: target_unknown_campaign
SELECT pruned_at_ms FROM campaign WHERE id = :id AND product_id = :product_id;

-- The device that was registered last.
-- name: device_last
SELECT coalesce(max(id), 0) FROM device;
