/* otad rekey: another key for the secrets at rest, while no otad runs. Every secret is sealed anew in one
 * transaction; a file and a store cannot change in one step, so the new key stands beside the old one until
 * both have:
 *
 *   keys/secret.key.new written ── transaction ── secret.key replaced ── .new removed
 *
 * Where it broke off is seen by which of the two opens what the store holds, at the next start. */
#include "main/daemon.h"

#include "base/digest.h"
#include "store/device.h"
#include "store/old_secret.h"
#include "store/product.h"
#include "store/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define PAGE_ROWS 256

static int key_path(const struct otad *o, const char *name, char out[FILE_PATH_SIZE], struct err *e)
{
    char keys[FILE_PATH_SIZE];
    int rc = file_path(keys, o->settings.data_dir, "keys", e);
    return rc ? rc : file_path(out, keys, name, e);
}

/* ---- every sealed column of the store, once */

/* What is done with a sealed secret, in place. Returning 1 ends the walk well. */
typedef int visit_fn(void *arg, const char *purpose, const char *owner, unsigned char *sealed, size_t len,
                     struct err *e);

struct walk {
    visit_fn *visit;
    void *arg;
    bool write;
};

static int visit(const struct walk *k, const char *purpose, const char *owner, unsigned char *sealed,
                 size_t len, struct err *e)
{
    return len ? k->visit(k->arg, purpose, owner, sealed, len, e) : 0;
}

/* The old secret is read before the present one changes, which voids it. */
static int walk_product(struct db *db, const struct walk *k, struct product *p, struct err *e)
{
    struct old_secret old;
    int rc = old_secret_of_product(db, p->id, 0, &old, e);
    if (rc == 0)
        rc = visit(k, "enrolment", p->key, p->enrolment_secret, p->enrolment_secret_len, e);
    if (rc == 0)
        rc = visit(k, "enrolment", p->key, old.sealed, old.len, e);
    if (rc || !k->write || !p->enrolment_secret_len)
        return rc;
    rc = product_update(db, p, e);
    return rc || !old.len ? rc : old_secret_keep_product(db, p->id, &old, e);
}

static int walk_device(struct db *db, const struct walk *k, struct device *d, struct err *e)
{
    char owner[PRODUCT_SIZE + DEVICE_SIZE];
    struct old_secret old;
    snprintf(owner, sizeof owner, "%s/%s", d->product, d->name);
    int rc = old_secret_of_device(db, d->id, 0, &old, e);
    if (rc == 0)
        rc = visit(k, "device", owner, d->secret, d->secret_len, e);
    if (rc == 0)
        rc = visit(k, "device", owner, old.sealed, old.len, e);
    if (rc || !k->write || !d->secret_len)
        return rc;
    rc = device_update(db, d, e);
    return rc || !old.len ? rc : old_secret_keep_device(db, d->id, &old, e);
}

static int walk_products(struct db *db, const struct walk *k, struct err *e)
{
    struct product *rows = calloc(PAGE_ROWS, sizeof *rows);
    size_t n = PAGE_ROWS;
    int64_t after = 0;
    int rc = rows ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
    while (rc == 0 && n == PAGE_ROWS) {
        rc = product_list(db, after, rows, PAGE_ROWS, &n, e);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            after = rows[i].id;
            rc = walk_product(db, k, &rows[i], e);
        }
    }
    free(rows);
    return rc;
}

static int walk_devices(struct db *db, const struct walk *k, struct err *e)
{
    const struct device_filter all = {0};
    struct device *rows = calloc(PAGE_ROWS, sizeof *rows);
    size_t n = PAGE_ROWS;
    int64_t after = 0;
    int rc = rows ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
    while (rc == 0 && n == PAGE_ROWS) {
        rc = device_list(db, &all, after, rows, PAGE_ROWS, &n, e);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            after = rows[i].id;
            rc = walk_device(db, k, &rows[i], e);
        }
    }
    free(rows);
    return rc;
}

static int walk_all(struct db *db, const struct walk *k, struct err *e)
{
    int rc = walk_products(db, k, e);
    return rc ? rc : walk_devices(db, k, e);
}

/* ---- which key it is */

struct sample {
    const struct seal *seal;
    bool found, opens;
};

static int try_first(void *arg, const char *purpose, const char *owner, unsigned char *sealed, size_t len,
                     struct err *e)
{
    struct sample *s = arg;
    char text[SECRET_SIZE];
    (void)e;
    struct err ignored;
    s->found = true;
    s->opens = seal_open(s->seal, purpose, owner, sealed, len, text, sizeof text, &ignored) == 0;
    explicit_bzero(text, sizeof text);
    return 1;
}

static int key_opens(struct db *db, const struct seal *seal, struct sample *out, struct err *e)
{
    const struct walk k = {.visit = try_first, .arg = out};
    *out = (struct sample){.seal = seal};
    int rc = walk_all(db, &k, e);
    return rc < 0 ? rc : 0;
}

static int remove_new(const char *path, struct err *e)
{
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, "cannot remove %s", path);
}

/* The new key takes the old one's place. */
static int adopt(struct otad *o, const struct seal *new, const char *new_path, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = key_path(o, "secret.key", path, e);
    if (rc == 0)
        rc = file_replace(path, new->key, sizeof new->key, 0600, e);
    if (rc)
        return rc;
    o->seal = *new;
    return remove_new(new_path, e);
}

int rekey_settle(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    struct sample with_new;
    struct seal new;
    struct db *db;
    int rc = key_path(o, "secret.key.new", path, e);
    if (rc || access(path, F_OK) != 0)
        return rc;
    rc = seal_load(path, &new, e);
    if (rc == 0)
        rc = store_reader(o->store, &db, e);
    if (rc == 0)
        rc = key_opens(db, &new, &with_new, e);
    if (rc == 0)
        rc = with_new.opens ? adopt(o, &new, path, e) : remove_new(path, e);
    explicit_bzero(&new, sizeof new);
    return rc;
}

