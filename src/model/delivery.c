#include "model/delivery.h"

#include <stdio.h>
#include <string.h>

size_t delivery_head(const struct delivery *d, char out[DELIVERY_HEAD_SIZE])
{
    int n = snprintf(out, DELIVERY_HEAD_SIZE, "D%d%c %s %s\n", d->qos ? 1 : 0, d->only_subscribed ? '?' : '!',
                     d->who, d->topic);
    return n > 0 && n < DELIVERY_HEAD_SIZE ? (size_t)n : 0;
}

/* Copies what stands before end; the place behind it, or NULL when it is not there, empty or too long. */
static const char *take(const char *at, const char *limit, char end, char *out, size_t size)
{
    const char *stop = memchr(at, end, (size_t)(limit - at));
    size_t n = stop ? (size_t)(stop - at) : 0;
    if (n == 0 || n >= size || memchr(at, '\0', n))
        return NULL;
    memcpy(out, at, n);
    out[n] = '\0';
    return stop + 1;
}

bool delivery_parse(const void *bytes, size_t len, struct delivery *d)
{
    const char *at = bytes, *limit = at + len;
    if (len < 4 || at[0] != 'D' || (at[1] != '0' && at[1] != '1') || (at[2] != '!' && at[2] != '?') ||
        at[3] != ' ')
        return false;
    d->qos = at[1] - '0';
    d->only_subscribed = at[2] == '?';
    at = take(at + 4, limit, ' ', d->who, sizeof d->who);
    at = at ? take(at, limit, '\n', d->topic, sizeof d->topic) : NULL;
    if (!at)
        return false;
    d->payload = at;
    d->len = (size_t)(limit - at);
    return true;
}
