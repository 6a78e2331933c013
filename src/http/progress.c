#include "progress.h"

#include "base/clock.h"
#include "rollout/rollout.h"

#include <stdlib.h>
#include <string.h>

#define STEPS 20

/* Lives until the writer is done with it. */
struct report {
    struct job job;
    struct rollout *rollout;
    struct device_event event;
    int64_t now_ms;
};

void progress_begin(struct progress *p, const struct request *r)
{
    const char *slash = strchr(r->caller.name, '/');
    p->env = NULL;
    p->size = r->reply.size;
    p->execution_id = r->reply.execution_id;
    if (!p->execution_id || r->caller.role != ROLE_DEVICE || !slash || slash - r->caller.name >= PRODUCT_SIZE)
        return;
    memcpy(p->product, r->caller.name, (size_t)(slash - r->caller.name));
    p->product[slash - r->caller.name] = '\0';
    if (str_copy(p->device, sizeof p->device, slash + 1))
        p->env = r->env;
}

static int run_report(struct db *w, void *arg, struct err *e)
{
    struct report *report = arg;
    struct outgoing out[ROLLOUT_SENDS_MAX];
    size_t n = 0;
    int rc = rollout_download(report->rollout, w, &report->event, report->now_ms, out, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        outgoing_clear(&out[i]);
    return rc;
}

static void report_done(struct job *job)
{
    free(job->arg);
}

static void submit(const struct progress *p, int percent)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        return; /* the device's next version report is what counts */
    report->rollout = p->env->rollout;
    report->now_ms = clock_wall_ms();
    report->event =
        (struct device_event){.kind = EVENT_PROGRESS, .state = EXECUTION_DOWNLOADING, .percent = percent};
    report->event.execution_id = p->execution_id;
    str_copy(report->event.product, sizeof report->event.product, p->product);
    str_copy(report->event.device, sizeof report->event.device, p->device);
    report->job = (struct job){.run = run_report, .done = report_done, .arg = report};
    store_submit(p->env->store, &report->job);
}

void progress_step(const struct progress *p, uint64_t first, uint64_t end)
{
    if (!p->env || p->size == 0)
        return;
    uint64_t before = first * STEPS / p->size, now = end * STEPS / p->size;
    if (first == 0 || now > before)
        submit(p, (int)(now * 100 / STEPS));
}
