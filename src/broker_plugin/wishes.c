#include "wishes.h"

#include "base/json.h"
#include "logins.h"
#include "model/delivery.h"
#include "presence.h"

#include <string.h>

static void deliver_to(const struct session *s, const struct delivery *d)
{
    int granted = subscriptions_granted(&s->subs, d->topic);
    if (granted < 0 && d->only_subscribed && !s->unsure)
        return;
    int qos = granted < 0 ? 0 : granted < d->qos ? granted : d->qos;
    plugin_send(s->client_id, d->topic, d->payload, d->len, qos);
}

/* The broker does not ask whether a session may hear what is handed to it, so it is judged here. */
static void deliver(struct plugin *p, const struct delivery *d)
{
    const struct visitor *v = sessions_visitor(&p->sessions, d->who);
    for (const struct session *s = v ? v->first : NULL; s; s = s->next) {
        if (topic_fits(s->protocol->topics.hear, d->topic, v->names.product, v->names.device))
            deliver_to(s, d);
        else
            plugin_complain(p, "%s may not hear %s", v->who, d->topic);
    }
}

static const char *text_of(const json_t *body, const char *key)
{
    const char *text = json_string_value(json_object_get(body, key));
    return text ? text : "";
}

static void take_json(struct plugin *p, const void *payload, size_t len)
{
    struct err e;
    json_t *body = NULL;
    if (json_parse(payload, len, &body, &e) < 0) {
        plugin_complain(p, "a wish that was not understood: %s", e.text);
        return;
    }
    const char *op = text_of(body, "op");
    if (strcmp(op, "presence") == 0) {
        p->served = true; /* it comes behind otad's subscriptions */
        presence_tell_all(p);
    } else if (strcmp(op, "kick") == 0) {
        logins_kick(p, text_of(body, "product"), text_of(body, "device"));
    }
    json_decref(body);
}

void wishes_take(struct plugin *p, const void *payload, size_t len)
{
    struct delivery d;
    if (delivery_parse(payload, len, &d))
        deliver(p, &d);
    else
        take_json(p, payload, len);
}
