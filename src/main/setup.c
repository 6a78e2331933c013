#include "main/daemon.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pki.h"
#include "base/str.h"
#include "mqtt/broker.h"
#include "store/audit.h"
#include "store/firmware.h"
#include "store/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* After the lock: nobody else writes there. */
static int sweep(const char *data_dir, struct err *e)
{
    static const char *const folders[] = {".", "keys", "certs", BROKER_DIR};
    char path[FILE_PATH_SIZE];
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(folders) && rc == 0; i++)
        if ((rc = file_path(path, data_dir, folders[i], e)) == 0)
            rc = file_sweep(path, e);
    return rc;
}

int setup_data_dir(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_make_dir(o->settings.data_dir, 0700, e);
    if (rc < 0)
        return rc;
    /* the broker's settings need the whole path */
    char *real = realpath(o->settings.data_dir, NULL);
    bool fits = real && str_copy(path, sizeof path, real);
    free(real);
    if (!fits)
        return err_errno(e, "cannot resolve %s", o->settings.data_dir);
    str_copy(o->settings.data_dir, FILE_PATH_SIZE, path);
    if ((rc = file_path(path, o->settings.data_dir, "otad.lock", e)) < 0)
        return rc;
    o->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (o->lock_fd < 0)
        return err_errno(e, "cannot open %s", path);
    if (flock(o->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? err_set(e, ERR_CONFLICT, "another otad runs on %s", o->settings.data_dir)
                   : err_errno(e, "cannot lock %s", path);
    return sweep(o->settings.data_dir, e);
}

/* Another key in the place of one that was lost opens no secret, and no device trusts what it signs; and the
 * backups that hold the lost one go with time. The token is written after the first ones. */
static int check_key_there(const struct otad *o, const char *path, struct err *e)
{
    char token[FILE_PATH_SIZE];
    int rc = file_path(token, o->settings.data_dir, "admin.token", e);
    if (rc < 0 || access(path, F_OK) == 0 || access(token, F_OK) < 0)
        return rc;
    return err_set(e, ERR_DAMAGED, "%.120s is not there, but %.100s shows that there was one", path, token);
}

int setup_keys(struct otad *o, struct err *e)
{
    char dir[FILE_PATH_SIZE], path[FILE_PATH_SIZE];
    int rc = file_path(dir, o->settings.data_dir, "keys", e);
    if (rc == 0)
        rc = file_make_dir(dir, 0700, e);
    if (rc == 0)
        rc = file_path(path, dir, "secret.key", e);
    if (rc == 0)
        rc = check_key_there(o, path, e);
    if (rc == 0)
        rc = seal_create(path, &o->seal, e);
    if (rc == 0)
        rc = file_path(path, dir, "signing.pem", e);
    if (rc == 0)
        rc = check_key_there(o, path, e);
    if (rc == 0)
        rc = signing_key_open(path, &o->signing_key, e);
    return rc;
}

/* "https://ota.lan:8443/x" -> "ota.lan", "https://[::1]:8443" -> "::1" */
static void url_host(const char *url, char host[256])
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t n = *p == '[' ? strcspn(++p, "]") : strcspn(p, ":/");
    if (n >= 256)
        n = 0;
    memcpy(host, p, n);
    host[n] = '\0';
}

int setup_certificates(struct otad *o, bool *renewed, struct err *e)
{
    struct pki_names names = {0};
    bool compatible = o->settings.tls_profile == TLS_COMPATIBLE, rsa_renewed = false;
    char host[256];
    *renewed = false;
    int rc = pki_ensure_cas(o->cert_dir, compatible ? PKI_RSA_2048 : PKI_P256, e);
    if (rc < 0 || *o->settings.cert_file)
        return rc;
    url_host(o->settings.public_url, host);
    pki_names_add(&names, host);
    pki_names_of_machine(&names);
    rc = pki_ensure_server(o->cert_dir, PKI_P256, &names, clock_wall_ms(), renewed, e);
    if (rc == 0 && compatible)
        rc = pki_ensure_server(o->cert_dir, PKI_RSA_2048, &names, clock_wall_ms(), &rsa_renewed, e);
    *renewed = *renewed || rsa_renewed;
    return rc;
}

/* What needs this profile knows RSA alone, in the certificate it is shown and in the signature of a CA. */
void setup_check_profile(const struct otad *o)
{
    const char *own = o->settings.cert_file;
    char path[FILE_PATH_SIZE];
    bool rsa;
    struct err e;
    if (o->settings.tls_profile != TLS_COMPATIBLE || file_path(path, o->cert_dir, "ca.pem", &e) < 0)
        return;
    if (pki_is_rsa(*own ? own : path, &rsa, &e) == 0 && !rsa)
        log_warn(
            "tls_profile is compatible, but %s has no RSA key: the devices that need this profile cannot "
            "use it (docs/tls.md)",
            *own ? own : path);
}

struct new_token {
    struct token token;
    unsigned char hash[SHA256_BYTES];
};

static int note_token(struct db *w, const struct token *t, struct err *e)
{
    struct audit_line line = {
        .at_ms = t->created_at_ms, .who = "otad", .method = "POST", .path = "/api/v1/tokens", .status = 201};
    json_auto_t *j = json_object();
    json_put_int(j, "id", t->id);
    json_put_text(j, "name", t->name);
    json_put_text(j, "role", role_word(t->role));
    line.after = json_text(j);
    int rc = audit_add(w, &line, e);
    audit_clear(&line, 1);
    return rc;
}

static int insert_token(struct db *w, void *arg, struct err *e)
{
    struct new_token *t = arg;
    int rc = token_insert(w, &t->token, t->hash, e);
    return rc ? rc : note_token(w, &t->token, e);
}

int setup_admin_token(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE], text[TOKEN_TEXT_SIZE + 1];
    struct new_token new = {
        .token = {.name = "admin.token", .role = ROLE_ADMIN, .created_at_ms = clock_wall_ms()}};
    int rc = file_path(path, o->settings.data_dir, "admin.token", e);
    if (rc < 0 || access(path, F_OK) == 0)
        return rc;
    token_make(text);
    token_hash(o->http_env.token_key, text, new.hash);
    rc = store_write(o->store, insert_token, &new, e);
    if (rc == 0) {
        size_t n = strlen(text);
        text[n++] = '\n';
        rc = file_replace(path, text, n, 0600, e);
    }
    return rc;
}

