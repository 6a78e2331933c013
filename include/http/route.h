/* route.h: every route in one table (http/route_table.c), from which matching, 404, 405 with Allow, roles,
 * body limits and the comparison with docs/openapi.yaml come. */
#ifndef OTAD_HTTP_ROUTE_H
#define OTAD_HTTP_ROUTE_H

#include "http/request.h"

#include <stdio.h>

enum route_flags {
    ROUTE_WRITES = 1,  /* the handler runs on the writer */
    ROUTE_CREATES = 2, /* a POST that creates: Idempotency-Key is remembered */
    ROUTE_RAW = 4,     /* the body is not JSON: request.raw */
    ROUTE_UPLOAD = 8,  /* the body is a file that streams to disk: request.upload */
    ROUTE_DEVICE = 16, /* for devices (Basic), and for operators of the route's role too */
    ROUTE_FILE = 32,   /* GET and HEAD of a file: proofs of http/file */
    ROUTE_SLOW = 64,   /* the handler runs on the upload thread, and may compute and wait: store_write */
    ROUTE_FUSE = 128, /* OneNET's: {product}/{device} of the path is who asks, a token its proof; http/fuse */
    ROUTE_TERSE = 256, /* a file for clients with room for the least of heads */
    ROUTE_DRY = 512,   /* with ?dry_run=1 it runs as a slow one and writes nothing; its query has dry_run */
    ROUTE_LONG = 1024, /* as ROUTE_SLOW, on the keeper's thread: for what takes minutes */
};

struct route {
    const char *method;    /* GET also answers HEAD */
    const char *path;      /* "/api/v1/devices/{product}/{name}" */
    enum role role;        /* ROLE_NONE: no token needed */
    size_t body_max_bytes; /* 0: takes no body */
    unsigned flags;
    handler_fn *handler;
    const char *const *query; /* parameters, up to a NULL; NULL: none. Devices' are not checked */
};

extern const struct route route_table[];
extern const size_t route_count;

/* Finds the row and fills arg. ERR_NOT_FOUND, or ERR_METHOD with the allowed methods in allow ("GET, HEAD,
 * POST"). */
int route_find(const char *method, const char *path, const struct route **out, char arg[PATH_ARGS_MAX][257],
               char allow[64], struct err *e);

/* A line for each: method, path, role, and who else: "device" with its own proof, "file" as http/file judges,
 * "-" nobody. */
void route_print(FILE *out);

/* The same over any table; the first row that fits wins. Pure. */
int route_match(const struct route table[], size_t n, const char *method, const char *path,
                const struct route **out, char arg[PATH_ARGS_MAX][257], char allow[64], struct err *e);

/* One file each, http/api_<thing>.c. */
handler_fn api_product_create, api_product_list, api_product_get, api_product_patch, api_product_secret,
    api_product_delete;
handler_fn api_device_create, api_device_list, api_device_get, api_device_patch, api_device_delete,
    api_device_import, api_device_timeline, api_device_executions, api_device_why, api_quarantine_delete,
    api_certificate_create, api_certificate_list, api_certificate_delete, api_device_secret;
handler_fn api_firmware_put, api_firmware_list, api_firmware_get, api_firmware_delete, api_firmware_file;
handler_fn api_campaign_create, api_campaign_list, api_campaign_get, api_campaign_patch, api_campaign_start,
    api_campaign_pause, api_campaign_resume, api_campaign_advance, api_campaign_cancel, api_campaign_retry,
    api_campaign_rollback, api_campaign_executions, api_campaign_failures, api_execution_get;
handler_fn api_token_create, api_token_list, api_token_get, api_token_delete, api_audit;
handler_fn api_backup_create, api_backup_list;
handler_fn api_status, api_health, api_signing_key, api_ca;
handler_fn api_self_offer, api_self_report; /* a device about itself */
handler_fn api_file;                        /* /firmware/{name} */
handler_fn api_fuse_version_put, api_fuse_version_get, api_fuse_check, api_fuse_task, api_fuse_status,
    api_fuse_download;
handler_fn api_update, api_update_manifest, api_update_md5; /* /update/{product} */

#endif
