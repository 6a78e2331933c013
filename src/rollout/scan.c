/* Devices that are there, and may be waiting: when a campaign starts, when a window opens, when the rate or a
 * slot allows one more.
 *
 * Nobody keeps a queue: a walk goes over presence, which is memory, and asks the store only about devices
 * that are there. It goes in an order that scatters neighbours, so that a thousand boards of one hall,
 * registered one after the other and switched on together, do not get their offers together. A device that
 * comes back is asked at once, before any walk gets to it. */
#include "rollout/scan.h"

#include "base/clock.h"
#include "rollout/pace.h"
#include "rollout/why.h"

#define WALK_IDS   64  /* ids between two looks at the clock */
#define WALK_MS    15  /* of all walks together in one transaction */
#define SLOTS_STEP 500 /* leases looked at in one transaction */

static void scan_remove(struct rollout *r, size_t i)
{
    r->scans.at[i] = r->scans.at[--r->scans.n];
}

int offer_to(struct rollout *r, struct db *w, int64_t device_id, int64_t now_ms, struct sink *sink,
             struct err *e)
{
    struct party p;
    size_t sends = 0;
    if (sink->n == sink->cap || !presence_there(r->presence, device_id, now_ms))
        return 0;
    int rc = party_get_id(w, device_id, &p, e);
    if (rc == 0)
        rc = dispatch_device(r, w, &p, AGAIN_NOTHING, false, now_ms, &sink->out[sink->n], &sends, e);
    if (rc == 0)
        sink->n += sends;
    return rc;
}

int offer_changed(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, struct err *e)
{
    int rc = 0;
    while (rc == 0 && r->changed.n > 0 && sink->n < sink->cap) {
        int64_t id = r->changed.ids[--r->changed.n];
        struct party p;
        if (!presence_there(r->presence, id, now_ms))
            continue;
        rc = party_get_id(w, id, &p, e);
        if (rc == 0 && p.product_enabled && p.device_enabled)
            rc = execution_take_in(w, &p, now_ms, e);
        if (rc == 0)
            rc = offer_to(r, w, id, now_ms, sink, e);
    }
    return rc;
}

/* ---- slots: a lease ends when its device is silent */

static bool is_silent(const struct rollout *r, int64_t device_id, int64_t moved_ms, int64_t lease_ms,
                      int64_t now_ms)
{
    int64_t heard_ms = presence_last_seen(r->presence, device_id);
    int64_t since_ms = presence_listens_since(r->presence);
    if (heard_ms < moved_ms)
        heard_ms = moved_ms;
    if (heard_ms < since_ms)
        heard_ms = since_ms; /* before that nobody could be heard */
    return !presence_there(r->presence, device_id, now_ms) && heard_ms < now_ms - lease_ms;
}

static int end_lease(struct db *w, int64_t campaign_id, int64_t execution_id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_SILENT);
    bind_int(s, ":id", execution_id);
    bind_int(s, ":silent", 1);
    int rc = stmt_run(s, NULL, e);
    return rc < 0 ? rc : pace_silent(w, campaign_id, 1, e);
}

struct slot {
    int64_t id, device_id, moved_ms;
};

static int read_slots(struct db *w, const struct scan *scan, int state, struct slot out[SLOTS_STEP],
                      size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_SLOTS);
    bind_int(s, ":campaign_id", scan->campaign_id);
    bind_int(s, ":state", state);
    bind_int(s, ":after_id", scan->slots_at);
    bind_int(s, ":cap", SLOTS_STEP);
    int rc = 0;
    for (*n = 0; *n < SLOTS_STEP && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = (struct slot){col_int(s, 0), col_int(s, 1), col_int(s, 2)};
    return rc < 0 ? rc : 0;
}

/* Looks at those who hold the slots, while others wait for one; round after round, a stretch of each state a
 * second. */
static int look_at_slots(struct rollout *r, struct db *w, struct scan *scan, int64_t lease_ms, int64_t now_ms,
                         struct err *e)
{
    struct slot slots[SLOTS_STEP];
    int64_t furthest = 0;
    bool full = false;
    for (int state = EXECUTION_OFFERED; state <= EXECUTION_TESTING; state++) {
        size_t n;
        int rc = read_slots(w, scan, state, slots, &n, e);
        for (size_t i = 0; i < n && rc == 0; i++)
            if (is_silent(r, slots[i].device_id, slots[i].moved_ms, lease_ms, now_ms))
                rc = end_lease(w, scan->campaign_id, slots[i].id, e);
        if (rc < 0)
            return rc;
        if (n == SLOTS_STEP) {
            full = true;
            furthest = furthest && furthest < slots[n - 1].device_id ? furthest : slots[n - 1].device_id;
        }
    }
    scan->slots_at = full ? furthest : 0;
    return 0;
}

/* ---- the walk */

/* A power of two above every id: a walk in steps of the golden section, which is odd, comes by each of them
 * once. */
static uint64_t circle(const struct rollout *r)
{
    uint64_t n = 1;
    while (n < (uint64_t)presence_top(r->presence))
        n <<= 1;
    return n;
}

