#include "rules.h"

#include <string.h>

bool rules_split(const char *username, char product[PRODUCT_SIZE], char device[DEVICE_SIZE])
{
    const char *slash = strchr(username, '/');
    if (!slash || slash - username >= PRODUCT_SIZE || strchr(slash + 1, '/'))
        return false;
    memcpy(product, username, (size_t)(slash - username));
    product[slash - username] = '\0';
    return str_is_name(product, PRODUCT_SIZE) && str_is_name(slash + 1, DEVICE_SIZE) &&
           str_copy(device, DEVICE_SIZE, slash + 1);
}

/* What follows "ota/{who}/", or NULL. */
static const char *below(const char *who, const char *topic)
{
    size_t n = strlen(who);
    if (strncmp(topic, "ota/", 4) != 0 || strncmp(topic + 4, who, n) != 0 || topic[4 + n] != '/')
        return NULL;
    return topic + 4 + n + 1;
}

static bool is_one_of(const char *word, const char *const words[])
{
    while (*words && word && strcmp(*words, word) != 0)
        words++;
    return word && *words;
}

bool rules_may_publish(const char *who, const char *topic, bool retain, uint32_t len)
{
    static const char *const reports[] = {"inform", "progress", "request", NULL};
    return !retain && len <= PAYLOAD_MAX && is_one_of(below(who, topic), reports);
}

bool rules_may_hear(const char *who, const char *topic)
{
    static const char *const heard[] = {"offer", NULL};
    return is_one_of(below(who, topic), heard);
}

bool rules_may_subscribe(const char *who, const char *filter)
{
    return below(who, filter) != NULL;
}

bool rules_is_offer(const char *who, const char *filter)
{
    static const char *const filters[] = {"offer", "+", "#", "offer/#", "+/#", NULL};
    return is_one_of(below(who, filter), filters);
}
