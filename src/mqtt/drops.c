#include "drops.h"

#include "base/log.h"
#include "base/str.h"
#include "model/board.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What grows without end is said once a minute, with all that has come since. */
static void say(struct drops *d, int64_t now_ms)
{
    if (d->value == d->said || (d->said_ms && now_ms - d->said_ms < DROPS_SAID_MS))
        return;
    log_warn("the broker has dropped %" PRId64 " messages, %" PRId64
             " since its start: a queue was full, and what a device said at QoS 1 was acknowledged to it",
             d->value - d->said, d->value);
    d->said = d->value;
    d->said_ms = now_ms;
}

bool drops_take(struct drops *d, const void *payload, size_t len, int64_t now_ms)
{
    char text[24];
    uint64_t value;
    if (len >= sizeof text)
        return false;
    memcpy(text, payload, len);
    text[len] = '\0';
    if (!str_to_uint(text, INT64_MAX, &value))
        return false;
    bool changed = (int64_t)value != d->value;
    d->value = (int64_t)value;
    if (d->value < d->said) /* another broker, or the same one started again */
        d->said = 0;
    board_put(BOARD_MQTT_DROPPED, d->value);
    say(d, now_ms);
    return changed;
}

void drops_text(const struct drops *d, char *out, size_t size)
{
    if (d->value == 0)
        snprintf(out, size, "ok");
    else
        snprintf(out, size, "it has dropped %" PRId64 " messages since its start", d->value);
}

void drops_close(struct drops *d, bool foreign)
{
    d->unwanted = d->unwanted || (foreign && d->asked && !d->answered);
    d->asked = d->answered = false;
}
