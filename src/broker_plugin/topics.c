#include "topics.h"

#include "base/clock.h"
#include "presence.h"

#include <string.h>

/* Blocks that are asked for beyond all measure are not given: that is less than a message that is lost. */
static bool is_too_fast(struct plugin *p, struct session *s, const char *topic)
{
    const char *const *blocks = s->protocol->topics.blocks;
    const struct login_claim *names = &s->visitor->names;
    if (!blocks || !topic_fits(blocks, topic, names->product, names->device) ||
        pace_allows(&s->blocks, clock_mono_ms()))
        return false;
    plugin_complain(p, "%s asks for blocks of files faster than %d a second", s->visitor->who,
                    PACE_PER_MS * 1000);
    return true;
}

static bool may_publish(struct plugin *p, struct session *s, const struct mosquitto_evt_acl_check *wish)
{
    const struct login_claim *names = &s->visitor->names;
    return !wish->retain && wish->payloadlen <= PAYLOAD_MAX &&
           topic_fits(s->protocol->topics.publish, wish->topic, names->product, names->device) &&
           !is_too_fast(p, s, wish->topic);
}

static bool may_subscribe(struct plugin *p, struct session *s, const struct mosquitto_evt_acl_check *wish)
{
    const struct login_claim *names = &s->visitor->names;
    const struct topic_rules *rules = &s->protocol->topics;
    if (!topic_fits(rules->subscribe, wish->topic, names->product, names->device) ||
        !subscriptions_add(&s->subs, wish->topic, wish->qos))
        return false;
    s->unsure = false;
    if (topic_brings(wish->topic, rules->offers, names->product, names->device)) {
        s->ready = true;
        presence_tell(p, names, s->visitor->sessions, "ready");
    }
    return true;
}

/* What otad says is handed to each session, and the broker does not ask about that. So nobody needs to hear
 * what comes by a subscription: it is what devices say, and some have their answers on the topic they ask on.
 */
bool topics_may(struct plugin *p, const struct mosquitto_evt_acl_check *wish)
{
    const char *client_id = mosquitto_client_id(wish->client);
    if (client_id && strcmp(client_id, OTAD) == 0)
        return true;
    struct session *s = client_id ? sessions_find(&p->sessions, wish->client, client_id) : NULL;
    if (!s)
        return false;
    switch (wish->access) {
    case MOSQ_ACL_WRITE:
        return may_publish(p, s, wish);
    case MOSQ_ACL_SUBSCRIBE:
        return may_subscribe(p, s, wish);
    case MOSQ_ACL_UNSUBSCRIBE:
        subscriptions_remove(&s->subs, wish->topic);
        return true;
    default:
        return false;
    }
}
