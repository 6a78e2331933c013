#include "store/token_use.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000

struct use {
    int64_t id;
    int64_t used_at_ms, written_at_ms, refused_at_ms;
};

struct token_uses {
    pthread_mutex_t lock;
    struct use *by_id; /* sorted; as many as there are tokens in use */
    size_t n, cap;
};

struct token_uses *token_uses_open(void)
{
    struct token_uses *uses = calloc(1, sizeof *uses);

    if (!uses)
        abort();
    pthread_mutex_init(&uses->lock, NULL);
    return uses;
}

void token_uses_close(struct token_uses *uses)
{
    if (!uses)
        return;
    pthread_mutex_destroy(&uses->lock);
    free(uses->by_id);
    free(uses);
}

/* Where id stands, or would. */
static size_t place(const struct token_uses *uses, int64_t id)
{
    size_t low = 0, high = uses->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (uses->by_id[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct use *insert(struct token_uses *uses, size_t at, int64_t id)
{
    if (uses->n == uses->cap) {
        uses->cap = uses->cap ? 2 * uses->cap : 16;
        uses->by_id = reallocarray(uses->by_id, uses->cap, sizeof *uses->by_id);
        if (!uses->by_id)
            abort();
    }
    memmove(&uses->by_id[at + 1], &uses->by_id[at], (uses->n - at) * sizeof *uses->by_id);
    uses->by_id[at] = (struct use){.id = id};
    uses->n++;
    return &uses->by_id[at];
}

static struct use *find(struct token_uses *uses, int64_t id)
{
    size_t at = place(uses, id);

    return at < uses->n && uses->by_id[at].id == id ? &uses->by_id[at] : insert(uses, at, id);
}

void token_use(struct token_uses *uses, int64_t id, int64_t now_ms)
{
    struct use *use;

    pthread_mutex_lock(&uses->lock);
    use = find(uses, id);
    if (use->used_at_ms < now_ms)
        use->used_at_ms = now_ms;
    pthread_mutex_unlock(&uses->lock);
}

int64_t token_used_at(struct token_uses *uses, int64_t id)
{
    int64_t at_ms = 0;
    size_t at;

    pthread_mutex_lock(&uses->lock);
    at = place(uses, id);
    if (at < uses->n && uses->by_id[at].id == id)
        at_ms = uses->by_id[at].used_at_ms;
    pthread_mutex_unlock(&uses->lock);
    return at_ms;
}

bool token_use_refused(struct token_uses *uses, int64_t id, int64_t now_ms)
{
    struct use *use;
    bool first;

    pthread_mutex_lock(&uses->lock);
    use = find(uses, id);
    /* a clock that was set back begins a minute of its own */
    first = !use->refused_at_ms || now_ms - use->refused_at_ms >= MINUTE_MS || now_ms < use->refused_at_ms;
    if (first)
        use->refused_at_ms = now_ms;
    pthread_mutex_unlock(&uses->lock);
    return first;
}

/* The next from `at` on that is to be written, as a copy: the lock is not held while the store writes. */
static bool take(struct token_uses *uses, size_t *at, struct use *out)
{
    bool found = false;

    pthread_mutex_lock(&uses->lock);
    for (; !found && *at < uses->n; (*at)++) {
        *out = uses->by_id[*at];
        found = out->used_at_ms > out->written_at_ms;
        if (found)
            uses->by_id[*at].written_at_ms = out->used_at_ms;
    }
    pthread_mutex_unlock(&uses->lock);
    return found;
}

int token_uses_flush(struct token_uses *uses, struct db *w, size_t cap, bool *more, struct err *e)
{
    struct use use;
    size_t at = 0, n = 0;
    int rc = 0;

    while (rc == 0 && n < cap && take(uses, &at, &use)) {
        struct stmt *s = db_stmt(w, Q_TOKEN_USED);

        bind_int(s, ":id", use.id);
        bind_int(s, ":at_ms", use.used_at_ms);
        rc = stmt_run(s, NULL, e);
        n++;
    }
    *more = rc == 0 && n == cap;
    return rc;
}
