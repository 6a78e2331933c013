/* Updates for devices that know nothing but a URL: Arduino's HTTPUpdate, ESPHome. They take part in campaigns
 * as all others do: what they say are the same events, and what is due is an offer.
 *
 * HEAD only looks: it reports no version and begins no offer. */
#include "api.h"

#include "file.h"
#include "http/route.h"
#include "store/firmware.h"
#include "updater.h"

#include <stdio.h>
#include <string.h>

#define LOOK_LIFE_MS (24 * 3600 * 1000LL) /* of a URL that HEAD is not even shown */
#define NO_MD5       "00000000000000000000000000000000"

struct due {
    int64_t execution_id; /* 0: nothing is due */
    int64_t firmware_id, expires_at_ms;
};

static struct device_event event_of(const struct updater *u, enum event_kind kind)
{
    struct device_event ev = {.kind = kind, .percent = -1, .reason = REASON_NONE, .full_only = true};
    str_copy(ev.product, sizeof ev.product, u->product.key);
    str_copy(ev.device, sizeof ev.device, u->device);
    str_copy(ev.module, sizeof ev.module, u->module);
    str_copy(ev.version, sizeof ev.version, u->version);
    return ev;
}

static bool has_room(const struct updater *u, uint64_t size)
{
    return u->room_bytes < 0 || size <= (uint64_t)u->room_bytes;
}

/* ---- what is due */

/* What the updater finds out from the length that it is sent, and tells nobody. */
static int tell_no_room(const struct request *r, struct db *w, const struct updater *u, int64_t execution_id,
                        uint64_t size, struct err *e)
{
    struct device_event error = event_of(u, EVENT_ERROR);
    struct outgoing answer;
    error.execution_id = execution_id;
    error.reason = REASON_SPACE;
    snprintf(error.detail, sizeof error.detail, "the file has %llu bytes, the device has room for %lld",
             (unsigned long long)size, (long long)u->room_bytes);
    int rc = api_tell(r, w, &error, &answer, e);
    if (rc == 0)
        outgoing_clear(&answer);
    return rc;
}

/* A file for another module waits until the device asks for that one: the order is the campaign's. */
static int ask(const struct request *r, struct db *w, const struct updater *u, struct due *due, struct err *e)
{
    struct outgoing answer;
    struct device_event ev = event_of(u, *u->version ? EVENT_INFORM : EVENT_REQUEST);
    int rc = api_tell(r, w, &ev, &answer, e);
    if (rc)
        return rc;
    outgoing_clear(&answer); /* its one file is all that is looked at */
    const struct offer *o = &answer.offer;
    if (answer.kind != OUTGOING_OFFER || strcmp(o->file.module, u->module) != 0)
        return 0;
    if (!has_room(u, o->file.size))
        return tell_no_room(r, w, u, o->id, o->file.size, e);
    *due = (struct due){o->id, o->file.firmware_id, o->expires_at_ms};
    return 0;
}

/* What would be offered. */
static int look(const struct request *r, struct db *db, const struct updater *u, struct due *due,
                struct err *e)
{
    struct firmware f;
    int64_t execution_id, firmware_id;
    int rc = rollout_look(r->env->rollout, db, u->device_id, r->now_ms, &execution_id, &firmware_id, e);
    if (rc || !firmware_id)
        return rc;
    rc = firmware_get(db, firmware_id, &f, e);
    if (rc == 0 && strcmp(f.module, u->module) == 0 && has_room(u, f.size))
        *due = (struct due){execution_id, f.id, r->now_ms + LOOK_LIFE_MS};
    return rc;
}

static int find_due(struct request *r, struct db *db, const struct updater *u, struct due *due, struct err *e)
{
    bool idle;
    *due = (struct due){0};
    if (r->head)
        return look(r, db, u, due, e);
    if (r->on_writer)
        return ask(r, db, u, due, e);
    struct device_event ev = event_of(u, EVENT_INFORM);
    int rc = api_idle(r, db, u->device_id, &ev, 1, &idle, e);
    return rc || idle ? rc : request_to_writer(r);
}

/* The handler is to return, and will be called again. */
static bool is_deferred(const struct request *r)
{
    return r->to_writer && !r->on_writer;
}

/* ---- Arduino: the file itself */

static int send_due(struct request *r, struct db *db, const struct updater *u, const struct due *due,
                    struct err *e)
{
    struct firmware f;
    int rc = firmware_get(db, due->firmware_id, &f, e);
    if (rc == 0)
        rc = file_send(r, &f, e);
    if (rc)
        return rc;
    str_copy(r->reply.md5, sizeof r->reply.md5, f.digests.md5);
    r->reply.execution_id = due->execution_id;
    r->caller.role = ROLE_DEVICE; /* whose progress the download is */
    snprintf(r->caller.name, sizeof r->caller.name, "%s/%s", u->product.key, u->device);
    return 0;
}

/* What ESP8266's getAvailableVersion wants to know: the version that is due, else the one that the device
 * has. */
static int send_version(struct request *r, struct db *db, const struct updater *u, const struct due *due,
                        struct err *e)
{
    struct firmware f;
    char *version = r->reply.version;
    if (!due->execution_id && !*u->version)
        return device_version_get(db, u->device_id, u->module, version, e);
    int rc = due->execution_id ? firmware_get(db, due->firmware_id, &f, e) : 0;
    if (rc == 0)
        str_copy(version, VERSION_SIZE, due->execution_id ? f.version : u->version);
    return rc;
}

