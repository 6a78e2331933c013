/* What is due for a device: the questions are asked, and what all of them allow is offered. */
#include "rollout/why.h"

/* Invariant 6 for a device that has got beyond the target by other means. */
static int end_beyond(struct db *w, struct execution *x, int64_t now_ms, struct err *e)
{
    struct change c = {.reason = REASON_NEWER_INSTALLED, .percent = x->percent, .attempt = x->attempt};
    return execution_move(w, x, EXECUTION_SUPERSEDED, &c, now_ms, e);
}

static int choose(struct db *w, int64_t id, int ord, int64_t firmware_id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_CHOOSE);
    bind_int(s, ":id", id);
    bind_int(s, ":ord", ord);
    bind_int(s, ":firmware_id", firmware_id);
    return stmt_run(s, NULL, e);
}

/* Whether it is offered once more. From installing on it has the file, and a second offer would start it
 * anew. */
static bool is_offered_again(const struct execution *x, enum again again)
{
    bool begun = x->state == EXECUTION_DOWNLOADING || x->state == EXECUTION_DOWNLOADED;
    bool waits = x->state == EXECUTION_OFFERED && x->campaign_state == CAMPAIGN_RUNNING;
    return (begun && again == AGAIN_BEGUN) || (waits && again != AGAIN_NOTHING);
}

/* The device may have another version than when it was first offered something: a delta or a stepping stone
 * for that one would not fit. *fits: there is a file that does. */
static int choose_again(struct db *w, const struct party *p, const struct execution *x,
                        const struct next_module *m, bool *fits, struct err *e)
{
    struct chosen file = {0};
    int rc = module_file(w, p, m, &file, e);
    *fits = rc == 0 && file.firmware_id;
    if (!*fits || file.firmware_id == m->offered_id)
        return rc;
    return choose(w, x->id, m->ord, file.firmware_id, e);
}

/* A device that came back or asked gets what is under way once more: same id, no new attempt, the clock runs
 * on. */
static int offer_again(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                       enum again again, int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e)
{
    struct next_module m = {0};
    bool fits;
    if (!is_offered_again(x, again))
        return 0;
    int rc = execution_next_module(w, x->id, &m, e);
    if (rc > 0 && module_is_beyond(p, x, &m))
        return end_beyond(w, x, now_ms, e);
    if (rc <= 0)
        return rc;
    rc = choose_again(w, p, x, &m, &fits, e);
    return rc < 0 || !fits ? rc : offer_now(r, w, p, x, now_ms, out, sends, e);
}

/* What an offer lists of the modules behind the one it is for: each as if its turn had come, and nothing of
 * one that cannot be answered for yet. */
