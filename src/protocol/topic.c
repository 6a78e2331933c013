#include "protocol/topic.h"

#include <string.h>

/* The end of the level that begins at p. */
static const char *level_end(const char *p)
{
    return p + strcspn(p, "/");
}

bool topic_matches(const char *filter, const char *name)
{
    if (*name == '$' && (*filter == '+' || *filter == '#'))
        return false;
    for (;;) {
        const char *f = level_end(filter), *n = level_end(name);
        if (*filter == '#')
            return true;
        bool any = f - filter == 1 && *filter == '+';
        if (!any && (f - filter != n - name || memcmp(filter, name, (size_t)(f - filter)) != 0))
            return false;
        /* "a/#" matches "a" too */
        if (!*n)
            return !*f || strcmp(f, "/#") == 0;
        if (!*f)
            return false;
        filter = f + 1;
        name = n + 1;
    }
}

bool topic_level(const char *name, size_t i, char *out, size_t size)
{
    for (; i > 0; i--) {
        name = level_end(name);
        if (!*name)
            return false;
        name++;
    }
    size_t n = (size_t)(level_end(name) - name);
    if (n >= size)
        return false;
    memcpy(out, name, n);
    out[n] = '\0';
    return true;
}

size_t topic_levels(const char *name)
{
    size_t n = 1;
    for (; *name; name++)
        n += *name == '/';
    return n;
}

/* The level of a pattern that begins at p, as this device's: what it stands for, and its length. */
static const char *meant(const char *p, size_t *n, const char *product, const char *device)
{
    *n = (size_t)(level_end(p) - p);
    if (*n != 2 || p[0] != '%' || (p[1] != 'p' && p[1] != 'd'))
        return p;
    const char *name = p[1] == 'p' ? product : device;
    *n = strlen(name);
    return name;
}

static bool fits(const char *pattern, const char *name, const char *product, const char *device)
{
    for (;;) {
        size_t n;
        const char *level = meant(pattern, &n, product, device), *end = level_end(name);
        if (*pattern == '#')
            return true;
        bool any = n == 1 && *level == '+' && *name != '#';
        if (!any && (n != (size_t)(end - name) || memcmp(level, name, n) != 0))
            return false;
        pattern = level_end(pattern);
        if (!*pattern || !*end)
            return !*pattern && !*end;
        pattern++;
        name = end + 1;
    }
}

bool topic_fits(const char *const patterns[], const char *name, const char *product, const char *device)
{
    for (; *patterns; patterns++)
        if (fits(*patterns, name, product, device))
            return true;
    return false;
}

bool topic_spell(const char *pattern, const char *product, const char *device, char out[TOPIC_SIZE])
{
    size_t len = 0;
    for (;;) {
        size_t n;
        const char *level = meant(pattern, &n, product, device);
        if (len + n + 2 > TOPIC_SIZE)
            return false;
        memcpy(out + len, level, n);
        len += n;
        pattern = level_end(pattern);
        out[len++] = *pattern;
        if (!*pattern++)
            return true;
    }
}

bool topic_brings(const char *filter, const char *const patterns[], const char *product, const char *device)
{
    char topic[TOPIC_SIZE];
    for (; *patterns; patterns++)
        if (topic_spell(*patterns, product, device, topic) && topic_matches(filter, topic))
            return true;
    return false;
}
