/* First line: a method, a blank and a version; then the header fields, a line each, name and value at the
 * first colon. */
#include "fuzz.h"

#include "http/guard.h"

#include <strings.h>

#define FIELDS_MAX (GUARD_HEADERS_MAX + 4)

static size_t count_named(const struct guard_request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += strcasecmp(r->headers[i].name, name) == 0;
    return n;
}

/* What is let through means one thing to every reader: no field that could be read as two, one length. */
static void check_taken(const struct guard_request *r, const struct framing *f)
{
    size_t bytes = 0;
    assert(r->n <= GUARD_HEADERS_MAX);
    for (size_t i = 0; i < r->n; i++) {
        const struct guard_header *h = &r->headers[i];
        bytes += h->name_len + h->value_len;
        assert(h->name_len > 0 && strlen(h->name) == h->name_len && strlen(h->value) == h->value_len);
        assert(!strpbrk(h->name, " \t\r\n:") && !strpbrk(h->value, "\r\n"));
    }
    assert(bytes <= GUARD_HEAD_BYTES_MAX);
    assert(count_named(r, "Host") <= 1 && count_named(r, "Authorization") <= 1);
    assert(f->has_length == (count_named(r, "Content-Length") == 1));
    assert(f->chunked == (count_named(r, "Transfer-Encoding") == 1));
    assert(!f->chunked || !f->has_length);
    assert(f->length <= INT64_MAX && (f->has_length || !f->length));
}

/* A line with zeros in it keeps them: its length is not its text's. */
static char *take_line(const uint8_t **data, size_t *size, size_t *len)
{
    const uint8_t *before = *data;
    char *line = fuzz_text(data, size, '\n');
    *len = (size_t)(*data - before);
    if (*len > 0 && (*data)[-1] == '\n')
        (*len)--;
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_header fields[FIELDS_MAX];
    char *lines[FIELDS_MAX], *method = fuzz_text(&data, &size, '\n'), *version = strchr(method, ' ');
    struct guard_request r = {.method = method, .version = "", .headers = fields};
    struct framing framing;
    struct err e = {0};
    size_t len;
    if (version) {
        *version = '\0';
        r.version = version + 1;
    }
    for (; size > 0 && r.n < FIELDS_MAX; r.n++) {
        char *line = lines[r.n] = take_line(&data, &size, &len), *colon = memchr(line, ':', len);
        size_t name_len = colon ? (size_t)(colon - line) : len;
        fields[r.n] = (struct guard_header){line, colon ? colon + 1 : line + len, name_len,
                                            colon ? len - name_len - 1 : 0};
        line[name_len] = '\0';
    }
    int rc = guard_check(&r, &framing, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    else
        check_taken(&r, &framing);
    while (r.n > 0)
        free(lines[--r.n]);
    free(method);
    return 0;
}
