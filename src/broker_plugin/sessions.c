#include "sessions.h"

#include <stdlib.h>
#include <string.h>

static struct visitor *visitor_find_or_make(struct sessions *s, const char *who)
{
    struct visitor *v = table_get(&s->by_who, who);
    if (v)
        return v;
    v = calloc(1, sizeof *v);
    if (!v || !str_copy(v->who, sizeof v->who, who) || !table_put(&s->by_who, who, v)) {
        free(v);
        return NULL;
    }
    return v;
}

static void leave(struct sessions *s, struct visitor *v)
{
    if (v->sessions > 0)
        return;
    table_remove(&s->by_who, v->who);
    free(v);
}

const struct session *sessions_begin(struct sessions *s, const void *client, const char *client_id,
                                     const char *who)
{
    struct session *old = table_get(&s->by_client_id, client_id);
    if (old) {
        if (strcmp(old->visitor->who, who) != 0)
            return NULL;
        old->client = client;
        old->ready = false;
        return old;
    }
    struct visitor *v = visitor_find_or_make(s, who);
    if (!v)
        return NULL;
    struct session *new = calloc(1, sizeof *new);
    if (!new || !str_copy(new->client_id, sizeof new->client_id, client_id) ||
        !table_put(&s->by_client_id, client_id, new)) {
        free(new);
        leave(s, v);
        return NULL;
    }
    new->client = client;
    new->visitor = v;
    v->sessions++;
    return new;
}

struct session *sessions_find(const struct sessions *s, const void *client, const char *client_id)
{
    struct session *found = table_get(&s->by_client_id, client_id);
    return found && found->client == client ? found : NULL;
}

bool sessions_end(struct sessions *s, const void *client, const char *client_id, char who[WHO_SIZE],
                  unsigned *left)
{
    struct session *old = sessions_find(s, client, client_id);
    if (!old)
        return false;
    struct visitor *v = old->visitor;
    table_remove(&s->by_client_id, client_id);
    free(old);
    v->sessions--;
    str_copy(who, WHO_SIZE, v->who);
    *left = v->sessions;
    leave(s, v);
    return true;
}

void sessions_free(struct sessions *s)
{
    void *value;
    for (size_t at = 0; (value = table_next(&s->by_client_id, &at));)
        free(value);
    for (size_t at = 0; (value = table_next(&s->by_who, &at));)
        free(value);
    table_free(&s->by_client_id);
    table_free(&s->by_who);
}
