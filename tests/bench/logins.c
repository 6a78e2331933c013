/* logins.c: how long the broker waits for a login. Fills a store of a million devices and reads it as the
 * plugin does at each login, at random: with nothing else going on, and while the writer commits without
 * pause.
 *
 * A lookup during which the kernel gave the core to somebody else says nothing of the lookup: those over a
 * millisecond are counted apart.
 *
 *   build/bench/logins [devices] [folder]     the folder is removed at the end; the default is one in /tmp */
#include "../../src/broker_plugin/lookup.c"
#include "base/digest.h"
#include "store/device.h"
#include "store/product.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STEP    5000 /* devices a transaction */
#define LOOKUPS 200000

static struct seal seal;
static struct store *store;
static int64_t devices;
static const char *const protocols[] = {"native",
                                        "aws"}; /* half of the devices each: both ways of finding one */

static void must(int rc, const struct err *e)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "logins: %s\n", e->text);
    exit(1);
}

static void name_of(int64_t i, char out[DEVICE_SIZE])
{
    snprintf(out, DEVICE_SIZE, "device-%08lld", (long long)i);
}

static int fill_products(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(protocols) && rc == 0; i++) {
        struct product p = {.enabled = true, .created_at_ms = 1};
        str_copy(p.key, sizeof p.key, protocols[i]);
        str_copy(p.name, sizeof p.name, protocols[i]);
        str_copy(p.protocol, sizeof p.protocol, protocols[i]);
        rc = product_insert(w, &p, e);
    }
    return rc;
}

static int fill_devices(struct db *w, void *arg, struct err *e)
{
    const int64_t *from = arg;
    int rc = 0;
    for (int64_t i = *from; i < *from + STEP && i < devices && rc == 0; i++) {
        struct device d = {.product_id = i % 2 + 1, .enabled = true, .registered_at_ms = 1};
        char owner[PRODUCT_SIZE + DEVICE_SIZE];
        name_of(i, d.name);
        str_copy(d.product, sizeof d.product, protocols[i % 2]);
        snprintf(owner, sizeof owner, "%s/%s", d.product, d.name);
        d.secret_len = 32 + SEAL_OVERHEAD;
        rc = seal_close(&seal, "device", owner, "0123456789abcdef0123456789abcdef", 32, d.secret, e);
        if (rc == 0)
            rc = device_insert(w, &d, e);
    }
    return rc;
}

static void fill(void)
{
    struct err e;
    must(store_write(store, fill_products, NULL, &e), &e);
    for (int64_t i = 0; i < devices; i += STEP)
        must(store_write(store, fill_devices, &i, &e), &e);
}

/* ---- measuring */

static atomic_bool ended;

static int touch(struct db *w, void *arg, struct err *e)
{
    int64_t *at = arg;
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        *at += 7919; /* a moment and, where the device is of them, all over the table */
        rc = device_seen(w, *at % devices + 1, *at, e);
    }
    return rc;
}

static void *write_on(void *arg)
{
    int64_t at = 1;
    struct err e;
    (void)arg;
    while (!atomic_load(&ended))
        must(store_write(store, touch, &at, &e), &e);
    return NULL;
}

struct sample {
    double us;
    bool preempted;
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->us, y = ((const struct sample *)b)->us;
    return (x > y) - (x < y);
}

static struct sample look(struct lookup *l, size_t protocol)
{
    struct login_claim claim = {0};
    struct credentials c;
    struct err e;
    int64_t dice;
    random_bytes(&dice, sizeof dice);
    int64_t i = (int64_t)((uint64_t)dice % (uint64_t)(devices / 2)) * 2 + (int64_t)protocol;
    name_of(i, claim.device);
    if (protocol == 0) /* things are found by their names alone */
        str_copy(claim.product, sizeof claim.product, protocols[0]);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    double begun = now_us();
    must(lookup_find(l, protocols[protocol], &claim, "", &c, &e), &e);
    double took = now_us() - begun;
    getrusage(RUSAGE_THREAD, &after);
    if (!c.known || strlen(c.secret) != 32 || strcmp(c.names.product, protocols[protocol]) != 0)
        abort();
    credentials_wipe(&c);
    return (struct sample){took, after.ru_nivcsw != before.ru_nivcsw};
}

static void measure(const char *path, const char *what)
{
    static struct sample took[LOOKUPS];
    for (size_t protocol = 0; protocol < ARRAY_SIZE(protocols); protocol++) {
        struct lookup *l = lookup_open(path, &seal);
        size_t late = 0, preempted = 0;
        if (!l)
            abort();
        double first = look(l, protocol).us, longest = 0;
        for (size_t i = 0; i < LOOKUPS; i++) {
            took[i] = look(l, protocol);
            late += took[i].us > 1000;
            preempted += took[i].us > 1000 && took[i].preempted;
            if (!took[i].preempted && took[i].us > longest)
                longest = took[i].us;
        }
        qsort(took, LOOKUPS, sizeof *took, by_size);
        printf("| %-17s | %-13s | %5.0f | %5.1f | %5.1f | %7.1f | %9.1f | %9zu | %9zu |\n", what,
               protocol ? "name alone" : "product, name", first, took[LOOKUPS / 2].us,
               took[LOOKUPS / 100 * 99].us, took[LOOKUPS / 1000 * 999].us, longest, late, preempted);
        lookup_close(l);
    }
}

int main(int argc, char **argv)
{
    char folder[200] = "/tmp/otad-logins-XXXXXX", path[256], key[256];
    struct err e;
    pthread_t writer;
    devices = argc > 1 ? atoll(argv[1]) : 1000000;
    if (argc > 2)
        snprintf(folder, sizeof folder, "%s/otad-logins-XXXXXX", argv[2]);
    if (devices < 2 || !mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/otad.db", folder);
    snprintf(key, sizeof key, "%s/key", folder);
    must(seal_create(key, &seal, &e), &e);
    must(store_open(path, &store, &e), &e);
    fill();
    printf("%lld devices, %d lookups a row, microseconds\n"
           "| meanwhile         | found by      | first |  50 %% |  99 %% |  99.9 %% | calm max  | over 1 ms "
           "| preempted "
           "|\n"
           "| ----------------- | ------------- | ----- | ----- | ----- | ------- | --------- | --------- | "
           "--------- "
           "|\n",
           (long long)devices, LOOKUPS);
    measure(path, "nothing");
    pthread_create(&writer, NULL, write_on, NULL);
    measure(path, "100 rows a commit");
    atomic_store(&ended, true);
    pthread_join(writer, NULL);
    store_close(store);
    unlink(path);
    unlink(key);
    return rmdir(folder);
}
