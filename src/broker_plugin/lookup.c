#include "lookup.h"

#include "base/digest.h"
#include "base/str.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 50

/* sql/ is the daemon's: what the plugin reads is this one line, at each login. */
static const char login[] =
    "SELECT p.protocol, p.enabled, p.enrolment = 'open', p.enrolment_secret, d.id IS NOT NULL, d.enabled, "
    "d.secret "
    "FROM product p LEFT JOIN device d ON d.product_id = p.id AND d.name = ?2 WHERE p.key = ?1";

struct lookup {
    char *path;
    const struct seal *seal;
    sqlite3 *db;
    sqlite3_stmt *stmt;
};

/* The protocols whose devices log in as product/device with a secret as it is. */
static const char *const protocols[] = {"native"};

struct lookup *lookup_open(const char *store_path, const struct seal *seal)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->seal = seal;
    l->path = strdup(store_path);
    if (!l->path) {
        free(l);
        return NULL;
    }
    return l;
}

static void disconnect(struct lookup *l)
{
    sqlite3_finalize(l->stmt);
    sqlite3_close(l->db);
    l->stmt = NULL;
    l->db = NULL;
}

void lookup_close(struct lookup *l)
{
    disconnect(l);
    free(l->path);
    free(l);
}

static int fail(struct lookup *l, const char *what, struct err *e)
{
    err_set(e, ERR_INTERNAL, "cannot %s the store: %s", what,
            l->db ? sqlite3_errmsg(l->db) : "out of memory");
    disconnect(l);
    return -ERR_INTERNAL;
}

static int connect_store(struct lookup *l, struct err *e)
{
    if (l->stmt)
        return 0;
    if (sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return fail(l, "open", e);
    sqlite3_busy_timeout(l->db, BUSY_MS);
    /* only otad's writer ever checkpoints */
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (sqlite3_prepare_v3(l->db, login, -1, SQLITE_PREPARE_PERSISTENT, &l->stmt, NULL) != SQLITE_OK)
        return fail(l, "read", e);
    return 0;
}

/* Whether the password is the secret sealed in this column; false for null and for what does not open. */
static bool opens(struct lookup *l, int column, const char *purpose, const char *owner, const char *password)
{
    char secret[SEALED_SIZE];
    struct err e;
    const void *sealed = sqlite3_column_blob(l->stmt, column);
    int len = sqlite3_column_bytes(l->stmt, column);
    if (!sealed || len <= SEAL_OVERHEAD || len > SEALED_SIZE ||
        seal_open(l->seal, purpose, owner, sealed, (size_t)len, secret, sizeof secret, &e) < 0)
        return false;
    bool same = *secret && same_secret(secret, strlen(secret), password, strlen(password));
    explicit_bzero(secret, sizeof secret);
    return same;
}

static bool known_protocol(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (name && strcmp(protocols[i], name) == 0)
            return true;
    return false;
}

static int judge(struct lookup *l, const char *product, const char *device, const char *password,
                 struct err *e)
{
    char owner[PRODUCT_SIZE + DEVICE_SIZE];
    bool open = sqlite3_column_int(l->stmt, 2), known = sqlite3_column_int(l->stmt, 4);
    snprintf(owner, sizeof owner, "%s/%s", product, device);
    if (!known_protocol((const char *)sqlite3_column_text(l->stmt, 0)))
        return err_set(e, ERR_UNAUTHORIZED, "the product's protocol is not spoken over MQTT");
    if (!sqlite3_column_int(l->stmt, 1))
        return err_set(e, ERR_UNAUTHORIZED, "the product is disabled");
    if (known && !sqlite3_column_int(l->stmt, 5))
        return err_set(e, ERR_UNAUTHORIZED, "the device is disabled");
    if (known && opens(l, 6, "device", owner, password))
        return 0;
    if (open && opens(l, 3, "enrolment", product, password))
        return 0;
    return err_set(e, ERR_UNAUTHORIZED, known || open ? "wrong secret" : "unknown device");
}

int lookup_check(struct lookup *l, const char *product, const char *device, const char *password,
                 struct err *e)
{
    int rc = connect_store(l, e);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(l->stmt, 1, product, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->stmt, 2, device, -1, SQLITE_STATIC);
    int step = sqlite3_step(l->stmt);
    if (step == SQLITE_ROW)
        rc = judge(l, product, device, password, e);
    else if (step == SQLITE_DONE)
        rc = err_set(e, ERR_UNAUTHORIZED, "unknown product");
    else
        return fail(l, "read", e);
    /* no read transaction stays open: the checkpoints would wait for it */
    sqlite3_reset(l->stmt);
    sqlite3_clear_bindings(l->stmt);
    return rc;
}