static int choose_behind(struct db *w, const struct asking *a, struct err *e)
{
    struct next_module m;
    int rc, ord = a->part.ord;
    while ((rc = execution_module_from(w, a->x->id, ord + 1, &m, e)) > 0) {
        struct chosen file = {0};
        bool there = version_standing(a->p->scheme, m.has, m.target) == STANDING_ON_TARGET;
        ord = m.ord;
        rc = there || module_is_beyond(a->p, a->x, &m) ? 0 : module_file(w, a->p, &m, &file, e);
        if (rc == 0)
            rc = choose(w, a->x->id, m.ord, file.firmware_id, e);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* Every answer was yes: what the questions have found is offered. */
static int offer_found(struct rollout *r, struct db *w, const struct asking *a, struct outgoing *out,
                       size_t *sends, struct err *e)
{
    struct execution *x = a->x;
    struct change queued = {.reason = REASON_NONE};
    struct change offered = {.reason = REASON_NONE,
                             .attempt = x->attempt + 1,
                             .deadline_at_ms = a->now_ms + x->policy.offer_timeout_ms};
    int rc = execution_modules_make(w, x->id, e);
    if (rc == 0)
        rc = choose(w, x->id, a->part.ord, a->file.firmware_id, e);
    if (rc == 0)
        rc = choose_behind(w, a, e);
    if (rc == 0 && x->state == EXECUTION_PENDING) /* its wave has started, and the tick has not come by yet */
        rc = execution_move(w, x, EXECUTION_QUEUED, &queued, a->now_ms, e);
    if (rc == 0)
        rc = execution_move(w, x, EXECUTION_OFFERED, &offered, a->now_ms, e);
    if (rc == 0)
        rc = pace_pay(w, x->campaign_id, &x->policy, a->now_ms, e);
    return rc < 0 ? rc : offer_now(r, w, a->p, x, a->now_ms, out, sends, e);
}

/* The version said no, and that may settle more than this moment (invariant 6). *on: another module is next.
 */
static int settle_version(struct db *w, const struct asking *a, bool *on, struct err *e)
{
    struct execution *x = a->x;
    if (!a->has_part)
        return 0;
    if (module_is_beyond(a->p, x, &a->part))
        return end_beyond(w, x, a->now_ms, e);
    if (a->standing != STANDING_ON_TARGET)
        return 0;
    /* an attempt that failed in the hold-off: the version is from before, the device's next word of it
     * decides; one that reports none has come back, which is all that can be known */
    if (x->attempt > 0 && !a->p->success_by_report)
        return 0;
    int rc = execution_module_done(w, a->p, x, a->part.ord, a->now_ms, e);
    *on = rc == 0 && !execution_is_final(x->state);
    return rc;
}

/* What holds for the whole campaign will not hold for ever, and nobody else would tell the device. */
static void wait_for(struct rollout *r, const struct execution *x, enum question no)
{
    bool by_zone = no == ASK_WINDOW && !window_by_device(&x->policy.window);
    if (by_zone || no == ASK_RATE || no == ASK_SLOTS)
        scan_campaign(r, x->campaign_id);
}

static struct asking asking_of(struct rollout *r, struct db *db, const struct party *p, struct execution *x,
                               bool asks, int64_t now_ms)
{
    return (struct asking){.r = r,
                           .db = db,
                           .p = p,
                           .x = x,
                           .policy = &x->policy,
                           .campaign_id = x->campaign_id,
                           .campaign_state = x->campaign_state,
                           .here = true,
                           .asks = asks,
                           .now_ms = now_ms};
}

/* Asks what stands between a queued execution and its offer, and makes it. x may end here. */
static int offer_queued(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                        bool asks, int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e)
{
    bool on = true;
    int rc = 0;
    while (on && rc == 0) {
        struct asking a = asking_of(r, w, p, x, asks, now_ms);
        struct answer answer;
        enum question no;
        on = false;
        rc = ask_from(&a, ASK_CAMPAIGN, &no, &answer, e);
        if (rc == 0 && no == QUESTIONS)
            rc = offer_found(r, w, &a, out, sends, e);
        else if (rc == 0 && no == ASK_VERSION)
            rc = settle_version(w, &a, &on, e);
        else if (rc == 0)
            wait_for(r, x, no);
    }
    return rc;
}

/* The questions that are about the device alone. */
static int may_be_offered(struct rollout *r, struct db *db, const struct party *p, int64_t now_ms, bool *may,
                          struct err *e)
{
    struct asking a = {.r = r, .db = db, .p = p, .now_ms = now_ms};
    struct answer answer;
    int rc = 1;
    for (int q = ASK_PRODUCT; q <= ASK_QUARANTINE && rc > 0; q++)
        rc = ask_question(&a, (enum question)q, &answer, e);
    *may = rc > 0;
    return rc < 0 ? rc : 0;
}

/* Its rest may have begun with what it has just said, after the party was read. */
static int read_rest(struct db *w, struct party *p, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_DEVICE_FAILURES_GET);
    bind_int(s, ":id", p->device_id);
    int rc = stmt_step(s, e);
    if (rc > 0) {
        p->failures = col_int(s, 0);
        p->quarantine_until_ms = col_int(s, 1);
    }
    return rc < 0 ? rc : 0;
}

/* What is offered once more because it may be lost says nothing of the device. */
static bool is_heard(const struct rollout *r, const struct execution *x, int64_t now_ms)
{
    return presence_there(r->presence, x->device_id, now_ms) ||
           presence_last_seen(r->presence, x->device_id) >= now_ms - x->policy.lease_ms;
}

int dispatch_device(struct rollout *r, struct db *w, const struct party *p, enum again again, bool asks,
                    int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e)
{
    struct execution live[LIVE_MAX];
    struct party now = *p;
    size_t n = 0;
    bool may = false;
    *sends = 0;
    int rc = execution_live(w, p->device_id, live, &n, e);
    if (rc < 0 || n == 0)
        return rc;
    if (is_heard(r, &live[0], now_ms))
        rc = execution_heard(w, &live[0], e);
    if (rc == 0)
        rc = read_rest(w, &now, e);
    if (rc == 0)
        rc = may_be_offered(r, w, &now, now_ms, &may, e);
    if (rc < 0 || !may)
        return rc;
    /* one thing at a time: a device that is at work is not offered another (invariant 2) */
    if (execution_is_active(live[0].state))
        rc = offer_again(r, w, p, &live[0], again, now_ms, out, sends, e);
    if (execution_is_active(live[0].state))
        return rc;
    for (size_t i = 0; i < n && *sends == 0 && rc == 0; i++)
        if (live[i].state < EXECUTION_OFFERED)
            rc = offer_queued(r, w, p, &live[i], asks, now_ms, out, sends, e);
    return rc;
}

/* ---- looking, without an offer */

/* Whether asking would change something: what is under way is offered again, what is due is offered, what its
 * version says no to may be settled by that, and who waits for a slot has the leases of the others looked at.
 */
static int would_change(struct db *db, const struct party *p, struct execution *x, int64_t now_ms,
                        bool *would, struct err *e)
{
    struct asking a = asking_of(NULL, db, p, x, true, now_ms);
    struct answer answer;
    enum question no = ASK_VERSION;
    int rc = execution_is_active(x->state) ? 0 : ask_from(&a, ASK_CAMPAIGN, &no, &answer, e);
    *would = no == QUESTIONS || no == ASK_VERSION || no == ASK_SLOTS;
    return rc;
}

int dispatch_would(struct db *db, const struct party *p, int64_t now_ms, bool *would, struct err *e)
{
    struct execution live[LIVE_MAX];
    size_t n = 0;
    bool may = false;
    *would = false;
    int rc = execution_live(db, p->device_id, live, &n, e);
    if (rc == 0 && n > 0)
        rc = may_be_offered(NULL, db, p, now_ms, &may, e);
    if (rc == 0 && n > 0 && execution_is_active(live[0].state))
        *would = true; /* also who may be offered nothing: the old version may be a rollback */
    for (size_t i = 0; i < n && rc == 0 && may && !*would; i++)
        rc = would_change(db, p, &live[i], now_ms, would, e);
    return rc;
}

/* Whether the file that was offered is the one that would be offered now. */
static int is_same_file(struct db *db, const struct party *p, const struct execution *x, bool *same,
                        struct err *e)
{
    struct next_module m;
    struct chosen file = {0};
    *same = false;
    int rc = execution_next_module(db, x->id, &m, e);
    if (rc <= 0 || module_is_beyond(p, x, &m))
        return rc < 0 ? rc : 0;
    rc = module_file(db, p, &m, &file, e);
    *same = rc == 0 && file.firmware_id && file.firmware_id == m.offered_id;
    return rc;
}

int dispatch_look_again(struct rollout *r, struct db *db, const struct party *p, int64_t now_ms,
                        struct outgoing *out, size_t *sends, struct err *e)
{
    struct execution live[LIVE_MAX];
    size_t n = 0;
    bool may = false, same = false;
    *sends = 0;
    int rc = execution_live(db, p->device_id, live, &n, e);
    if (rc < 0 || n == 0 || !is_offered_again(&live[0], AGAIN_BEGUN) || live[0].silent)
        return rc;
    rc = may_be_offered(NULL, db, p, now_ms, &may, e);
    if (rc == 0 && may)
        rc = is_same_file(db, p, &live[0], &same, e);
    return rc == 0 && same ? offer_now(r, db, p, &live[0], now_ms, out, sends, e) : rc;
}

static int look_queued(struct rollout *r, struct db *db, const struct party *p, struct execution *x,
                       int64_t now_ms, int64_t *firmware_id, struct err *e)
{
    struct asking a = asking_of(r, db, p, x, true, now_ms);
    struct answer answer;
    enum question no;
    int rc = ask_from(&a, ASK_CAMPAIGN, &no, &answer, e);
    if (rc == 0 && no == QUESTIONS)
        *firmware_id = a.file.firmware_id;
    return rc;
}

/* What is under way is sent again, until the device installs it. */
static int look_active(struct db *db, const struct execution *x, int64_t *firmware_id, struct err *e)
{
    struct next_module m;
    if (x->state > EXECUTION_DOWNLOADED)
        return 0;
    int rc = execution_next_module(db, x->id, &m, e);
    if (rc > 0)
        *firmware_id = m.offered_id;
    return rc < 0 ? rc : 0;
}

int rollout_look(struct rollout *r, struct db *reader, int64_t device_id, int64_t now_ms,
                 int64_t *execution_id, int64_t *firmware_id, struct err *e)
{
    struct execution live[LIVE_MAX] = {0};
    struct party p = {0};
    size_t n = 0;
    bool may = false;
    *execution_id = *firmware_id = 0;
    int rc = party_get_id(reader, device_id, &p, e);
    p.takes_deltas = false;
    if (rc == 0)
        rc = may_be_offered(r, reader, &p, now_ms, &may, e);
    if (rc == 0 && may)
        rc = execution_live(reader, device_id, live, &n, e);
    bool at_work = n > 0 && execution_is_active(live[0].state);
    for (size_t i = 0; i < n && rc == 0 && !*firmware_id && (i == 0 || !at_work); i++) {
        rc = at_work ? look_active(reader, &live[i], firmware_id, e)
                     : look_queued(r, reader, &p, &live[i], now_ms, firmware_id, e);
        *execution_id = *firmware_id ? live[i].id : 0;
    }
    return rc;
}
