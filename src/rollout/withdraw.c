/* Executions that wait are taken back in stretches: all that this does to one of them is the same for all,
 * and no device need know. It is what execution_move would do to each, for a tenth of the statements. */
#include "rollout/execution.h"
#include "rollout/threshold.h"

#include <stdio.h>

static int tell(struct db *w, const char *ids, enum execution_state to, const char *detail, int64_t now_ms,
                struct err *e)
{
    char pending[DETAIL_SIZE + 64], queued[DETAIL_SIZE + 64];
    const char *word = execution_state_word(to), *colon = *detail ? ": " : "";
    snprintf(pending, sizeof pending, "%s -> %s%s%s", execution_state_word(EXECUTION_PENDING), word, colon,
             detail);
    snprintf(queued, sizeof queued, "%s -> %s%s%s", execution_state_word(EXECUTION_QUEUED), word, colon,
             detail);
    struct stmt *s = db_stmt(w, Q_EXECUTION_WITHDRAW_TELL);
    bind_text(s, ":ids", ids);
    bind_text(s, ":pending", pending);
    bind_text(s, ":queued", queued);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

static bool count_alike(const struct waiting *a, const struct waiting *b)
{
    return a->campaign_id == b->campaign_id && a->wave == b->wave && a->state == b->state;
}

/* Those that stand one after the other are mostly alike. */
static int count(struct db *w, const struct waiting list[], size_t n, enum execution_state to, int64_t now_ms,
                 struct err *e)
{
    int rc = 0;
    for (size_t first = 0, i = 0; i < n && rc == 0; first = i) {
        while (i < n && count_alike(&list[first], &list[i]))
            i++;
        const struct waiting *x = &list[first];
        int64_t many = (int64_t)(i - first);
        rc = wave_count_add(w, x->campaign_id, x->wave, x->state, -many, e);
        if (rc == 0)
            rc = wave_count_add(w, x->campaign_id, x->wave, to, many, e);
        if (rc == 0)
            rc = threshold_withdrawn(w, x->campaign_id, x->wave, to, now_ms, e);
    }
    return rc;
}

static int withdraw(struct db *w, const char *ids, enum execution_state to, const char *detail,
                    int64_t now_ms, struct err *e)
{
    int rc = tell(w, ids, to, detail, now_ms, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(w, Q_EXECUTION_WITHDRAW);
    bind_text(s, ":ids", ids);
    bind_int(s, ":to", to);
    bind_text(s, ":detail", detail);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int execution_withdraw(struct db *w, const struct waiting list[], size_t n, enum execution_state to,
                       const char *detail, int64_t now_ms, struct err *e)
{
    char text[ID_LIST_SIZE(EXECUTION_PORTION)];
    int64_t ids[EXECUTION_PORTION];
    int rc = 0;
    for (size_t done = 0; done < n && rc == 0; done += EXECUTION_PORTION) {
        size_t portion = n - done < EXECUTION_PORTION ? n - done : EXECUTION_PORTION;
        for (size_t i = 0; i < portion; i++)
            ids[i] = list[done + i].id;
        id_list(text, ids, portion);
        rc = count(w, list + done, portion, to, now_ms, e);
        if (rc == 0)
            rc = withdraw(w, text, to, detail, now_ms, e);
    }
    return rc;
}

void id_list(char out[], const int64_t ids[], size_t n)
{
    char *at = out;
    *at++ = '[';
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, i ? ",%lld" : "%lld", (long long)ids[i]);
    *at++ = ']';
    *at = '\0';
}
