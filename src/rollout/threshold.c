/* Invariant 7: what an end does to its campaign, in the transaction of that end. */
#include "rollout/threshold.h"

#include "rollout/pace.h"

#include <stdio.h>

#define FINISHED                                                                      \
    (1u << EXECUTION_SUCCEEDED | 1u << EXECUTION_FAILED | 1u << EXECUTION_TIMED_OUT | \
     1u << EXECUTION_REJECTED | 1u << EXECUTION_ROLLED_BACK)
/* Whose end says nothing of the firmware: they are taken out of the sum. */
#define WITHDRAWN (1u << EXECUTION_CANCELLED | 1u << EXECUTION_SUPERSEDED | 1u << EXECUTION_REMOVED)

/* Of the campaign's waves, not of what was over when it was made. */
struct sums {
    int64_t all[EXECUTION_STATES];
    int64_t wave[EXECUTION_STATES]; /* of one wave */
};

static int add_up(struct db *db, int64_t campaign_id, int wave, struct sums *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_WAVE_COUNTS);
    int rc;
    *out = (struct sums){0};
    bind_int(s, ":campaign_id", campaign_id);
    while ((rc = stmt_step(s, e)) > 0) {
        int64_t of = col_int(s, 0), state = col_int(s, 1), n = col_int(s, 2);
        if (of < 0 || state < 0 || state >= EXECUTION_STATES)
            continue;
        out->all[state] += n;
        out->wave[state] += of == wave ? n : 0;
    }
    return rc;
}

static int64_t sum(const int64_t counts[EXECUTION_STATES], unsigned states)
{
    int64_t n = 0;
    for (int state = 0; state < EXECUTION_STATES; state++)
        n += states & 1u << state ? counts[state] : 0;
    return n;
}

struct finding {
    bool stop;
    enum stop_action then;
    char why[CAMPAIGN_REASON_SIZE];
};

/* A rule is asked by an end that it is about, and by the one that makes its sample large enough: else the
 * first success after an operator has resumed the campaign would stop it again. */
static void ask_rules(const struct policy *p, const struct sums *sums, enum execution_state ended,
                      struct finding *out)
{
    int64_t finished = sum(sums->all, FINISHED);
    for (size_t i = 0; i < p->stop_count && !out->stop; i++) {
        const struct stop_rule *rule = &p->stop[i];
        int64_t bad = sum(sums->all, rule->on);
        bool asks = rule->on & 1u << ended || finished == rule->min_finished;
        if (!asks || finished < rule->min_finished || bad == 0 || bad * 100 < rule->pct * finished)
            continue;
        *out = (struct finding){.stop = true, .then = rule->then};
        int n = snprintf(out->why, sizeof out->why, "%lld of %lld finished devices ended", (long long)bad,
                         (long long)finished);
        for (int state = 0; state < EXECUTION_STATES; state++)
            if (rule->on & 1u << state && sums->all[state])
                n += snprintf(out->why + n, sizeof out->why - (size_t)n, " %s (%lld),",
                              execution_state_word((enum execution_state)state), (long long)sums->all[state]);
        snprintf(out->why + n, sizeof out->why - (size_t)n,
                 " which is %lld %%: the rule stops at %lld %% of %lld", (long long)(bad * 100 / finished),
                 (long long)rule->pct, (long long)rule->min_finished);
    }
}

static int64_t wave_needs(int64_t success_pct, int64_t devices)
{
    return (success_pct * devices + 99) / 100;
}

static void ask_wave(const struct policy *p, const struct sums *sums, int wave, int64_t success_pct,
                     struct finding *out)
{
    int64_t total = sum(sums->wave, ~WITHDRAWN), succeeded = sums->wave[EXECUTION_SUCCEEDED];
    int64_t left = total - sum(sums->wave, FINISHED), needs = wave_needs(success_pct, total);
    if (out->stop || succeeded + left >= needs)
        return;
    *out = (struct finding){.stop = true, .then = p->wave_failed};
    snprintf(out->why, sizeof out->why,
             "wave %d cannot reach %lld %% any more: %lld of %lld devices must succeed, %lld have, %lld "
             "failed and "
             "%lld are left",
             wave, (long long)success_pct, (long long)needs, (long long)total, (long long)succeeded,
             (long long)(total - succeeded - left), (long long)left);
}

