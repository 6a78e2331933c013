#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool put_visitor(struct sessions *s, struct visitor *v)
{
    char thing[WHO_SIZE];
    snprintf(thing, sizeof thing, "/%s", v->names.device);
    if (!table_put(&s->by_who, v->who, v))
        return false;
    if (!v->thing || table_put(&s->by_who, thing, v))
        return true;
    table_remove(&s->by_who, v->who);
    return false;
}

static struct visitor *visitor_find_or_make(struct sessions *s, const struct arrival *a)
{
    char who[WHO_SIZE];
    snprintf(who, sizeof who, "%s/%s", a->names.product, a->names.device);
    struct visitor *v = table_get(&s->by_who, who);
    if (v)
        return v;
    v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->names = a->names;
    v->thing = a->protocol->login.certificate;
    memcpy(v->who, who, sizeof v->who);
    if (!put_visitor(s, v)) {
        free(v);
        return NULL;
    }
    return v;
}

static void leave(struct sessions *s, struct visitor *v)
{
    char thing[WHO_SIZE];
    if (v->sessions > 0)
        return;
    snprintf(thing, sizeof thing, "/%s", v->names.device);
    table_remove(&s->by_who, v->who);
    if (v->thing && table_get(&s->by_who, thing) == v)
        table_remove(&s->by_who, thing);
    free(v);
}

/* Another connection in the place of one that is still there; the broker hands its subscriptions on. */
static struct session *take_place(struct session *old, const struct arrival *a)
{
    const struct login_claim *names = &old->visitor->names;
    if (strcmp(names->product, a->names.product) != 0 || strcmp(names->device, a->names.device) != 0)
        return NULL;
    old->client = a->client;
    old->protocol = a->protocol;
    old->ready = false;
    if (a->clean) {
        subscriptions_free(&old->subs);
        old->unsure = false;
    }
    return old;
}

static void link_in(struct session *new, struct visitor *v)
{
    new->visitor = v;
    new->next = v->first;
    v->first = new;
    v->sessions++;
}

struct session *sessions_begin(struct sessions *s, const struct arrival *a)
{
    struct session *old = table_get(&s->by_client_id, a->client_id);
    if (old)
        return take_place(old, a);
    struct visitor *v = visitor_find_or_make(s, a);
    if (!v)
        return NULL;
    struct session *new = calloc(1, sizeof *new);
    if (!new || !str_copy(new->client_id, sizeof new->client_id, a->client_id) ||
        !table_put(&s->by_client_id, a->client_id, new)) {
        free(new);
        leave(s, v);
        return NULL;
    }
    new->client = a->client;
    new->protocol = a->protocol;
    bool known = sleepers_wake(&s->sleepers, a->client_id, v->who, &new->subs);
    new->unsure = !a->clean && !known;
    if (a->clean)
        subscriptions_free(&new->subs);
    link_in(new, v);
    return new;
}

const struct session *sessions_squatter(const struct sessions *s, const struct arrival *a)
{
    const struct session *holder = table_get(&s->by_client_id, a->client_id);
    return holder && strcmp(a->client_id, a->names.device) == 0 &&
                   strcmp(a->client_id, holder->visitor->names.device) != 0
               ? holder
               : NULL;
}

struct session *sessions_find(const struct sessions *s, const void *client, const char *client_id)
{
    struct session *found = table_get(&s->by_client_id, client_id);
    return found && found->client == client ? found : NULL;
}

const struct visitor *sessions_visitor(const struct sessions *s, const char *who)
{
    return table_get(&s->by_who, who);
}

void sessions_end(struct sessions *s, struct session *old, bool keep)
{
    struct visitor *v = old->visitor;
    struct session **at = &v->first;
    while (*at != old)
        at = &(*at)->next;
    *at = old->next;
    v->sessions--;
    table_remove(&s->by_client_id, old->client_id);
    if (keep && !old->unsure)
        sleepers_keep(&s->sleepers, old->client_id, v->who, &old->subs);
    subscriptions_free(&old->subs);
    free(old);
    leave(s, v);
}

/* A thing stands in by_who twice, so visitors are found by their sessions. */
void sessions_free(struct sessions *s)
{
    struct session *left;
    for (size_t at = 0; (left = table_next(&s->by_client_id, &at));) {
        if (--left->visitor->sessions == 0)
            free(left->visitor);
        subscriptions_free(&left->subs);
        free(left);
    }
    sleepers_free(&s->sleepers);
    table_free(&s->by_client_id);
    table_free(&s->by_who);
}
