#include "subscriptions.h"

#include "protocol/topic.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 4

static struct subscription *find(const struct subscriptions *s, const char *filter)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->at[i].filter, filter) == 0)
            return &s->at[i];
    return NULL;
}

static bool make_room(struct subscriptions *s)
{
    size_t cap = s->cap ? s->cap * 2 : ROOM_MIN;
    struct subscription *at = reallocarray(s->at, cap, sizeof *at);
    if (!at)
        return false;
    s->at = at;
    s->cap = cap;
    return true;
}

bool subscriptions_add(struct subscriptions *s, const char *filter, int qos)
{
    struct subscription *old = find(s, filter);
    if (old) {
        old->qos = qos;
        return true;
    }
    if (strlen(filter) >= TOPIC_SIZE)
        return true;
    if (s->n == SUBSCRIPTIONS_MAX || (s->n == s->cap && !make_room(s)))
        return false;
    char *copy = strdup(filter);
    if (!copy)
        return false;
    s->at[s->n].filter = copy;
    s->at[s->n++].qos = qos;
    return true;
}

void subscriptions_remove(struct subscriptions *s, const char *filter)
{
    struct subscription *old = find(s, filter);
    if (!old)
        return;
    free(old->filter);
    *old = s->at[--s->n];
}

int subscriptions_granted(const struct subscriptions *s, const char *topic)
{
    int best = -1;
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].qos > best && topic_matches(s->at[i].filter, topic))
            best = s->at[i].qos;
    return best;
}

void subscriptions_free(struct subscriptions *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->at[i].filter);
    free(s->at);
    *s = (struct subscriptions){0};
}
