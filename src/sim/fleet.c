#include "fleet.h"

#include "base/clock.h"
#include "base/log.h"
#include "device.h"
#include "roster.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define STEP_MS      25
#define TICK_STEPS   40 /* steps a second: each step ticks one device in so many */
#define EVENTS       256
#define FDS_A_DEVICE 3 /* its session, and the pair of sockets that some versions of libmosquitto make */
#define GOODBYE_MS   2000

struct shard { /* one thread */
    struct fleet *fleet;
    struct device_env env;
    struct link_settings link;
    struct device *devices;
    size_t n;
    size_t cursor; /* the next device that may connect: none is starved */
    double tokens; /* connections that may begin now */
    double rate;   /* tokens a second */
    uint64_t steps;
    int64_t next_step_ms;
    int64_t leave_by_ms; /* 0: not yet leaving */
    int epoll_fd;
    pthread_t thread;
    bool running;
};

struct fleet {
    const struct options *options;
    struct roster roster;
    struct device *devices;
    struct shard *shards;
    size_t shard_count;
    atomic_bool stop;
};

/* ---- one thread */

static void connect_some(struct shard *s)
{
    s->tokens += s->rate * STEP_MS / 1000;
    if (s->tokens > s->rate)
        s->tokens = s->rate > 1 ? s->rate : 1;
    for (size_t i = 0; i < s->n && s->tokens >= 1; i++) {
        struct device *d = &s->devices[s->cursor];
        s->cursor = (s->cursor + 1) % s->n;
        if (!device_wants_connection(d))
            continue;
        device_connect(d);
        s->tokens -= 1;
    }
}

static void step(struct shard *s)
{
    for (size_t i = 0; i < s->n; i++) {
        device_step(&s->devices[i]);
        if (i % TICK_STEPS == s->steps % TICK_STEPS)
            device_tick(&s->devices[i]);
    }
    connect_some(s);
    s->steps++;
    s->next_step_ms += STEP_MS;
    if (s->next_step_ms < s->env.now_ms)
        s->next_step_ms = s->env.now_ms + STEP_MS;
}

static bool may_end(struct shard *s)
{
    if (!s->leave_by_ms && atomic_load(&s->fleet->stop)) {
        s->leave_by_ms = s->env.now_ms + GOODBYE_MS;
        for (size_t i = 0; i < s->n; i++)
            device_leave(&s->devices[i]);
    }
    if (!s->leave_by_ms || s->env.now_ms >= s->leave_by_ms)
        return s->leave_by_ms != 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->devices[i].link.state != LINK_DOWN)
            return false;
    return true;
}

static int wait_ms(const struct shard *s)
{
    int64_t left = s->next_step_ms - s->env.now_ms;
    return transfers_wait_ms(s->env.transfers, s->env.now_ms, left > 0 ? (int)left : 0);
}

static void *run(void *arg)
{
    struct shard *s = arg;
    struct epoll_event events[EVENTS];
    s->next_step_ms = s->env.now_ms = clock_mono_ms();
    while (!may_end(s)) {
        int n = epoll_wait(s->epoll_fd, events, EVENTS, wait_ms(s));
        s->env.now_ms = clock_mono_ms();
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                device_ready(events[i].data.ptr, events[i].events);
        transfers_run(s->env.transfers, s->env.now_ms);
        if (s->env.now_ms >= s->next_step_ms)
            step(s);
    }
    return NULL;
}

/* ---- making it */

/* Every device needs descriptors, and each download another. */
static int raise_descriptors(const struct options *o, size_t devices, struct err *e)
{
    struct rlimit limit;
    rlim_t want = devices * FDS_A_DEVICE + (rlim_t)o->max_downloads + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_errno(e, "cannot read the limit of descriptors");
    if (limit.rlim_cur >= want)
        return 0;
    if (limit.rlim_max < want)
        log_warn("%zu devices may need %llu descriptors, the limit is %llu (ulimit -n)", devices,
                 (unsigned long long)want, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_errno(e, "cannot raise the limit of descriptors");
    return 0;
}

static int open_shard(struct shard *s, struct tally *tally, struct err *e)
{
    const struct options *o = s->fleet->options;
    int64_t share = o->max_downloads / (int64_t)s->fleet->shard_count;
    struct transfer_settings settings = {
        .ca = o->ca,
        .server = o->https,
        .rate_bytes = o->rate_bytes,
        .max_downloads = share > 0 ? (size_t)share : 1,
        .took = device_took,
        .ended = device_ended,
    };
    s->rate = (double)o->connect_rate / (double)s->fleet->shard_count;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_errno(e, "cannot make an epoll descriptor");
    s->link = (struct link_settings){
        .host = o->host, .ca = o->ca, .port = o->port, .plain = o->plain, .epoll_fd = s->epoll_fd};
    s->env = (struct device_env){.options = o,
                                 .wire = wire_by_name(o->protocol),
                                 .habits = {.module = o->module,
                                            .next_version = o->next_version,
                                            .path = (enum wire_path)o->path,
                                            .block_bytes = (uint32_t)o->block_bytes,
                                            .json_streams = o->json_streams},
                                 .link = &s->link,
                                 .tally = tally,
                                 .scratch = malloc((size_t)o->block_bytes)};
    if (!s->env.scratch)
        return err_errno(e, "cannot hold a block");
    int rc = transfers_open(&settings, &s->env.transfers, e);
    if (rc)
        return rc;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, transfers_fd(s->env.transfers), &event) != 0)
        return err_errno(e, "cannot watch downloads");
    return 0;
}

