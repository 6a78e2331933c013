#include "protocol/protocol.h"

#include "protocol/native.h"

#include <stdlib.h>
#include <string.h>

static const struct protocol *const table[] = {&native_protocol, NULL};

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

void message_clear(struct message *m)
{
    free(m->payload);
    m->payload = NULL;
    m->len = 0;
}
