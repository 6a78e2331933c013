#include "http/route.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Copies the segment at path into arg; a pointer behind it, or NULL when it is empty or too long. */
static const char *take_segment(const char *path, char arg[257])
{
    size_t len = strcspn(path, "/");
    if (len == 0 || len > 256)
        return NULL;
    memcpy(arg, path, len);
    arg[len] = '\0';
    return path + len;
}

/* {..} takes one whole segment; everything else is compared byte by byte. */
static bool path_matches(const char *pattern, const char *path, char arg[PATH_ARGS_MAX][257])
{
    size_t n = 0;
    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        if (n == PATH_ARGS_MAX || !(path = take_segment(path, arg[n++])))
            return false;
        pattern += strcspn(pattern, "}") + 1;
    }
    return *path == '\0';
}

static bool method_matches(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void allow_add(char allow[64], const char *method)
{
    size_t len = strlen(allow);
    const char *head = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    snprintf(allow + len, 64 - len, "%s%s%s", len ? ", " : "", method, head);
}

int route_match(const struct route table[], size_t n, const char *method, const char *path,
                const struct route **out, char arg[PATH_ARGS_MAX][257], char allow[64], struct err *e)
{
    allow[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (!path_matches(table[i].path, path, arg))
            continue;
        if (method_matches(&table[i], method)) {
            *out = &table[i];
            return 0;
        }
        allow_add(allow, table[i].method);
    }
    if (allow[0])
        return err_set(e, ERR_METHOD, "this path takes %s", allow);
    return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
}

int route_find(const char *method, const char *path, const struct route **out, char arg[PATH_ARGS_MAX][257],
               char allow[64], struct err *e)
{
    return route_match(route_table, route_count, method, path, out, arg, allow, e);
}

void route_print(FILE *out)
{
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &route_table[i];
        const char *proof = route->flags & ROUTE_DEVICE ? "device" : route->flags & ROUTE_FILE ? "file" : "-";
        fprintf(out, "%s %s %s %s\n", route->method, route->path, role_word(route->role), proof);
    }
}