int api_update(struct request *r, struct db *db, struct err *e)
{
    struct updater u;
    struct due due;
    int rc = updater_read(r, db, NULL, &u, e);
    if (rc == 0 && !*u.device)
        rc = err_set(e, ERR_UNAUTHORIZED, "which device asks? This needs a MAC address, or name and secret");
    if (rc == 0)
        rc = find_due(r, db, &u, &due, e);
    if (rc || is_deferred(r))
        return rc;
    if (u.asks_version)
        return send_version(r, db, &u, &due, e);
    if (due.execution_id)
        return send_due(r, db, &u, &due, e);
    r->reply.status = 304;
    return 0;
}

/* ---- ESPHome: what is due, as a manifest or as an MD5 */

struct choice {
    struct due due;
    struct firmware f; /* what is due, else the newest whole file; id 0: there is none */
};

static int newest(struct db *db, const struct updater *u, int64_t *id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_UPDATE_NEWEST);
    bind_int(s, ":product_id", u->product.id);
    bind_text(s, ":module", u->module);
    int rc = stmt_step(s, e);
    *id = rc > 0 ? col_int(s, 0) : 0;
    return rc < 0 ? rc : 0;
}

static int choose(struct request *r, struct db *db, const struct updater *u, struct choice *out,
                  struct err *e)
{
    *out = (struct choice){0};
    int rc = *u->device ? find_due(r, db, u, &out->due, e) : 0;
    if (rc || is_deferred(r))
        return rc;
    int64_t id = out->due.firmware_id;
    if (!id)
        rc = newest(db, u, &id, e);
    if (rc == 0 && id)
        rc = firmware_get(db, id, &out->f, e);
    if (rc == 0 && !id && !*u->device)
        rc = err_set(e, ERR_NOT_FOUND, "%s has no firmware for module %s", u->product.key, u->module);
    return rc;
}

/* A device for which nothing is due reads the version that it has, which is what tells it so, and a path
 * where there is nothing either. */
static int describe(const struct request *r, struct db *db, const struct updater *u, const struct choice *c,
                    char version[VERSION_SIZE], char path[URL_SIZE], struct err *e)
{
    bool due = c->due.execution_id != 0;
    str_copy(version, VERSION_SIZE, due || !*u->device ? c->f.version : u->version);
    if (due && !offer_url_make(r->env->rollout, c->f.digests.sha256, u->product.key, u->device,
                               c->due.expires_at_ms, path))
        return err_set(e, ERR_INTERNAL, "the URL of an offer does not fit %d bytes", URL_SIZE);
    if (!due && *u->device)
        snprintf(path, URL_SIZE, "/update/%s", u->product.key);
    else if (!due)
        snprintf(path, URL_SIZE, "/firmware/%s", c->f.digests.sha256);
    return *version ? 0 : device_version_get(db, u->device_id, u->module, version, e);
}

/* An image that does not say which chip it is for is not one of the ESP32 family. */
static json_t *build_json(const struct updater *u, const struct choice *c, const char *path)
{
    const char *chip = *c->f.image_chip ? c->f.image_chip : *u->product.chip ? u->product.chip : "esp8266";
    bool nothing = *u->device && !c->due.execution_id;
    char family[CHIP_FAMILY_SIZE];
    json_t *build = json_object(), *ota = json_object();
    updater_chip_family(chip, family);
    json_put_text(ota, "path", path);
    json_put_text(ota, "md5", nothing ? NO_MD5 : c->f.digests.md5);
    json_put_text(build, "chipFamily", family);
    json_put(build, "ota", ota);
    return build;
}

int api_update_manifest(struct request *r, struct db *db, struct err *e)
{
    struct updater u;
    struct choice c;
    char version[VERSION_SIZE], path[URL_SIZE];
    int rc = updater_read(r, db, NULL, &u, e);
    if (rc == 0)
        rc = choose(r, db, &u, &c, e);
    if (rc || is_deferred(r))
        return rc;
    rc = describe(r, db, &u, &c, version, path, e);
    if (rc)
        return rc;
    json_t *manifest = json_object(), *builds = json_array();
    if (c.f.id)
        json_array_append_new(builds, build_json(&u, &c, path));
    json_put_text(manifest, "name", u.product.name);
    json_put_text(manifest, "version", version);
    json_put(manifest, "builds", builds);
    reply_json(r, manifest);
    return 0;
}

/* arg 1 is MODULE.md5. */
int api_update_md5(struct request *r, struct db *db, struct err *e)
{
    struct updater u;
    struct choice c;
    char module[sizeof r->arg[1]];
    const char *end = strrchr(r->arg[1], '.');
    if (!end || strcmp(end, ".md5") != 0)
        return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
    snprintf(module, sizeof module, "%.*s", (int)(end - r->arg[1]), r->arg[1]);
    int rc = updater_read(r, db, module, &u, e);
    if (rc == 0)
        rc = choose(r, db, &u, &c, e);
    if (rc || is_deferred(r))
        return rc;
    if (*u.device && !c.due.execution_id)
        return err_set(e, ERR_NOT_FOUND, "nothing is due for %s/%s", u.product.key, u.device);
    r->reply.text = strdup(c.f.digests.md5);
    return r->reply.text ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
