/* growth.c: what a fleet costs as it grows. For each size a store of its own, filled through the writer, and
 * everything that a campaign does to it: what must stay flat is timed one by one, what goes over all devices
 * as a whole, with the longest time that it kept the writer from others.
 *
 *   build/bench/growth [-j results.json] [devices ...]     1000 10000 100000 1000000 are the default
 *   build/bench/growth -k folder devices                   fills folder/otad.db and leaves it there, with the
 * key of its devices' secrets (secret_of)
 *
 * Stores are made below $TMPDIR, else below the current folder, and removed at the end. A transaction's run
 * is what its statements take; the rest is handing the job over, the commit with its flush to disk, and the
 * checkpoint that some commits pay for: that is the disk's. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "rollout/execution.h"
#include "rollout/plan.h"
#include "rollout/why.h"
#include "store/device.h"
#include "store/firmware.h"
#include "store/product.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZES_MAX 8
#define ROWS_MAX  96
#define STEP      2000 /* devices filled in one transaction */
#define SOME      200  /* devices that are looked at one by one */
#define FEW       100
#define PAGES     50
#define SMALL     100 /* campaigns beside the large one */
#define OUT_MAX   512

/* ---- the table */

static struct row {
    const char *name, *unit;
    double value[SIZES_MAX];
} rows[ROWS_MAX];
static size_t row_count, size_count, now_size;
static int64_t sizes[SIZES_MAX] = {1000, 10000, 100000, 1000000};

static void record(const char *name, const char *unit, double value)
{
    size_t i = 0;
    while (i < row_count && strcmp(rows[i].name, name) != 0)
        i++;
    if (i == ROWS_MAX)
        abort();
    if (i == row_count)
        rows[row_count++] = (struct row){.name = name, .unit = unit};
    rows[i].value[now_size] = value;
}

static void print_number(double v)
{
    printf(" %9.*f |", v >= 100 ? 0 : v >= 10 ? 1 : 2, v);
}

static void print_table(void)
{
    printf("| %-44s | unit |", "devices");
    for (size_t k = 0; k < size_count; k++)
        printf(" %9lld |", (long long)sizes[k]);
    printf("    factor |\n| %.44s | ---- |", "--------------------------------------------");
    for (size_t k = 0; k <= size_count; k++)
        printf(" --------: |");
    printf("\n");
    for (size_t i = 0; i < row_count; i++) {
        const struct row *r = &rows[i];
        printf("| %-44s | %-4s |", r->name, r->unit);
        for (size_t k = 0; k < size_count; k++)
            print_number(r->value[k]);
        print_number(r->value[0] > 0 ? r->value[size_count - 1] / r->value[0] : 0);
        printf("\n");
    }
}

static void write_json(const char *path)
{
    json_t *all = json_object(), *counts = json_array(), *list = json_array();
    for (size_t k = 0; k < size_count; k++)
        json_array_append_new(counts, json_integer(sizes[k]));
    for (size_t i = 0; i < row_count; i++) {
        json_t *row = json_object(), *values = json_array();
        for (size_t k = 0; k < size_count; k++)
            json_array_append_new(values, json_real(rows[i].value[k]));
        json_put_text(row, "name", rows[i].name);
        json_put_text(row, "unit", rows[i].unit);
        json_put(row, "values", values);
        json_array_append_new(list, row);
    }
    json_put(all, "devices", counts);
    json_put(all, "rows", list);
    if (json_dump_file(all, path, JSON_INDENT(1)) < 0)
        fprintf(stderr, "growth: cannot write %s\n", path);
    json_decref(all);
}

/* ---- the fleet */

static struct fleet {
    char dir[512], path[600];
    struct store *store;
    struct rollout rollout;
    struct seal seal;
    int64_t n, product_id;
} f;

static void must(int rc, const struct err *e)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "growth: %s\n", e->text);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* What one kind of transaction took: of them all, and the longest. */
struct holds {
    double all_us, runs_us, run_us, rest_us, hold_us;
};

struct timed {
    int (*run)(struct db *w, void *arg, struct err *e);
    void *arg;
    double run_us;
};

static int run_timed(struct db *w, void *arg, struct err *e)
{
    struct timed *t = arg;
    double begun = now_us();
    int rc = t->run(w, t->arg, e);
    t->run_us = now_us() - begun;
    return rc;
}