/* ---- tokens: what is stored of them is made with a key of the first secret.key's, and they stay good */

int setup_token_key(struct otad *o, unsigned char out[32], struct err *e)
{
    char path[FILE_PATH_SIZE];
    struct seal kept;
    int rc = key_path(o, "token.key", path, e);
    if (rc)
        return rc;
    rc = seal_load(path, &kept, e);
    if (rc == 0)
        memcpy(out, kept.key, 32);
    else if (rc == -ERR_NOT_FOUND)
        seal_derive(&o->seal, "token", out);
    explicit_bzero(&kept, sizeof kept);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

static int keep_token_key(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    unsigned char key[32];
    int rc = setup_token_key(o, key, e);
    if (rc == 0)
        rc = key_path(o, "token.key", path, e);
    if (rc == 0)
        rc = file_create(path, key, sizeof key, 0600, e);
    explicit_bzero(key, sizeof key);
    return rc == -ERR_CONFLICT ? 0 : rc;
}

/* ---- the command */

struct reseal {
    const struct seal *from, *to;
    unsigned n;
};

static int reseal_one(void *arg, const char *purpose, const char *owner, unsigned char *sealed, size_t len,
                      struct err *e)
{
    struct reseal *r = arg;
    char text[SECRET_SIZE];
    int rc = seal_open(r->from, purpose, owner, sealed, len, text, sizeof text, e);
    if (rc)
        return err_wrap(e, "the secret (%s) of %s", purpose, owner);
    rc = seal_close(r->to, purpose, owner, text, len - SEAL_OVERHEAD, sealed, e);
    explicit_bzero(text, sizeof text);
    r->n++;
    return rc;
}

static int reseal_all(struct db *w, void *arg, struct err *e)
{
    const struct walk k = {.visit = reseal_one, .arg = arg, .write = true};
    int rc = walk_all(w, &k, e);
    return rc ? rc : idempotency_forget_all(w, e);
}

/* Before anything is made with a key that is not this store's. */
static int check_key(struct otad *o, struct err *e)
{
    struct sample present;
    struct db *db;
    int rc = store_reader(o->store, &db, e);
    if (rc == 0)
        rc = key_opens(db, &o->seal, &present, e);
    if (rc == 0 && present.found && !present.opens)
        rc = err_set(e, ERR_INTERNAL,
                     "keys/secret.key does not open what the store holds: it is another store's");
    return rc;
}

static int make_new(struct otad *o, struct seal *new, char path[FILE_PATH_SIZE], struct err *e)
{
    int rc = keep_token_key(o, e);
    if (rc == 0)
        rc = key_path(o, "secret.key.new", path, e);
    return rc ? rc : seal_create(path, new, e);
}

static int rekey(struct otad *o, unsigned *n, struct err *e)
{
    char path[FILE_PATH_SIZE];
    struct seal new;
    struct reseal reseal = {.from = &o->seal, .to = &new};
    int rc = check_key(o, e);
    if (rc == 0)
        rc = make_new(o, &new, path, e);
    if (rc == 0)
        rc = store_write(o->store, reseal_all, &reseal, e);
    if (rc == 0)
        rc = adopt(o, &new, path, e);
    explicit_bzero(&new, sizeof new);
    *n = reseal.n;
    return rc;
}

/* What root makes, an otad that is somebody else could not read. To become that one does not do: the way to
 * its data directory may be closed to all but root. */
static int give_all(const struct otad *o, struct err *e)
{
    static const char *const names[] = {
        "otad.lock",           "otad.db",        "otad.db-wal",    "otad.db-shm",
        "keys/secret.key.new", "keys/token.key", "keys/secret.key"};
    const char *dir = o->settings.data_dir;
    char path[FILE_PATH_SIZE];
    struct stat st;
    int rc = 0;
    if (geteuid() != 0 || stat(dir, &st) < 0)
        return 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(names); i++) {
        rc = file_path(path, dir, names[i], e);
        if (rc == 0 && lchown(path, st.st_uid, st.st_gid) < 0 && errno != ENOENT)
            rc = err_errno(e, "cannot give %s to the owner of %s", path, dir);
    }
    return rc;
}

static int open_all(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = setup_data_dir(o, e);
    if (rc == 0)
        rc = setup_check_restored(o, e);
    if (rc == 0)
        rc = key_path(o, "secret.key", path, e);
    if (rc == 0)
        rc = seal_load(path, &o->seal, e);
    if (rc == 0)
        rc = file_path(path, o->settings.data_dir, "otad.db", e);
    if (rc == 0)
        rc = store_open(path, &o->store, e);
    return rc ? rc : rekey_settle(o, e);
}

int rekey_run(const struct settings *settings)
{
    static struct otad o;
    unsigned n = 0;
    struct err e;
    o.settings = *settings;
    o.lock_fd = -1;
    umask(077);
    int rc = open_all(&o, &e);
    if (rc == 0)
        rc = rekey(&o, &n, &e);
    if (o.store)
        store_close(o.store);
    struct err not_given;
    if (give_all(&o, &not_given) < 0 && rc == 0) {
        rc = -(int)not_given.code;
        e = not_given;
    }
    if (o.lock_fd >= 0)
        close(o.lock_fd);
    explicit_bzero(&o.seal, sizeof o.seal);
    if (rc) {
        fprintf(stderr, "otad: %s\n", e.text);
        return rc == -ERR_CONFLICT ? EX_TEMPFAIL : EX_CONFIG;
    }
    printf("%u secrets are sealed with a new key\n", n);
    return 0;
}
