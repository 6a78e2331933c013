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