/* Where only some get an offer at a time, they are to lie all over the fleet. Where all get theirs at once,
 * their order is the store's: neighbours share its pages. */
static bool is_held_back(const struct policy *p)
{
    return p->rate_per_minute || p->max_in_flight;
}

static int64_t id_at(uint64_t at, uint64_t n, bool spread)
{
    return (int64_t)(spread ? at * 0x9e3779b97f4a7c15u & (n - 1) : at);
}

static int is_queued(struct db *w, int64_t campaign_id, int64_t device_id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_WAITS);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":device_id", device_id);
    return stmt_step(s, e);
}

/* Whether something is said no to that holds for all of the campaign's devices; first: what. */
static int ask_for_all(struct asking *all, enum question *first, struct err *e)
{
    struct answer no;
    all->has_pace = false; /* offers have been paid since */
    return ask_from(all, ASK_WINDOW, first, &no, e);
}

/* Until there is such a no, or the time is over. */
static int walk(struct rollout *r, struct db *w, struct scan *scan, struct asking *all, int64_t end_ms,
                struct sink *sink, bool *held, struct err *e)
{
    uint64_t n = circle(r);
    bool spread = is_held_back(all->policy);
    if (scan->left > n || scan->circle != n)
        scan->left = n; /* another circle has another order: what this one has passed is not known */
    scan->circle = n;
    for (unsigned i = 0; scan->left > 0 && sink->n < sink->cap; i++) {
        int64_t id = id_at(scan->at, n, spread);
        size_t before = sink->n;
        int rc = 0;
        if (i % WALK_IDS == WALK_IDS - 1 && clock_mono_ms() > end_ms)
            return 0;
        if (presence_there(r->presence, id, all->now_ms) && (rc = is_queued(w, scan->campaign_id, id, e)) > 0)
            rc = offer_to(r, w, id, all->now_ms, sink, e);
        if (rc < 0)
            return rc;
        scan->at = (scan->at + 1) & (n - 1);
        scan->left--;
        if (sink->n == before)
            continue;
        enum question first;
        rc = ask_for_all(all, &first, e);
        *held = rc == 0 && first < QUESTIONS;
        if (rc < 0 || *held)
            return rc;
    }
    return 0;
}

static int scan_one(struct rollout *r, struct db *w, struct scan *scan, int64_t now_ms, int64_t end_ms,
                    struct sink *sink, bool *again, struct err *e)
{
    struct campaign c;
    enum question first;
    bool held = false;
    int rc = campaign_get(w, scan->campaign_id, &c, e);
    if (rc < 0 || c.state != CAMPAIGN_RUNNING) {
        scan->left = 0;
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    }
    struct asking all = {.r = r, .db = w, .campaign_id = c.id, .policy = &c.policy, .now_ms = now_ms};
    rc = ask_for_all(&all, &first, e);
    if (rc == 0 && first == ASK_SLOTS) {
        rc = look_at_slots(r, w, scan, c.policy.lease_ms, now_ms, e);
        if (rc == 0)
            rc = ask_for_all(&all, &first, e);
    }
    if (rc < 0 || first < QUESTIONS)
        return rc; /* the next second asks again */
    rc = walk(r, w, scan, &all, end_ms, sink, &held, e);
    *again |= rc == 0 && scan->left > 0 && !held;
    return rc;
}

int scan_step(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again, struct err *e)
{
    int64_t end_ms = clock_mono_ms() + WALK_MS;
    size_t n = r->scans.n, first = n ? r->scans.turn++ % n : 0;
    int rc = 0;
    for (size_t k = 0; k < n && rc == 0 && sink->n < sink->cap; k++) {
        rc = scan_one(r, w, &r->scans.at[(first + k) % n], now_ms, end_ms, sink, again, e);
        if (clock_mono_ms() > end_ms) {
            *again |= k + 1 < n;
            break;
        }
    }
    for (size_t i = n; i-- > 0;)
        if (r->scans.at[i].left == 0)
            scan_remove(r, i);
    return rc;
}

/* Some quarter of an hour, counted from a minute, has begun. */
static bool quarter_began(int64_t from_min, int64_t before_ms, int64_t now_ms)
{
    const int64_t quarter_ms = 15LL * 60 * 1000, from_ms = from_min * 60000;
    return floor_div(now_ms - from_ms, quarter_ms) != floor_div(before_ms - from_ms, quarter_ms);
}

/* A window by a zone opens for all at once: scan_one waits for that. By devices' own zones it opens at the
 * same minute of the hour everywhere, but for whole quarters of an hour; or when the clock is changed into
 * it, which is done on the quarter. */
void scan_windows(struct rollout *r, const struct campaign *c, int64_t before_ms, int64_t now_ms)
{
    const struct window *w = &c->policy.window;
    if (w->given && window_by_device(w) &&
        (quarter_began(w->from_min, before_ms, now_ms) || quarter_began(0, before_ms, now_ms)))
        scan_campaign(r, c->id);
}
