#include "lookup.h"

#include "base/clock.h"
#include "base/str.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 50

/* sql/ is the daemon's: what the plugin reads is this one line, at each login. Names of things are unique
 * among all products of their protocol. */
#define REVOKED                                                \
    "EXISTS (SELECT 1 FROM certificate c WHERE c.serial = ?4 " \
    "AND (c.revoked_at_ms > 0 OR c.device_id IS NOT d.id)) "
static const char login[] =
    "SELECT p.protocol, p.key, p.enabled, p.enrolment = 'open', p.enrolment_secret, d.id IS NOT NULL, "
    "d.enabled, d.secret, " REVOKED ", "
    "(SELECT o.secret FROM device_old_secret o WHERE o.device_id = d.id AND o.until_ms > ?5), "
    "iif(p.old_enrolment_until_ms > ?5, p.old_enrolment_secret, NULL) "
    "FROM product p LEFT JOIN device d ON d.product_id = p.id AND d.name = ?2 WHERE p.key = ?1 "
    "UNION ALL "
    "SELECT p.protocol, p.key, p.enabled, 0, NULL, 1, d.enabled, d.secret, " REVOKED ", NULL, NULL "
    "FROM device d CROSS JOIN product p ON p.id = d.product_id "
    "WHERE ?1 = '' AND d.name = ?2 AND p.protocol = ?3 LIMIT 1";

struct lookup {
    char *path;
    const struct seal *seal;
    sqlite3 *db;
    sqlite3_stmt *stmt;
};

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

/* The secret sealed in this column; "" for null and for what does not open. */
static void unseal(struct lookup *l, int column, const char *purpose, const char *owner,
                   char out[SECRET_SIZE])
{
    struct err e;
    const void *sealed = sqlite3_column_blob(l->stmt, column);
    int len = sqlite3_column_bytes(l->stmt, column);
    if (!sealed || len <= SEAL_OVERHEAD || len > SEALED_SIZE ||
        seal_open(l->seal, purpose, owner, sealed, (size_t)len, out, SECRET_SIZE, &e) < 0)
        out[0] = '\0';
}

static int read_row(struct lookup *l, const char *protocol, const char *device, struct credentials *out,
                    struct err *e)
{
    char owner[PRODUCT_SIZE + DEVICE_SIZE];
    const char *spoken = (const char *)sqlite3_column_text(l->stmt, 0);
    const char *product = (const char *)sqlite3_column_text(l->stmt, 1);
    if (!spoken || strcmp(spoken, protocol) != 0)
        return err_set(e, ERR_UNAUTHORIZED, "the product's devices do not log in like that");
    *out = (struct credentials){.product_enabled = sqlite3_column_int(l->stmt, 2),
                                .open = sqlite3_column_int(l->stmt, 3),
                                .known = sqlite3_column_int(l->stmt, 5),
                                .device_enabled = sqlite3_column_int(l->stmt, 6),
                                .revoked = sqlite3_column_int(l->stmt, 8)};
    if (!str_copy(out->names.product, sizeof out->names.product, product) ||
        !str_copy(out->names.device, sizeof out->names.device, device))
        return err_set(e, ERR_UNAUTHORIZED, "names that are too long");
    snprintf(owner, sizeof owner, "%s/%s", out->names.product, out->names.device);
    unseal(l, 4, "enrolment", out->names.product, out->product_secret);
    unseal(l, 7, "device", owner, out->secret);
    unseal(l, 9, "device", owner, out->old_secret);
    unseal(l, 10, "enrolment", out->names.product, out->old_product_secret);
    return 0;
}

int lookup_find(struct lookup *l, const char *protocol, const struct login_claim *claim, const char *serial,
                struct credentials *out, struct err *e)
{
    int rc = connect_store(l, e);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(l->stmt, 1, claim->product, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->stmt, 2, claim->device, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->stmt, 3, protocol, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->stmt, 4, serial, -1, SQLITE_STATIC);
    sqlite3_bind_int64(l->stmt, 5, clock_wall_ms());
    int step = sqlite3_step(l->stmt);
    if (step == SQLITE_ROW)
        rc = read_row(l, protocol, claim->device, out, e);
    else if (step == SQLITE_DONE)
        rc = err_set(e, ERR_UNAUTHORIZED, *claim->product ? "unknown product" : "unknown device");
    else
        return fail(l, "read", e);
    /* no read transaction stays open: the checkpoints would wait for it */
    sqlite3_reset(l->stmt);
    sqlite3_clear_bindings(l->stmt);
    return rc;
}

void credentials_wipe(struct credentials *c)
{
    explicit_bzero(c, sizeof *c);
}
