#include "http/route.h"

#include "base/str.h"

#define JSON_BYTES   (64 * 1024)
#define CSR_BYTES    (16 * 1024)
#define IMPORT_BYTES (16 * 1024 * 1024)
#define FUSE_BYTES   (4 * 1024)
#define CREATES      (ROUTE_WRITES | ROUTE_CREATES)
#define FUSE         (ROUTE_DEVICE | ROUTE_FUSE)

static const char *const by_page[] = {"limit", "after", NULL};
static const char *const by_state[] = {"limit", "after", "state", NULL};
static const char *const executions[] = {"limit", "after", "state", "wave", "format", NULL};
static const char *const of_product[] = {"limit", "after", "product", NULL};
static const char *const devices[] = {"limit",   "after",       "product",    "tag", "module",
                                      "version", "seen_before", "seen_after", NULL};
static const char *const upload[] = {"product",    "module",   "version", "filename",
                                     "delta_from", "requires", "part_of", NULL};
static const char *const force[] = {"force", NULL};
static const char *const by_tag[] = {"tag", NULL};
static const char *const audit[] = {"limit", "after", "who", "path", "since", "until", "format", NULL};
static const char *const dry_run[] = {"dry_run", NULL};

/* The upload's limit is the setting max_upload_bytes. */
const struct route route_table[] = {
    {"POST", "/api/v1/products", ROLE_OPERATOR, JSON_BYTES, CREATES, api_product_create, NULL},
    {"GET", "/api/v1/products", ROLE_VIEWER, 0, 0, api_product_list, by_page},
    {"GET", "/api/v1/products/{key}", ROLE_VIEWER, 0, 0, api_product_get, NULL},
    {"PATCH", "/api/v1/products/{key}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_product_patch, NULL},
    {"POST", "/api/v1/products/{key}/enrolment-secret", ROLE_OPERATOR, JSON_BYTES, CREATES,
     api_product_secret, NULL},
    {"DELETE", "/api/v1/products/{key}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_product_delete, NULL},

    {"POST", "/api/v1/devices", ROLE_OPERATOR, JSON_BYTES, CREATES, api_device_create, NULL},
    {"GET", "/api/v1/devices", ROLE_VIEWER, 0, 0, api_device_list, devices},
    {"POST", "/api/v1/devices:import", ROLE_OPERATOR, IMPORT_BYTES, CREATES | ROUTE_RAW, api_device_import,
     NULL},
    {"GET", "/api/v1/devices/{product}/{name}", ROLE_VIEWER, 0, 0, api_device_get, NULL},
    {"PATCH", "/api/v1/devices/{product}/{name}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_device_patch,
     NULL},
    {"POST", "/api/v1/devices/{product}/{name}/secret", ROLE_OPERATOR, JSON_BYTES, CREATES, api_device_secret,
     NULL},
    {"DELETE", "/api/v1/devices/{product}/{name}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_device_delete, NULL},
    {"GET", "/api/v1/devices/{product}/{name}/timeline", ROLE_VIEWER, 0, 0, api_device_timeline, by_page},
    {"GET", "/api/v1/devices/{product}/{name}/executions", ROLE_VIEWER, 0, 0, api_device_executions, by_page},
    {"GET", "/api/v1/devices/{product}/{name}/why", ROLE_VIEWER, 0, 0, api_device_why, NULL},
    {"DELETE", "/api/v1/devices/{product}/{name}/quarantine", ROLE_OPERATOR, 0, ROUTE_WRITES,
     api_quarantine_delete, NULL},
    /* not CREATES: what is remembered for an Idempotency-Key is on disk for a day, and here would be a
       private key */
    {"POST", "/api/v1/devices/{product}/{name}/certificate", ROLE_OPERATOR, CSR_BYTES, ROUTE_SLOW,
     api_certificate_create, NULL},
    {"GET", "/api/v1/devices/{product}/{name}/certificates", ROLE_VIEWER, 0, 0, api_certificate_list,
     by_page},
    {"DELETE", "/api/v1/devices/{product}/{name}/certificates/{serial}", ROLE_OPERATOR, 0, ROUTE_WRITES,
     api_certificate_delete, NULL},

    {"PUT", "/api/v1/firmware", ROLE_UPLOADER, 0, ROUTE_WRITES | ROUTE_UPLOAD, api_firmware_put, upload},
    {"GET", "/api/v1/firmware", ROLE_VIEWER, 0, 0, api_firmware_list, of_product},
    {"GET", "/api/v1/firmware/{id}", ROLE_VIEWER, 0, 0, api_firmware_get, NULL},
    {"DELETE", "/api/v1/firmware/{id}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_firmware_delete, force},
    {"GET", "/api/v1/firmware/{id}/file", ROLE_VIEWER, 0, ROUTE_FILE, api_firmware_file, NULL},

    {"POST", "/api/v1/campaigns", ROLE_OPERATOR, JSON_BYTES, CREATES | ROUTE_DRY, api_campaign_create,
     dry_run},
    {"GET", "/api/v1/campaigns", ROLE_VIEWER, 0, 0, api_campaign_list, by_state},
    {"GET", "/api/v1/campaigns/{id}", ROLE_VIEWER, 0, 0, api_campaign_get, NULL},
    {"PATCH", "/api/v1/campaigns/{id}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_patch, NULL},
    {"POST", "/api/v1/campaigns/{id}/start", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_start,
     NULL},
    {"POST", "/api/v1/campaigns/{id}/pause", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_pause,
     NULL},
    {"POST", "/api/v1/campaigns/{id}/resume", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_resume,
     NULL},
    {"POST", "/api/v1/campaigns/{id}/advance", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_advance,
     NULL},
    {"POST", "/api/v1/campaigns/{id}/cancel", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_cancel,
     force},
    {"POST", "/api/v1/campaigns/{id}/retry", ROLE_OPERATOR, JSON_BYTES, CREATES, api_campaign_retry, NULL},
    {"POST", "/api/v1/campaigns/{id}/rollback", ROLE_OPERATOR, JSON_BYTES, CREATES, api_campaign_rollback,
     NULL},
    {"GET", "/api/v1/campaigns/{id}/executions", ROLE_VIEWER, 0, 0, api_campaign_executions, executions},
    {"GET", "/api/v1/campaigns/{id}/failures", ROLE_VIEWER, 0, 0, api_campaign_failures, by_tag},
    {"GET", "/api/v1/executions/{id}", ROLE_VIEWER, 0, 0, api_execution_get, NULL},

    {"POST", "/api/v1/tokens", ROLE_ADMIN, JSON_BYTES, CREATES, api_token_create, NULL},
    {"GET", "/api/v1/tokens", ROLE_ADMIN, 0, 0, api_token_list, by_page},
    {"GET", "/api/v1/tokens/{id}", ROLE_ADMIN, 0, 0, api_token_get, NULL},
    {"DELETE", "/api/v1/tokens/{id}", ROLE_ADMIN, 0, ROUTE_WRITES, api_token_delete, NULL},
    {"GET", "/api/v1/audit", ROLE_ADMIN, 0, 0, api_audit, audit},
    {"POST", "/api/v1/backup", ROLE_ADMIN, 0, ROUTE_LONG, api_backup_create, NULL},
    {"GET", "/api/v1/backups", ROLE_VIEWER, 0, ROUTE_SLOW, api_backup_list, NULL},
    {"GET", "/api/v1/status", ROLE_VIEWER, 0, 0, api_status, NULL},
    {"GET", "/api/v1/signing-key", ROLE_NONE, 0, 0, api_signing_key, NULL},
    {"GET", "/api/v1/ca", ROLE_NONE, 0, 0, api_ca, NULL},
    {"GET", "/health", ROLE_NONE, 0, 0, api_health, NULL},

    {"GET", "/api/v1/device/offer", ROLE_DEVICE, 0, ROUTE_DEVICE, api_self_offer, NULL},
    {"POST", "/api/v1/device/report", ROLE_DEVICE, JSON_BYTES, ROUTE_WRITES | ROUTE_DEVICE, api_self_report,
     NULL},
    {"POST", "/fuse-ota/{product}/{device}/version", ROLE_DEVICE, FUSE_BYTES, FUSE | ROUTE_RAW,
     api_fuse_version_put, NULL},
    {"GET", "/fuse-ota/{product}/{device}/version", ROLE_DEVICE, 0, FUSE, api_fuse_version_get, NULL},
    {"GET", "/fuse-ota/{product}/{device}/check", ROLE_DEVICE, 0, FUSE, api_fuse_check, NULL},
    {"GET", "/fuse-ota/{product}/{device}/{tid}/check", ROLE_DEVICE, 0, FUSE, api_fuse_task, NULL},
    {"GET", "/fuse-ota/{product}/{device}/{tid}/download", ROLE_DEVICE, 0, FUSE | ROUTE_TERSE,
     api_fuse_download, NULL},
    {"POST", "/fuse-ota/{product}/{device}/{tid}/status", ROLE_DEVICE, FUSE_BYTES,
     FUSE | ROUTE_RAW | ROUTE_WRITES, api_fuse_status, NULL},
    {"GET", "/firmware/{name}", ROLE_NONE, 0, ROUTE_FILE, api_file, NULL},
    {"GET", "/update/{product}", ROLE_NONE, 0, ROUTE_FILE, api_update, NULL},
    {"GET", "/update/{product}/manifest.json", ROLE_NONE, 0, ROUTE_FILE, api_update_manifest, NULL},
    {"GET", "/update/{product}/{file}", ROLE_NONE, 0, ROUTE_FILE, api_update_md5, NULL},
};
const size_t route_count = ARRAY_SIZE(route_table);