/* 0 where the wave has none to meet, or is behind. */
static int current_success(struct db *db, int64_t campaign_id, int wave, int64_t *pct, struct err *e)
{
    struct pace pace;
    struct wave v = {0};
    int last, rc = pace_get(db, campaign_id, &pace, e);
    if (rc == 0 && pace.wave == wave)
        rc = wave_get(db, campaign_id, wave, &v, &last, e);
    *pct = v.success_pct;
    return rc;
}

static int stop(struct db *w, int64_t campaign_id, const struct finding *f, enum campaign_state *state,
                int64_t now_ms, struct err *e)
{
    struct campaign c;
    enum campaign_state to = f->then == STOP_CANCEL ? CAMPAIGN_CANCELLED : CAMPAIGN_PAUSED;
    struct campaign_change change = {.cause = "threshold", .reason = f->why};
    if (!f->stop)
        return 0;
    int rc = campaign_get(w, campaign_id, &c, e);
    if (rc < 0)
        return rc;
    *state = c.state;
    if (c.state != CAMPAIGN_RUNNING)
        return 0; /* something before this in the same transaction has stopped it */
    rc = campaign_move(w, &c, to, &change, now_ms, e);
    if (rc == 0)
        *state = to;
    return rc;
}

int threshold_check(struct db *w, int64_t campaign_id, int wave, enum execution_state state,
                    const struct policy *policy, enum campaign_state *campaign_state, int64_t now_ms,
                    struct err *e)
{
    struct finding found = {0};
    struct sums sums;
    int64_t success_pct = 0;
    bool finished = FINISHED & 1u << state; /* else withdrawn, which says nothing of the firmware */
    if (wave < 0 || *campaign_state != CAMPAIGN_RUNNING)
        return 0;
    int rc = state == EXECUTION_SUCCEEDED ? 0 : current_success(w, campaign_id, wave, &success_pct, e);
    if (rc < 0 || (!success_pct && !(finished && policy->stop_count)))
        return rc;
    rc = add_up(w, campaign_id, wave, &sums, e);
    if (rc < 0)
        return rc;
    if (finished)
        ask_rules(policy, &sums, state, &found);
    ask_wave(policy, &sums, wave, success_pct, &found);
    return stop(w, campaign_id, &found, campaign_state, now_ms, e);
}

int threshold_withdrawn(struct db *w, int64_t campaign_id, int wave, enum execution_state to, int64_t now_ms,
                        struct err *e)
{
    struct campaign c;
    int rc = campaign_get(w, campaign_id, &c, e);
    return rc < 0 ? rc : threshold_check(w, campaign_id, wave, to, &c.policy, &c.state, now_ms, e);
}

/* The campaign may have been resumed after this was said of it once. */
int wave_ended(struct db *w, int64_t campaign_id, int wave, int64_t success_pct, int64_t now_ms,
               struct err *e)
{
    struct finding found = {0};
    struct campaign c;
    struct sums sums;
    int rc = add_up(w, campaign_id, wave, &sums, e);
    if (rc < 0 || sum(sums.wave, ~(FINISHED | WITHDRAWN)) > 0)
        return rc;
    rc = campaign_get(w, campaign_id, &c, e);
    if (rc < 0)
        return rc;
    ask_wave(&c.policy, &sums, wave, success_pct, &found);
    return stop(w, campaign_id, &found, &c.state, now_ms, e);
}

int wave_success(struct db *db, int64_t campaign_id, int wave, int64_t success_pct, bool *met, struct err *e)
{
    struct sums sums;
    int rc = add_up(db, campaign_id, wave, &sums, e);
    if (rc == 0)
        *met = sums.wave[EXECUTION_SUCCEEDED] >= wave_needs(success_pct, sum(sums.wave, ~WITHDRAWN));
    return rc;
}