static bool blob_is_known(void *arg, const char *sha256)
{
    struct err e;
    bool known;
    /* in doubt it stays */
    return firmware_known(arg, sha256, &known, &e) < 0 || known;
}

int setup_blobs(struct otad *o, struct err *e)
{
    struct db *reader;
    uint64_t removed;
    int rc = blobs_open(o->settings.data_dir, &o->blobs, e);
    if (rc == 0)
        rc = store_reader(o->store, &reader, e);
    if (rc == 0)
        rc = blobs_sweep(o->blobs, blob_is_known, reader, &removed, e);
    if (rc == 0 && removed > 0)
        log_warn("removed %llu firmware files that no upload had finished", (unsigned long long)removed);
    return rc;
}

static bool in_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
}

static void warn_of_own_address(const char *public_url, const char *host)
{
    struct pki_names own = {0};
    pki_names_of_machine(&own);
    for (size_t i = 0; in_container() && i < own.n; i++)
        if (strcmp(own.name[i], host) == 0 && strcmp(host, "localhost") != 0)
            log_warn("public_url %s is the container's own address: devices outside cannot reach it",
                     public_url);
}

/* There are devices that cannot use a URL with a port: it is not there for nothing. */
static void drop_default_port(char *url)
{
    const char *port = strncmp(url, "https://", 8) == 0 ? ":443" : ":80";
    size_t n = strlen(url), len = strlen(port);
    char *host = strstr(url, "://");
    if (host && n > len && strcmp(url + n - len, port) == 0 && !strchr(host + 3, '/'))
        url[n - len] = '\0';
}

void setup_public_url(struct otad *o)
{
    char host[256], machine[256] = "localhost", *url = o->settings.public_url;
    bool covers = false;
    struct err e;
    drop_default_port(url);
    if (!*url) {
        gethostname(machine, sizeof machine - 1);
        snprintf(url, sizeof o->settings.public_url, "https://%.200s:%lld", machine,
                 (long long)o->settings.https_port);
        drop_default_port(url);
        log_warn("public_url is not set: offers will say %s; set it to the URL devices reach this machine by",
                 url);
        return;
    }
    url_host(url, host);
    warn_of_own_address(url, host);
    if (strncmp(url, "https://", 8) == 0 && *o->settings.cert_file &&
        pki_covers(o->settings.cert_file, host, &covers, &e) == 0 && !covers)
        log_warn("the certificate %s is not valid for %s, the host of public_url: devices will refuse it",
                 o->settings.cert_file, host);
}
