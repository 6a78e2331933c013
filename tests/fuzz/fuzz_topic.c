/* Two lines: a topic that a device names, and a filter that it subscribes to. No device gets at what is
 * another's, whatever it writes; and a filter brings what it matches. */
#include "fuzz.h"

#include "protocol/protocol.h"

#include <stdio.h>

/* Levels put together are the name again. */
static void check_levels(const char *name)
{
    char level[TOPIC_SIZE], *whole = calloc(strlen(name) + 2, 1), *end = whole;
    size_t n = topic_levels(name);
    bool all = true;
    assert(whole);
    for (size_t i = 0; i < n && all; i++) {
        all = topic_level(name, i, level, sizeof level);
        if (all)
            end += sprintf(end, "%s%s", i ? "/" : "", level);
    }
    assert(!all || strcmp(whole, name) == 0);
    assert(!topic_level(name, n, level, sizeof level));
    free(whole);
}

/* MQTT 4.7: a wildcard is a level of its own, and "#" the last. */
static bool well_formed(const char *filter)
{
    for (const char *p = filter; *p; p++) {
        bool begins = p == filter || p[-1] == '/';
        if (*p == '+' && !(begins && (!p[1] || p[1] == '/')))
            return false;
        if (*p == '#' && !(begins && !p[1]))
            return false;
    }
    return *filter;
}

static bool names(const char *name, const char *device)
{
    char level[DEVICE_SIZE];
    for (size_t i = 0; i < topic_levels(name); i++)
        if (topic_level(name, i, level, sizeof level) && strcmp(level, device) == 0)
            return true;
    return false;
}

static void check_rules(const struct topic_rules *rules, const char *name, const char *filter)
{
    static const char *const devices[] = {"kitchen", "cellar"};
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        const char *device = devices[i], *other = devices[1 - i];
        if (topic_fits(rules->publish, name, "thermo", device))
            assert(names(name, device) || topic_fits(rules->publish, name, "thermo", other));
        if (topic_fits(rules->subscribe, filter, "thermo", device) && well_formed(filter))
            for (const char *const *offer = rules->offers; *offer; offer++) {
                char topic[TOPIC_SIZE];
                assert(topic_spell(*offer, "thermo", other, topic));
                assert(!topic_matches(filter, topic));
            }
        if (well_formed(filter) && topic_brings(filter, rules->offers, "thermo", device))
            assert(topic_levels(filter) > 1 || *filter == '#');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(&data, &size, '\n'), *filter = fuzz_text(&data, &size, '\n');
    check_levels(name);
    check_levels(filter);
    if (well_formed(filter)) {
        assert(!strpbrk(filter, "+#") == !strpbrk(filter, "#+"));
        if (!strpbrk(filter, "+#"))
            assert(topic_matches(filter, name) == (strcmp(filter, name) == 0));
    }
    for (size_t i = 0; protocol_at(i); i++)
        check_rules(&protocol_at(i)->topics, name, filter);
    free(filter);
    free(name);
    return 0;
}
