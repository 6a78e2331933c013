/* rollout_world.h: what the tests of the rollout's rules share: a store in a folder of its own, one product,
 * one clock that the test turns, and what the last call sent. */
#ifndef OTAD_TESTS_ROLLOUT_WORLD_H
#define OTAD_TESTS_ROLLOUT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "rollout/execution.h"
#include "store/firmware.h"
#include "store/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS 1800000000000LL
#define SECOND   1000LL
#define MINUTE   (60 * SECOND)
#define HOUR     (60 * MINUTE)
#define OUT_MAX  64

struct world {
    char dir[64], path[96];
    struct store *store;
    struct rollout rollout;
    struct product product;
    int64_t now_ms;
    struct outgoing out[OUT_MAX]; /* of the last call */
    size_t sent;
};

/* ---- running things on the writer */

typedef int step_fn(struct world *w, struct db *db, void *arg, struct err *e);

struct call {
    struct world *w;
    step_fn *run;
    void *arg;
    long fault; /* the step of a statement that fails, from 1; 0 none */
    bool hit;   /* it came so far */
};

/* What a step counts outside the store, each of its attempts counts. */
#ifdef WITH_FAULTS
#include "faults.h"
#define WORLD_BASE                 "/dev/shm" /* in memory: a step has so many commits as it has statements */
#define assert_counted(counter, n) assert_true((counter) >= (uint64_t)(n))
#else
#define WORLD_BASE                 "/tmp"
#define assert_counted(counter, n) assert_int_equal(counter, n)
static inline void faults_arm(long nth)
{
    (void)nth;
}

static inline bool faults_disarm(void)
{
    return false;
}
#endif

static inline int on_writer(struct db *db, void *arg, struct err *e)
{
    struct call *c = arg;
    faults_arm(c->fault);
    int rc = c->run(c->w, db, c->arg, e);
    c->hit = faults_disarm();
    return rc;
}

static inline int try_it(struct world *w, step_fn *run, void *arg, struct err *e)
{
    struct call c = {w, run, arg, 0, false};
    return store_write(w->store, on_writer, &c, e);
}

/* Built with faults, each statement in turn fails first, but for some of a step of very many: that undoes the
 * whole step, and what comes after it finds everything as it was. */
static inline void must(struct world *w, step_fn *run, void *arg)
{
    struct call c = {w, run, arg, 0, true};
    struct err e = {0};
    int rc = 0;
    while (c.hit) {
#ifdef WITH_FAULTS
        c.fault += 1 + c.fault / 16;
#endif
        c.hit = false;
        rc = store_write(w->store, on_writer, &c, &e);
        if (c.hit && rc != -ERR_INTERNAL)
            fail_msg("statement %ld of this step failed, and its answer was %d: %s", c.fault, rc,
                     rc ? e.text : "");
    }
    if (rc < 0)
        fail_msg("%s", e.text);
}

static inline struct db *reader(struct world *w)
{
    struct db *db;
    struct err e;
    assert_int_equal(store_reader(w->store, &db, &e), 0);
    return db;
}

static inline void forget(struct world *w)
{
    while (w->sent > 0)
        outgoing_clear(&w->out[--w->sent]);
}

/* ---- making a world, and firmware in it */

static inline int add_product(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    return product_insert(db, &w->product, e);
}

/* product: all but its names and its time. */
static inline struct world *world_enter(const char *protocol, struct product product)
{
    struct world *w = calloc(1, sizeof *w);
    struct err e = {0};
    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "%s/otad-rollout-XXXXXX",
             access(WORLD_BASE, W_OK) == 0 ? WORLD_BASE : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/otad.db", w->dir);
    if (store_open(w->path, &w->store, &e) < 0)
        fail_msg("%s", e.text);
    w->now_ms = START_MS;
    w->rollout.presence = presence_open(0);
    strcpy(w->rollout.public_url, "https://ota.test:8443");
    w->product = product;
    w->product.created_at_ms = START_MS;
    strcpy(w->product.key, "thermo");
    strcpy(w->product.name, "Thermo");
    snprintf(w->product.protocol, sizeof w->product.protocol, "%s", protocol);
    must(w, add_product, NULL);
    return w;
}