/* Returns the run's microseconds. */
static double write_it(int (*run)(struct db *w, void *arg, struct err *e), void *arg, struct holds *h)
{
    struct timed t = {run, arg, 0};
    struct err e = {0};
    double begun = now_us();
    must(store_write(f.store, run_timed, &t, &e), &e);
    double took = now_us() - begun;
    if (!h)
        return t.run_us;
    h->all_us += took;
    h->runs_us += t.run_us;
    h->run_us = t.run_us > h->run_us ? t.run_us : h->run_us;
    h->rest_us = took - t.run_us > h->rest_us ? took - t.run_us : h->rest_us;
    h->hold_us = took > h->hold_us ? took : h->hold_us;
    return t.run_us;
}

static struct db *reader(void)
{
    struct db *db;
    struct err e = {0};
    must(store_reader(f.store, &db, &e), &e);
    return db;
}

/* Ids that lie all over the fleet, no one twice. */
static int64_t some_id(int64_t i)
{
    return 1 + i * 7919 % f.n;
}

static const char *version_of(int64_t id)
{
    return id % 10 == 0 ? "1.1.0" : id % 10 == 1 ? "0.9.0" : "1.0.0";
}

static void name_of(int64_t id, char out[DEVICE_SIZE])
{
    snprintf(out, DEVICE_SIZE, "device-%08lld", (long long)id);
}

/* Known to whoever knows the name, and as long as one that otad makes. polls.lua has it too. */
static int secret_of(int64_t id, struct device *d, struct err *e)
{
    char secret[SECRET_SIZE], owner[PRODUCT_SIZE + DEVICE_SIZE];
    int len = snprintf(secret, sizeof secret, "a-secret-of-%08lld-with-the-usual-length.", (long long)id);
    snprintf(owner, sizeof owner, "%s/%s", d->product, d->name);
    d->secret_len = (size_t)len + SEAL_OVERHEAD;
    return seal_close(&f.seal, "device", owner, secret, (size_t)len, d->secret, e);
}

static int fill_product(struct db *w, void *arg, struct err *e)
{
    struct product p = {.enabled = true, .created_at_ms = 1};
    (void)arg;
    strcpy(p.key, "fleet");
    strcpy(p.name, "Fleet");
    strcpy(p.protocol, "native");
    int rc = product_insert(w, &p, e);
    f.product_id = p.id;
    return rc;
}

