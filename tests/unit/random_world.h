/* random_world.h: what test_rollout_random stands on: dice, a fleet and its firmware, restarts, looks at the
 * rows over a connection of its own, and what was seen of them after the last step. */
#ifndef OTAD_TESTS_RANDOM_WORLD_H
#define OTAD_TESTS_RANDOM_WORLD_H

#include "rollout_world.h"

#include "rollout/pace.h"
#include "rollout/why.h"
#include "store/device.h"

#include <sqlite3.h>

#define DEVICES    30
#define MODULES    2
#define VERSIONS   8
#define CAMPAIGNS  14
#define EXECUTIONS 2048
#define OFFERS     8192
#define KEPT       64
#define HEARD_MS   (5 * MINUTE) /* where presence is guessed */

static const char *const modules[MODULES] = {"default", "aux"};

struct seen { /* an execution after the last step */
    int64_t campaign_id, device_id, attempt, updated_at_ms, offered_at_ms;
    int wave, state;
    bool silent, was_silent; /* now; once in this attempt */
};

struct seen_campaign {
    enum campaign_state state;
    int wave; /* the last that has started */
    bool dynamic, puts_back;
    int64_t source_id;
    struct policy policy;
    uint64_t salt;
    const struct aim *aim; /* NULL: follows another */
    int64_t percent;
    int64_t counts[WAVES_MAX + 1][EXECUTION_STATES]; /* [0] NO_WAVE */
    unsigned ended[WAVES_MAX + 1]; /* so executions of it did in this step: bit 1 << state */
};

struct fate {
    struct world *w;
    uint64_t dice;
    sqlite3 *look;
    struct {
        const char *sql;
        sqlite3_stmt *s;
    } kept[KEPT];
    size_t kept_count;
    int64_t firmware[MODULES][VERSIONS];
    unsigned devices, modules;
    bool guesses, jobs; /* no plugin tells who is there; devices keep jobs */
    size_t campaigns;
    struct seen seen[EXECUTIONS];
    struct seen_campaign of[CAMPAIGNS + 1];
    struct {
        int64_t campaign_id, at_ms;
    } offers[OFFERS];
    size_t offer_count;
    unsigned said[DEVICES][MODULES]; /* versions that a device has reported: bit 1 << minor */
    bool stirred[DEVICES];           /* something about it was changed, and it has not spoken since */
    const struct device_event *ev;   /* of this step; NULL: the clock's, or an operator's */
    bool asks;
    size_t moved; /* executions, in this step */
};

/* ---- chance */

static inline uint64_t roll(struct fate *f, uint64_t sides)
{
    f->dice ^= f->dice << 13;
    f->dice ^= f->dice >> 7;
    f->dice ^= f->dice << 17;
    return (f->dice >> 11) % sides;
}

static inline int64_t one_of(struct fate *f, const int64_t values[], size_t n)
{
    return values[roll(f, n)];
}

/* ---- looking: statements are prepared once, and known by where their text stands */

static inline sqlite3_stmt *look(struct fate *f, const char *sql)
{
    size_t i = 0;
    while (i < f->kept_count && f->kept[i].sql != sql)
        i++;
    if (i == f->kept_count) {
        assert_true(i < KEPT);
        f->kept[i].sql = sql;
        if (sqlite3_prepare_v2(f->look, sql, -1, &f->kept[i].s, NULL) != SQLITE_OK)
            fail_msg("%s: %s", sqlite3_errmsg(f->look), sql);
        f->kept_count++;
    }
    sqlite3_reset(f->kept[i].s);
    sqlite3_clear_bindings(f->kept[i].s);
    return f->kept[i].s;
}

static inline int64_t number(struct fate *f, const char *sql, int64_t arg)
{
    sqlite3_stmt *s = look(f, sql);
    sqlite3_bind_int64(s, 1, arg);
    int64_t value = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return value;
}

