/* http.h: the HTTP side's front door, for main. */
#ifndef OTAD_HTTP_HTTP_H
#define OTAD_HTTP_HTTP_H

#include "backup/backups.h"
#include "base/seal.h"
#include "base/sign.h"
#include "base/worker.h"
#include "config/settings.h"
#include "image/blob.h"
#include "rollout/rollout.h"
#include "store/db.h"
#include "store/token_use.h"

/* What handlers may use; constant while the server runs, owned by main. */
struct http_env {
    const struct settings *settings;
    struct store *store;
    struct blobs *blobs;
    struct rollout *rollout;
    const struct seal *seal;
    const struct signing_key *signing_key;
    unsigned char token_key[32];
    struct token_uses *token_uses;
    char cert_dir[FILE_PATH_SIZE]; /* of the CAs */
    char ca_path[FILE_PATH_SIZE];
    char cert_path[FILE_PATH_SIZE], key_path[FILE_PATH_SIZE];
    char rsa_cert_path[FILE_PATH_SIZE], rsa_key_path[FILE_PATH_SIZE]; /* beside them; "" none */
    int64_t started_at_ms;
    void (*wake)(void); /* tells main that a campaign may have something to do now; may be NULL */
    /* ends the sessions of a device at the broker, of all of a product where device is ""; may be NULL */
    void (*end_sessions)(void *arg, const char *product, const char *device);
    void *end_sessions_arg;
    struct backups *backups;
    struct worker *keeper; /* for routes with ROUTE_LONG */
    /* looks at a file that cannot be sent; may be NULL */
    void (*suspect)(void *arg, const char *sha256);
    void *suspect_arg;
};

struct http;

/* Listens on https_port, http_port (when not 0) and <data_dir>/otad.sock (0600). */
int http_start(const struct http_env *env, struct http **out, struct err *e);
/* Swaps in the certificates and keys now on disk for new connections; the old ones stay when the new are bad.
 */
int http_reload_certificate(struct http *h, struct err *e);
/* Refuses new connections, lets running requests go on for at most drain_ms, then ends. */
void http_stop(struct http *h, int64_t drain_ms);

#endif
