#include "protocol/protocol.h"

#include "protocol/aliyun.h"
#include "protocol/aws.h"
#include "protocol/native.h"
#include "protocol/onenet.h"

#include <stdlib.h>
#include <string.h>

static const struct protocol *const table[] = {&aws_protocol, &aliyun_protocol, &native_protocol,
                                               &onenet_protocol, NULL};

const struct protocol *protocol_at(size_t i)
{
    return i < ARRAY_SIZE(table) ? table[i] : NULL;
}

const struct protocol *protocol_by_name(const char *name)
{
    for (size_t i = 0; table[i]; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

const struct protocol *protocol_by_topic(const char *topic)
{
    for (size_t i = 0; table[i]; i++)
        for (const char *const *filter = table[i]->filters; *filter; filter++)
            if (topic_matches(*filter, topic))
                return table[i];
    return NULL;
}

/* The first shape that fits: a certificate's is asked for first, since it is proven already; OneNET's, a
 * product's key as the whole user name, last. */
const struct protocol *protocol_by_login(const struct login *login, struct login_claim *out)
{
    for (size_t i = 0; table[i]; i++) {
        struct login_claim claim = {0};
        if (table[i]->login.claim(login, &claim)) {
            *out = claim;
            return table[i];
        }
    }
    return NULL;
}

int message_address(const char *pattern, const char *product, const char *device, struct message *out,
                    struct err *e)
{
    return topic_spell(pattern, product, device, out->topic)
               ? 0
               : err_set(e, ERR_INTERNAL, "a topic of %s/%s is too long", product, device);
}

void message_json(struct message *m, json_t *body)
{
    m->payload = json_text(body);
    m->len = strlen(m->payload);
    json_decref(body);
}

void message_clear(struct message *m)
{
    free(m->payload);
    m->payload = NULL;
    m->len = 0;
}