static inline void text_of(struct fate *f, const char *sql, int64_t arg, const char *key,
                           char out[VERSION_SIZE])
{
    sqlite3_stmt *s = look(f, sql);
    sqlite3_bind_int64(s, 1, arg);
    if (key)
        sqlite3_bind_text(s, 2, key, -1, SQLITE_TRANSIENT);
    *out = '\0';
    if (sqlite3_step(s) == SQLITE_ROW)
        snprintf(out, VERSION_SIZE, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_reset(s);
}

static inline void version_of(struct fate *f, int64_t device_id, const char *module, char out[VERSION_SIZE])
{
    text_of(f, "SELECT version FROM device_module WHERE device_id = ?1 AND module = ?2", device_id, module,
            out);
}

static inline void name_of(unsigned device, char out[DEVICE_SIZE])
{
    snprintf(out, DEVICE_SIZE, "d%u", device);
}

static inline int64_t id_of(struct fate *f, unsigned device)
{
    return number(f, "SELECT id FROM device WHERE name = 'd' || ?1", (int64_t)device);
}

/* DEVICES: it is gone. */
static inline unsigned index_of(struct fate *f, int64_t device_id)
{
    char name[VERSION_SIZE];
    text_of(f, "SELECT name FROM device WHERE id = ?1", device_id, NULL, name);
    return *name ? (unsigned)atoi(name + 1) : DEVICES;
}

/* ---- begin, again and again */

static inline void look_begin(struct fate *f)
{
    assert_int_equal(sqlite3_open_v2(f->w->path, &f->look, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    f->kept_count = 0;
}

static inline void look_end(struct fate *f)
{
    for (size_t i = 0; i < f->kept_count; i++)
        sqlite3_finalize(f->kept[i].s);
    sqlite3_close(f->look);
}

static inline void presence_begin(struct fate *f)
{
    presence_close(f->w->rollout.presence);
    f->w->rollout.presence = presence_open(f->guesses ? HEARD_MS : 0);
    if (!f->guesses)
        presence_reported(f->w->rollout.presence);
}

/* Killed and started again: what is not in the store is gone. */
static inline void restart(struct fate *f)
{
    struct world *w = f->w;
    struct presence *presence = w->rollout.presence;
    struct err e = {0};
    forget(w);
    look_end(f);
    store_close(w->store);
    if (store_open(w->path, &w->store, &e) < 0)
        fail_msg("%s", e.text);
    memset(&w->rollout, 0, sizeof w->rollout);
    strcpy(w->rollout.public_url, "https://ota.test:8443");
    w->rollout.presence = presence;
    presence_begin(f);
    presence_clear(w->rollout.presence);
    presence_listen(w->rollout.presence, w->now_ms);
    if (!f->guesses)
        presence_reported(w->rollout.presence);
    look_begin(f);
}

static inline int64_t add_file(struct fate *f, unsigned module, unsigned minor, const char *delta_from,
                               const char *requires)
{
    static unsigned serial;
    struct firmware file = {.size = 1000, .created_at_ms = START_MS};
    strcpy(file.module, modules[module]);
    snprintf(file.version, sizeof file.version, "1.%u", minor);
    snprintf(file.delta_from, sizeof file.delta_from, "%s", delta_from);
    snprintf(file.requires, sizeof file.requires, "%s", requires);
    snprintf(file.filename, sizeof file.filename, "%u.bin", ++serial);
    snprintf(file.digests.sha256, sizeof file.digests.sha256, "%064x", serial);
    must(f->w, add_firmware, &file);
    return file.id;
}

/* Versions 1.1 to 1.8. With stones each requires the even one before it, so that 1.8 is four steps from 1.0;
 * with deltas most have one from the version before. */
static inline void make_firmware(struct fate *f, bool stones, bool deltas)
{
    for (unsigned m = 0; m < MODULES; m++)
        for (unsigned minor = 1; minor <= VERSIONS; minor++) {
            char before[16], requires[16] = "";
            snprintf(before, sizeof before, "1.%u", minor - 1);
            if (stones && minor > 2)
                snprintf(requires, sizeof requires, ">=1.%u", (minor - 1) / 2 * 2);
            f->firmware[m][minor - 1] = add_file(f, m, minor, "", requires);
            if (deltas && roll(f, 4))
                add_file(f, m, minor, before, "");
        }
}

#endif