static inline void world_leave(struct world *w)
{
    char command[128];
    forget(w);
    store_close(w->store);
    presence_close(w->rollout.presence);
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

static inline int add_firmware(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct firmware *f = arg;
    bool existed;
    f->product_id = w->product.id;
    return firmware_insert(db, f, &existed, e);
}

static inline int64_t firmware_for(struct world *w, const char *module, const char *version)
{
    static unsigned serial;
    struct firmware f = {.size = 1000, .created_at_ms = w->now_ms};
    snprintf(f.module, sizeof f.module, "%s", module);
    snprintf(f.version, sizeof f.version, "%s", version);
    snprintf(f.filename, sizeof f.filename, "%s-%s.bin", module, version);
    snprintf(f.digests.sha256, sizeof f.digests.sha256, "%064x", ++serial);
    strcpy(f.digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(f.digests.sha1, "0123456789abcdef0123456789abcdef01234567");
    strcpy(f.signature, "c2ln");
    must(w, add_firmware, &f);
    return f.id;
}

static inline int64_t firmware(struct world *w, const char *version)
{
    return firmware_for(w, "default", version);
}

/* ---- a device speaking */

static inline int deliver(struct world *w, struct db *db, void *arg, struct err *e)
{
    forget(w);
    return rollout_event(&w->rollout, db, arg, w->now_ms, w->out, &w->sent, e);
}

/* ---- time and campaigns */

static inline int tick_once(struct world *w, struct db *db, void *arg, struct err *e)
{
    size_t n = 0;
    int rc = rollout_tick(&w->rollout, db, w->now_ms, w->out + w->sent, OUT_MAX - w->sent, &n, arg, e);
    w->sent += n;
    return rc;
}

static inline void tick(struct world *w)
{
    bool again = true;
    forget(w);
    for (int i = 0; again && i < 100; i++)
        must(w, tick_once, &again);
    assert_false(again);
}

static inline void later(struct world *w, int64_t ms)
{
    w->now_ms += ms;
    tick(w);
}

struct creation {
    struct campaign_spec spec;
    int64_t id;
};

static inline int create(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct creation *c = arg;
    return campaign_create(db, &c->spec, w->now_ms, &c->id, e);
}

static inline struct campaign_spec spec_for(int64_t firmware_id)
{
    struct campaign_spec spec = {.firmware = {firmware_id}, .firmware_count = 1};
    strcpy(spec.name, "test");
    policy_defaults(&spec.policy);
    spec.target = (struct target){.percent = 100, .source_states = ~0u};
    spec.waves = (struct waves){.n = 1, .at = {{.upto = INT64_MAX}}};
    return spec;
}

static inline json_t *json_of(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (!value)
        fail_msg("no JSON: %s", text);
    return value;
}

/* The parts of a request, as JSON: NULL leaves one as it is. */
static inline struct campaign_spec spec_with(int64_t firmware_id, const char *target, const char *waves,
                                             const char *policy)
{
    struct campaign_spec spec = spec_for(firmware_id);
    const char *const texts[] = {target, waves, policy};
    struct err e = {0};
    for (int i = 0; i < 3; i++) {
        json_t *value = texts[i] ? json_of(texts[i]) : NULL;
        int rc = !value   ? 0
                 : i == 0 ? target_parse(value, &spec.target, spec.product, &e)
                 : i == 1 ? waves_parse(value, spec.target.percent, &spec.waves, &e)
                          : policy_parse(value, &spec.policy, &e);
        json_decref(value);
        if (rc < 0)
            fail_msg("%s: %s", e.field, e.text);
    }
    return spec;
}

static inline int64_t campaign_of(struct world *w, struct campaign_spec *spec)
{
    struct creation c = {.spec = *spec};
    must(w, create, &c);
    campaign_spec_clear(spec);
    tick(w);
    return c.id;
}

static inline int64_t campaign(struct world *w, int64_t firmware_id)
{
    struct campaign_spec spec = spec_for(firmware_id);
    return campaign_of(w, &spec);
}

struct act {
    int64_t id;
    enum campaign_action action;
};

static inline int act_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct act *a = arg;
    return campaign_act(&w->rollout, db, a->id, a->action, "the test", w->now_ms, e);
}

static inline void act(struct world *w, int64_t id, enum campaign_action action)
{
    must(w, act_run, &(struct act){id, action});
    tick(w);
}

#endif
