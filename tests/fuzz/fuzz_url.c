/* A request's target. What is read from it, written anew with all that may be escaped, is read the same. */
#include "fuzz.h"

#include "http/route.h"
#include "http/url.h"

static void check_text(const char *text)
{
    for (; *text; text++)
        assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* Segments are escaped, the slashes between them are not. False when it does not fit. */
static bool write_path(const char *path, char *out, size_t size)
{
    char segment[URL_TARGET_MAX + 1];
    while (*path == '/') {
        size_t len = strcspn(++path, "/"), n;
        memcpy(segment, path, len);
        segment[len] = '\0';
        path += len;
        n = strlen(out);
        if (n + 2 > size)
            return false;
        memcpy(out + n, "/", 2);
        if (!url_encode(segment, out + n + 1, size - n - 1))
            return false;
    }
    return true;
}

static bool write_word(char before, const char *word, char *out, size_t size)
{
    size_t n = strlen(out);
    if (n + 2 > size)
        return false;
    out[n] = before;
    out[n + 1] = '\0';
    return url_encode(word, out + n + 1, size - n - 1);
}

static bool write_url(const struct url *u, char *out, size_t size)
{
    out[0] = '\0';
    bool fits = write_path(u->path, out, size);
    for (size_t i = 0; i < u->query.n && fits; i++)
        fits = write_word(i ? '&' : '?', u->query.item[i].name, out, size) &&
               write_word('=', u->query.item[i].value, out, size);
    return fits;
}

static void check_again(const struct url *u)
{
    char text[URL_TARGET_MAX + 1];
    struct url again;
    struct err e;
    if (!write_url(u, text, sizeof text))
        return;
    assert(url_parse(text, &again, &e) == 0);
    assert(strcmp(again.path, u->path) == 0 && again.query.n == u->query.n);
    for (size_t i = 0; i < u->query.n; i++) {
        const char *value = query_get(&again.query, u->query.item[i].name);
        assert(value && strcmp(value, u->query.item[i].value) == 0);
    }
}

/* Whatever the path, there is a route, or an answer that says what else there is. */
static void find_route(const char *path)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct route *route = NULL;
        char arg[PATH_ARGS_MAX][257], allow[64] = "";
        struct err e = {0};
        int rc = route_find(methods[i], path, &route, arg, allow, &e);
        if (rc)
            fuzz_check_failure(rc, &e);
        assert(rc ? rc == -ERR_NOT_FOUND || rc == -ERR_METHOD : route != NULL);
        assert(!rc || (rc == -ERR_METHOD) == (*allow != '\0'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *target = fuzz_text(&data, &size, '\0');
    struct url *u = malloc(sizeof *u);
    struct err e = {0};
    assert(u);
    int rc = url_parse(target, u, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
    } else {
        assert(*u->path == '/' && u->query.n <= QUERY_MAX);
        check_text(u->path);
        for (size_t i = 0; i < u->query.n; i++) {
            check_text(u->query.item[i].name);
            check_text(u->query.item[i].value);
        }
        check_again(u);
        find_route(u->path);
    }
    free(u);
    free(target);
    return 0;
}