static int fill_firmware(struct db *w, void *arg, struct err *e)
{
    static unsigned serial;
    struct firmware *file = arg;
    bool existed;
    file->product_id = f.product_id;
    file->size = 1000000;
    file->created_at_ms = 1;
    snprintf(file->filename, sizeof file->filename, "%.32s-%.32s.bin", file->module, file->version);
    snprintf(file->digests.sha256, sizeof file->digests.sha256, "%064x", ++serial);
    strcpy(file->digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(file->digests.sha1, "0123456789abcdef0123456789abcdef01234567");
    strcpy(file->signature, "c2ln");
    return firmware_insert(w, file, &existed, e);
}

static int64_t firmware(const char *module, const char *version)
{
    struct firmware file = {0};
    str_copy(file.module, sizeof file.module, module);
    str_copy(file.version, sizeof file.version, version);
    write_it(fill_firmware, &file, NULL);
    return file.id;
}

static int fill_devices(struct db *w, void *arg, struct err *e)
{
    int64_t first = *(int64_t *)arg;
    int rc = 0;
    for (int64_t id = first; id < first + STEP && id <= f.n && rc == 0; id++) {
        struct device d = {.product_id = f.product_id, .enabled = true, .registered_at_ms = 1};
        struct device_tag tags[2] = {{"site", ""}, {"ring", ""}};
        bool changed;
        name_of(id, d.name);
        strcpy(d.product, "fleet");
        snprintf(tags[0].value, sizeof tags[0].value, "hall %lld", (long long)(id * 100 / (f.n + 1)));
        strcpy(tags[1].value, id % 100 == 0 ? "canary" : "wide");
        rc = secret_of(id, &d, e);
        if (rc == 0)
            rc = device_insert(w, &d, e);
        if (rc == 0)
            rc = device_tags_set(w, d.id, tags, 2, e);
        if (rc == 0)
            rc = device_version_set(w, d.id, "default", version_of(id), false, 1, &changed, e);
    }
    return rc;
}

static void fill(void)
{
    write_it(fill_product, NULL, NULL);
    for (int64_t id = 1; id <= f.n; id += STEP)
        write_it(fill_devices, &id, NULL);
}

/* Of the file alone: the WAL is moved into it when all is quiet. */
static double file_bytes(void)
{
    struct stat st;
    usleep(1500000);
    return stat(f.path, &st) == 0 ? (double)st.st_size : 0;
}

static void make_key(void)
{
    char path[FILE_PATH_SIZE];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/keys", f.dir);
    must(file_make_dir(path, 0700, &e), &e);
    snprintf(path, sizeof path, "%s/keys/secret.key", f.dir);
    must(seal_create(path, &f.seal, &e), &e);
}

static void open_fleet(int64_t devices)
{
    struct err e = {0};
    f.n = devices;
    make_key();
    snprintf(f.path, sizeof f.path, "%s/otad.db", f.dir);
    must(store_open(f.path, &f.store, &e), &e);
    memset(&f.rollout, 0, sizeof f.rollout);
    f.rollout.presence = presence_open(0);
    presence_reported(f.rollout.presence);
    presence_listen(f.rollout.presence, 1);
    strcpy(f.rollout.public_url, "https://ota.lan:8443");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

/* ---- campaigns */

static struct campaign_spec spec_for(int64_t firmware_id, const char *waves)
{
    struct campaign_spec spec = {.firmware = {firmware_id}, .firmware_count = 1};
    struct err e = {0};
    json_t *list = waves ? json_loads(waves, 0, NULL) : NULL;
    strcpy(spec.name, "growth");
    policy_defaults(&spec.policy);
    spec.policy.max_attempts = 1;
    spec.target = (struct target){.percent = 100, .source_states = ~0u};
    must(waves_parse(list, 100, &spec.waves, &e), &e);
    json_decref(list);
    return spec;
}

struct creation {
    struct campaign_spec spec;
    int64_t id;
};

static int create(struct db *w, void *arg, struct err *e)
{
    struct creation *c = arg;
    return campaign_create(w, &c->spec, clock_wall_ms(), &c->id, e);
}

static int tick_once(struct db *w, void *arg, struct err *e)
{
    static struct outgoing out[OUT_MAX];
    bool *again = arg;
    size_t n = 0;
    int rc = rollout_tick(&f.rollout, w, clock_wall_ms(), out, OUT_MAX, &n, again, e);
    for (size_t i = 0; i < n; i++)
        outgoing_clear(&out[i]);
    return rc;
}

/* Until nothing is left to do at once. */
static void tick(struct holds *h)
{
    bool again = true;
    while (again)
        write_it(tick_once, &again, h);
}

static void record_holds(const struct holds *h, const char *names[4])
{
    record(names[0], "s", h->all_us / 1e6);
    record(names[1], "ms", h->run_us / 1e3);
    record(names[2], "ms", h->rest_us / 1e3);
    record(names[3], "ms", h->hold_us / 1e3);
}

#define HOLDS(what)                                                                        \
    (const char *[4])                                                                      \
    {                                                                                      \
        what ": total", what ": longest run", what ": longest rest", what ": longest hold" \
    }

static int64_t campaign(struct campaign_spec spec, struct holds *h)
{
    struct creation c = {.spec = spec};
    write_it(create, &c, h);
    tick(h);
    campaign_spec_clear(&c.spec);
    return c.id;
}

struct act {
    int64_t id;
    enum campaign_action action;
};

static int act_once(struct db *w, void *arg, struct err *e)
{
    struct act *a = arg;
    return campaign_act(&f.rollout, w, a->id, a->action, "growth", clock_wall_ms(), e);
}

static void act(int64_t id, enum campaign_action action, struct holds *h)
{
    struct act a = {id, action};
    write_it(act_once, &a, h);
    tick(h);
}

static int64_t count(int64_t id, enum execution_state state)
{
    struct campaign_counts counts;
    struct err e = {0};
    must(campaign_counts(reader(), id, -1, &counts, &e), &e);
    return counts.n[state];
}

static void expect(int64_t id, enum execution_state state, int64_t n)
{
    if (count(id, state) == n)
        return;
    fprintf(stderr, "growth: campaign %lld has %lld %s, not %lld\n", (long long)id,
            (long long)count(id, state), execution_state_word(state), (long long)n);
    exit(1);
}

static double plan(int64_t firmware_id, const char *waves)
{
    struct campaign_spec spec = spec_for(firmware_id, waves);
    struct plan out;
    struct err e = {0};
    double begun = now_us();
    must(campaign_plan(reader(), &spec, clock_wall_ms(), &out, &e), &e);
    double took = now_us() - begun;
    if (out.verdicts[VERDICT_QUEUED] != f.n)
        abort();
    campaign_spec_clear(&spec);
    return took;
}

/* ---- one by one */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double took[], size_t n)
{
    qsort(took, n, sizeof *took, by_size);
    return took[n / 2];
}

struct said {
    struct device_event ev;
    size_t sends;
};

static int say_once(struct db *w, void *arg, struct err *e)
{
    struct said *s = arg;
    struct outgoing out[ROLLOUT_SENDS_MAX];
    int rc = rollout_event(&f.rollout, w, &s->ev, clock_wall_ms(), out, &s->sends, e);
    for (size_t i = 0; rc == 0 && i < s->sends; i++)
        outgoing_clear(&out[i]);
    return rc;
}

static struct said words(int64_t id, enum event_kind kind)
{
    struct said s = {.ev = {.kind = kind, .percent = -1}};
    strcpy(s.ev.product, "fleet");
    strcpy(s.ev.module, "default");
    name_of(id, s.ev.device);
    return s;
}

/* By a poll, as devices without a session. */
static double inform(int64_t id, const char *version, size_t sends)
{
    struct said s = words(id, EVENT_INFORM);
    str_copy(s.ev.version, sizeof s.ev.version, version);
    double took = write_it(say_once, &s, NULL);
    if (s.sends != sends)
        abort();
    return took;
}

static double progress(int64_t id, enum execution_state state, int percent)
{
    struct said s = words(id, EVENT_PROGRESS);
    s.ev.state = state;
    s.ev.percent = percent;
    return write_it(say_once, &s, NULL);
}

static double fail(int64_t id)
{
    struct said s = words(id, EVENT_ERROR);
    s.ev.reason = REASON_FLASH;
    strcpy(s.ev.detail, "no");
    return write_it(say_once, &s, NULL);
}

static void measure_idle(void)
{
    double took[SOME];
    struct err e = {0};
    bool idle;
    for (int64_t i = 0; i < SOME; i++) {
        int64_t id = some_id(i);
        double begun = now_us();
        must(rollout_poll_idle(reader(), id, "default", version_of(id), clock_wall_ms(), &idle, &e), &e);
        took[i] = now_us() - begun;
        if (!idle)
            abort();
    }
    record("poll that is idle", "us", median(took, SOME));
    for (int64_t i = 0; i < SOME; i++)
        took[i] = inform(some_id(i), version_of(some_id(i)), 0);
    record("inform of the same version", "us", median(took, SOME));
}

static void measure_tick(const char *name)
{
    double took[PAGES];
    for (int i = 0; i < PAGES; i++) {
        bool again = true;
        took[i] = 0;
        while (again)
            took[i] += write_it(tick_once, &again, NULL);
    }
    record(name, "us", median(took, PAGES));
}

/* Devices 0 .. SOME are offered it and stay at 95 %, FEW go all the way, FEW fail. */
static void measure_updates(int64_t id)
{
    double offers[SOME], steps[SOME], all[FEW], bad[FEW];
    for (int64_t i = 0; i < SOME; i++)
        offers[i] = inform(some_id(i), version_of(some_id(i)), 1);
    for (int64_t i = 0; i < SOME; i++) {
        double step[19];
        progress(some_id(i), EXECUTION_DOWNLOADING, 0);
        for (int k = 0; k < 19; k++)
            step[k] = progress(some_id(i), EXECUTION_DOWNLOADING, 5 * k + 5);
        steps[i] = median(step, 19);
    }
    for (int64_t i = 0; i < FEW; i++) {
        int64_t device = some_id(SOME + i);
        all[i] = inform(device, version_of(device), 1);
        for (int percent = 0; percent <= 100; percent += 5)
            all[i] += progress(device, EXECUTION_DOWNLOADING, percent);
        all[i] += progress(device, EXECUTION_INSTALLING, 100);
        all[i] += inform(device, "2.0.0", 0);
    }
    for (int64_t i = 0; i < FEW; i++) {
        int64_t device = some_id(SOME + FEW + i);
        inform(device, version_of(device), 1);
        bad[i] = fail(device);
    }
    record("poll that gets an offer", "us", median(offers, SOME));
    record("progress of 5 %", "us", median(steps, SOME));
    record("a whole update, 24 messages", "us", median(all, FEW));
    record("a failure", "us", median(bad, FEW));
    expect(id, EXECUTION_SUCCEEDED, FEW);
    expect(id, EXECUTION_FAILED, FEW);
}

static void measure_page(const char *name, int64_t id, const struct execution_filter *filter,
                         int64_t after_id, size_t wanted)
{
    struct execution_view page[100];
    double took[PAGES];
    struct err e = {0};
    size_t n = 0;
    for (int i = 0; i < PAGES; i++) {
        double begun = now_us();
        must(execution_list(reader(), id, filter, after_id, page, 100, &n, &e), &e);
        took[i] = now_us() - begun;
    }
    if (n != wanted)
        abort();
    record(name, "us", median(took, PAGES));
}

static void measure_views(int64_t id)
{
    static struct why out[8];
    struct failure_group groups[50];
    double took[SOME];
    struct err e = {0};
    size_t n;
    for (int64_t i = 0; i < SOME; i++) {
        double begun = now_us();
        must(why_device(&f.rollout, reader(), some_id(i), clock_wall_ms(), out, 8, &n, &e), &e);
        took[i] = now_us() - begun;
    }
    record("why", "us", median(took, SOME));
    measure_page("page of 100: the first", id, &(struct execution_filter){.state = -1}, 0, 100);
    measure_page("page of 100: in the middle", id, &(struct execution_filter){.state = -1}, f.n / 2, 100);
    measure_page("page of 100: of a rare state", id, &(struct execution_filter){.state = EXECUTION_SUCCEEDED},
                 0, FEW);
    for (int i = 0; i < PAGES; i++) {
        double begun = now_us();
        must(campaign_failures(reader(), id, NULL, groups, 50, &n, &e), &e);
        took[i] = now_us() - begun;
    }
    record("failures of 100 devices", "us", median(took, PAGES));
}

/* For other modules, so that they wait beside the large one. */
static void measure_many(void)
{
    struct holds h = {0};
    for (int i = 0; i < SMALL; i++) {
        char module[32], names[64];
        snprintf(module, sizeof module, "module%d", i);
        struct campaign_spec spec = spec_for(firmware(module, "1.0"), NULL);
        snprintf(names, sizeof names, "[\"device-%08d\",\"device-%08d\"]", i + 1, i + 2);
        spec.target.devices = strdup(names);
        campaign(spec, &h);
    }
    record("create for 2 devices by their names", "us", h.runs_us / SMALL);
    measure_tick("tick, 100 campaigns more");
}

/* ---- a whole size */

static void measure_first(int64_t firmware_id)
{
    struct holds h = {0};
    double before = file_bytes();
    record("bytes a device", "B", before / (double)f.n);
    measure_tick("tick, nothing to do");
    measure_idle();
    record("dry run", "s", plan(firmware_id, NULL) / 1e6);
    int64_t id = campaign(spec_for(firmware_id, NULL), &h);
    expect(id, EXECUTION_QUEUED, f.n);
    record_holds(&h, HOLDS("create"));
    record("bytes an execution", "B", (file_bytes() - before) / (double)f.n);
    measure_tick("tick, all devices waiting");
    measure_updates(id);
    measure_views(id);
}

static void measure_ends(int64_t firmware_id)
{
    struct holds over = {0}, cancel = {0};
    double before = file_bytes();
    int64_t id = campaign(spec_for(firmware_id, NULL), &over);
    expect(id, EXECUTION_QUEUED, f.n);
    record_holds(&over, HOLDS("create over a queued one"));
    record("bytes an execution over a queued one", "B", (file_bytes() - before) / (double)f.n);
    act(id, CAMPAIGN_CANCEL, &cancel);
    expect(id, EXECUTION_CANCELLED, f.n);
    record_holds(&cancel, HOLDS("cancel"));
}

static void measure_counted(int64_t firmware_id)
{
    char waves[160];
    struct holds h = {0}, start = {0};
    struct execution_filter first = {.state = -1, .by_wave = true, .wave = 0};
    snprintf(waves, sizeof waves, "[{\"count\":100},{\"count\":%lld},{\"percent\":100}]",
             (long long)(f.n / 10));
    record("dry run, waves by count", "s", plan(firmware_id, waves) / 1e6);
    int64_t id = campaign(spec_for(firmware_id, waves), &h);
    expect(id, EXECUTION_QUEUED, 100);
    record_holds(&h, HOLDS("create, waves by count"));
    measure_page("page of 100: of a small wave", id, &first, 0, 100);
    act(id, CAMPAIGN_ADVANCE, NULL);
    expect(id, EXECUTION_QUEUED, 100 + f.n / 10);
    act(id, CAMPAIGN_ADVANCE, &start);
    expect(id, EXECUTION_QUEUED, f.n);
    record_holds(&start, HOLDS("start of the last wave"));
    act(id, CAMPAIGN_CANCEL, NULL);
}

static void measure_tagged(int64_t firmware_id)
{
    struct holds h = {0};
    int64_t id = campaign(spec_for(firmware_id, "[{\"tags\":{\"ring\":\"canary\"}},{\"percent\":100}]"), &h);
    expect(id, EXECUTION_QUEUED, f.n / 100);
    record_holds(&h, HOLDS("create, waves by tags"));
    act(id, CAMPAIGN_CANCEL, NULL);
}

static double memory_kb(const char *field)
{
    char line[128];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = atof(line + strlen(field) + 1);
    if (status)
        fclose(status);
    return kb;
}

/* The peak begins anew with each size. */
static void forget_peak(void)
{
    FILE *refs = fopen("/proc/self/clear_refs", "we");
    if (refs && fputs("5", refs) >= 0)
        fclose(refs);
}

static void measure_size(void)
{
    forget_peak();
    double empty_kb = memory_kb("VmHWM"), begun = now_us();
    open_fleet(sizes[now_size]);
    fill();
    record("filling", "s", (now_us() - begun) / 1e6);
    measure_first(firmware("default", "2.0.0"));
    measure_ends(firmware("default", "3.0.0"));
    measure_counted(firmware("default", "4.0.0"));
    measure_tagged(firmware("default", "5.0.0"));
    measure_many();
    record("peak of memory", "MB", (memory_kb("VmHWM") - empty_kb) / 1e3);
    store_close(f.store);
    presence_close(f.rollout.presence);
}

static void measure_all(void)
{
    const char *parent = getenv("TMPDIR");
    for (now_size = 0; now_size < size_count; now_size++) {
        snprintf(f.dir, sizeof f.dir, "%s/otad-growth-XXXXXX", parent && *parent ? parent : ".");
        if (!mkdtemp(f.dir)) {
            perror(f.dir);
            exit(1);
        }
        measure_size();
        nftw(f.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static int keep(const char *folder)
{
    str_copy(f.dir, sizeof f.dir, folder);
    open_fleet(sizes[0]);
    fill();
    store_close(f.store);
    presence_close(f.rollout.presence);
    return 0;
}

int main(int argc, char **argv)
{
    const char *json = NULL, *folder = NULL;
    int option;
    while ((option = getopt(argc, argv, "j:k:")) != -1) {
        if (option == 'j')
            json = optarg;
        else if (option == 'k')
            folder = optarg;
        else
            return 2;
    }
    for (; optind < argc && size_count < SIZES_MAX; optind++)
        if ((sizes[size_count++] = atoll(argv[optind])) < 1000)
            return 2; /* fewer have no room for those that are looked at */
    if (size_count == 0)
        size_count = 4;
    log_level_set(LOG_LEVEL_WARN);
    if (folder)
        return keep(folder);
    measure_all();
    print_table();
    if (json)
        write_json(json);
    return 0;
}
