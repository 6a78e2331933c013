/* First line: a Range field; second: how much is read at a time; the rest: a file. The pieces are the body
 * that its length promises, and each part stands in it as it stands in the file. */
#include "memory_file.h"

#include "http/multipart.h"

static void check_parts(const struct multipart *m, const char *body, const uint8_t *data)
{
    const char *p = body;
    for (size_t i = 0; i < m->n; i++) {
        size_t len = (size_t)(m->part[i].end - m->part[i].first);
        assert(strncmp(p, m->head[i], strlen(m->head[i])) == 0);
        p += strlen(m->head[i]);
        assert(memcmp(p, data + m->part[i].first, len) == 0);
        p += len;
    }
    assert(strcmp(p, m->head[m->n]) == 0);
}

static void check_body(const struct multipart *m, int fd, size_t step, const uint8_t *data)
{
    char *body = calloc(m->length + 1, 1);
    uint64_t at = 0;
    ssize_t n;
    assert(body);
    while ((n = multipart_read(m, fd, at, body + at, m->length - at < step ? m->length - at : step)) > 0)
        at += (uint64_t)n;
    assert(n == 0 && at == m->length);
    check_parts(m, body, data);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *header = fuzz_text(&data, &size, '\n'), *number = fuzz_text(&data, &size, '\n');
    struct range parts[RANGES_MAX];
    struct multipart *m = malloc(sizeof *m);
    uint64_t step;
    size_t n;
    assert(m);
    if (!str_to_uint(number, 4096, &step) || step == 0)
        step = 4096;
    if (range_parse(header, size, false, parts, &n) == RANGE_PARTS) {
        struct memory_file file = memory_file_make(data, size);
        multipart_plan(m, parts, n, size, "boundary");
        check_body(m, file.fd, (size_t)step, data);
        close(file.fd);
    }
    free(m);
    free(number);
    free(header);
    return 0;
}
