#include "presence.h"

#include "base/json.h"
#include "model/delivery.h"

#include <stdlib.h>
#include <string.h>

static void tell(const struct login_claim *names, unsigned sessions, const char *event, bool asks)
{
    json_t *message = json_object();
    json_put_text(message, "product", names->product);
    json_put_text(message, "device", names->device);
    json_put_int(message, "sessions", sessions);
    json_put_text(message, "event", event);
    if (asks)
        json_put_bool(message, "asks", true);
    char *text = json_text(message);
    json_decref(message);
    plugin_send(OTAD, PRESENCE_TOPIC, text, strlen(text), 1);
    free(text);
}

void presence_tell(const struct plugin *p, const struct login_claim *names, unsigned sessions,
                   const char *event)
{
    if (p->otad)
        tell(names, sessions, event, false);
}

void presence_tell_login(const struct plugin *p, const struct session *s)
{
    if (p->otad)
        tell(&s->visitor->names, s->visitor->sessions, "login", s->protocol->login.asks);
}

void presence_tell_all(const struct plugin *p)
{
    const struct session *s;
    for (size_t at = 0; (s = table_next(&p->sessions.by_client_id, &at));) {
        const struct visitor *v = s->visitor;
        presence_tell_login(p, s);
        if (s->ready)
            presence_tell(p, &v->names, v->sessions, "ready");
    }
}