/* The first n % shards shards have one device more. */
static int open_devices(struct fleet *f, struct tally *tally, struct err *e)
{
    size_t at = 0, left = f->roster.n;
    int rc = 0;
    for (size_t i = 0; i < f->shard_count && rc == 0; i++) {
        struct shard *s = &f->shards[i];
        s->fleet = f;
        s->devices = f->devices + at;
        s->n = left / (f->shard_count - i) + (left % (f->shard_count - i) != 0);
        left -= s->n;
        rc = open_shard(s, tally, e);
        for (size_t k = 0; k < s->n && rc == 0; k++, at++)
            rc =
                device_open(&s->devices[k], &s->env, &f->roster.row[at], (uint64_t)f->options->first + at, e);
    }
    return rc;
}

static int start_threads(struct fleet *f, struct err *e)
{
    for (size_t i = 0; i < f->shard_count; i++) {
        errno = pthread_create(&f->shards[i].thread, NULL, run, &f->shards[i]);
        if (errno)
            return err_errno(e, "cannot start thread %zu", i + 1);
        f->shards[i].running = true;
    }
    return 0;
}

static int hold(struct fleet *f, struct err *e)
{
    size_t threads = (size_t)f->options->threads;
    size_t count = threads < f->roster.n ? threads : f->roster.n;
    f->devices = calloc(f->roster.n, sizeof *f->devices);
    f->shards = calloc(count, sizeof *f->shards);
    if (!f->devices || !f->shards)
        return err_errno(e, "cannot hold %zu devices", f->roster.n);
    f->shard_count = count;
    for (size_t i = 0; i < count; i++)
        f->shards[i].epoll_fd = -1;
    return 0;
}

int fleet_start(const struct options *o, struct tally *tally, struct fleet **out, struct err *e)
{
    struct fleet *f = calloc(1, sizeof *f);
    if (!f)
        return err_errno(e, "cannot hold a fleet");
    f->options = o;
    int rc = roster_load(o, &f->roster, e);
    if (rc)
        goto out;
    rc = hold(f, e);
    if (rc == 0)
        rc = raise_descriptors(o, f->roster.n, e);
    if (rc == 0)
        rc = open_devices(f, tally, e);
    if (rc == 0)
        rc = start_threads(f, e);
out:
    if (rc) {
        fleet_stop(f);
        fleet_free(f);
    } else {
        *out = f;
    }
    return rc;
}

/* ---- ending it */

void fleet_stop(struct fleet *f)
{
    atomic_store(&f->stop, true);
    for (size_t i = 0; i < f->shard_count; i++) {
        if (f->shards[i].running)
            pthread_join(f->shards[i].thread, NULL);
        f->shards[i].running = false;
    }
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

size_t fleet_spans(const struct fleet *f, int64_t **spans_ms)
{
    size_t n = 0;
    int64_t *spans = calloc(f->roster.n, sizeof *spans);
    for (size_t i = 0; spans && i < f->roster.n; i++)
        if (f->devices[i].done_at_ms)
            spans[n++] = f->devices[i].done_at_ms - f->devices[i].offered_at_ms;
    if (n > 0)
        qsort(spans, n, sizeof *spans, by_size);
    *spans_ms = spans;
    return n;
}

void fleet_free(struct fleet *f)
{
    for (size_t i = 0; f->devices && i < f->roster.n; i++)
        if (f->devices[i].env)
            device_close(&f->devices[i]);
    for (size_t i = 0; i < f->shard_count; i++) {
        transfers_close(f->shards[i].env.transfers);
        free(f->shards[i].env.scratch);
        if (f->shards[i].epoll_fd >= 0)
            close(f->shards[i].epoll_fd);
    }
    free(f->devices);
    free(f->shards);
    roster_free(&f->roster);
    free(f);
}
