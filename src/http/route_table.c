#include "http/route.h"

#include "base/str.h"

#define JSON_BYTES   (64 * 1024)
#define IMPORT_BYTES (16 * 1024 * 1024)
#define CREATES      (ROUTE_WRITES | ROUTE_CREATES)

/* The upload's limit is the setting max_upload_bytes. */
const struct route route_table[] = {
    {"POST", "/api/v1/products", ROLE_OPERATOR, JSON_BYTES, CREATES, api_product_create},
    {"GET", "/api/v1/products", ROLE_VIEWER, 0, 0, api_product_list},
    {"GET", "/api/v1/products/{key}", ROLE_VIEWER, 0, 0, api_product_get},
    {"PATCH", "/api/v1/products/{key}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_product_patch},
    {"DELETE", "/api/v1/products/{key}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_product_delete},

    {"POST", "/api/v1/devices", ROLE_OPERATOR, JSON_BYTES, CREATES, api_device_create},
    {"GET", "/api/v1/devices", ROLE_VIEWER, 0, 0, api_device_list},
    {"POST", "/api/v1/devices:import", ROLE_OPERATOR, IMPORT_BYTES, CREATES | ROUTE_RAW, api_device_import},
    {"GET", "/api/v1/devices/{product}/{name}", ROLE_VIEWER, 0, 0, api_device_get},
    {"PATCH", "/api/v1/devices/{product}/{name}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_device_patch},
    {"DELETE", "/api/v1/devices/{product}/{name}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_device_delete},
    {"GET", "/api/v1/devices/{product}/{name}/timeline", ROLE_VIEWER, 0, 0, api_device_timeline},
    {"GET", "/api/v1/devices/{product}/{name}/executions", ROLE_VIEWER, 0, 0, api_device_executions},

    {"PUT", "/api/v1/firmware", ROLE_UPLOADER, 0, ROUTE_WRITES | ROUTE_UPLOAD, api_firmware_put},
    {"GET", "/api/v1/firmware", ROLE_VIEWER, 0, 0, api_firmware_list},
    {"GET", "/api/v1/firmware/{id}", ROLE_VIEWER, 0, 0, api_firmware_get},
    {"DELETE", "/api/v1/firmware/{id}", ROLE_OPERATOR, 0, ROUTE_WRITES, api_firmware_delete},
    {"GET", "/api/v1/firmware/{id}/file", ROLE_VIEWER, 0, ROUTE_FILE, api_firmware_file},

    {"POST", "/api/v1/campaigns", ROLE_OPERATOR, JSON_BYTES, CREATES, api_campaign_create},
    {"GET", "/api/v1/campaigns", ROLE_VIEWER, 0, 0, api_campaign_list},
    {"GET", "/api/v1/campaigns/{id}", ROLE_VIEWER, 0, 0, api_campaign_get},
    {"PATCH", "/api/v1/campaigns/{id}", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_patch},
    {"POST", "/api/v1/campaigns/{id}/start", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_start},
    {"POST", "/api/v1/campaigns/{id}/pause", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_pause},
    {"POST", "/api/v1/campaigns/{id}/resume", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_resume},
    {"POST", "/api/v1/campaigns/{id}/cancel", ROLE_OPERATOR, JSON_BYTES, ROUTE_WRITES, api_campaign_cancel},
    {"GET", "/api/v1/campaigns/{id}/executions", ROLE_VIEWER, 0, 0, api_campaign_executions},
    {"GET", "/api/v1/executions/{id}", ROLE_VIEWER, 0, 0, api_execution_get},

    {"POST", "/api/v1/tokens", ROLE_ADMIN, JSON_BYTES, CREATES, api_token_create},
    {"GET", "/api/v1/tokens", ROLE_ADMIN, 0, 0, api_token_list},
    {"DELETE", "/api/v1/tokens/{id}", ROLE_ADMIN, 0, ROUTE_WRITES, api_token_delete},
    {"GET", "/api/v1/status", ROLE_VIEWER, 0, 0, api_status},
    {"GET", "/api/v1/signing-key", ROLE_NONE, 0, 0, api_signing_key},
    {"GET", "/api/v1/ca", ROLE_NONE, 0, 0, api_ca},
    {"GET", "/health", ROLE_NONE, 0, 0, api_health},

    {"GET", "/api/v1/device/offer", ROLE_DEVICE, 0, ROUTE_DEVICE, api_self_offer},
    {"POST", "/api/v1/device/report", ROLE_DEVICE, JSON_BYTES, ROUTE_WRITES | ROUTE_DEVICE, api_self_report},
    {"GET", "/firmware/{name}", ROLE_NONE, 0, ROUTE_FILE, api_file},
};
const size_t route_count = ARRAY_SIZE(route_table);
