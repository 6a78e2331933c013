#include "sleepers.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct sleeper {
    struct sleeper *older, *newer;
    struct subscriptions subs;
    char who[PRODUCT_SIZE + DEVICE_SIZE];
    char client_id[];
};

static void forget(struct sleepers *s, struct sleeper *old)
{
    *(old->older ? &old->older->newer : &s->oldest) = old->newer;
    *(old->newer ? &old->newer->older : &s->newest) = old->older;
    table_remove(&s->by_client_id, old->client_id);
    subscriptions_free(&old->subs);
    free(old);
}

static struct sleeper *make(const char *client_id, const char *who, const struct subscriptions *subs)
{
    size_t n = strlen(client_id) + 1;
    struct sleeper *new = calloc(1, sizeof *new + n);
    if (!new)
        return NULL;
    memcpy(new->client_id, client_id, n);
    str_copy(new->who, sizeof new->who, who);
    new->subs = *subs;
    return new;
}

void sleepers_keep(struct sleepers *s, const char *client_id, const char *who, struct subscriptions *subs)
{
    struct sleeper *old = table_get(&s->by_client_id, client_id);
    if (old || s->by_client_id.used >= SLEEPERS_MAX)
        forget(s, old ? old : s->oldest);
    struct sleeper *new = make(client_id, who, subs);
    if (!new || !table_put(&s->by_client_id, client_id, new)) {
        free(new);
        subscriptions_free(subs);
        return;
    }
    *subs = (struct subscriptions){0};
    new->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = new;
    s->newest = new;
}

bool sleepers_wake(struct sleepers *s, const char *client_id, const char *who, struct subscriptions *out)
{
    struct sleeper *old = table_get(&s->by_client_id, client_id);
    bool same = old && strcmp(old->who, who) == 0;
    if (same) {
        *out = old->subs;
        old->subs = (struct subscriptions){0};
    }
    if (old)
        forget(s, old);
    return same;
}

void sleepers_free(struct sleepers *s)
{
    while (s->oldest)
        forget(s, s->oldest);
    table_free(&s->by_client_id);
}
