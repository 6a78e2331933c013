/* fuzz.h: a harness is one file, fuzz_<name>.c, with this one function: it gives the bytes to a parser, and
 * asserts what must hold whatever they are. Its examples are the files of corpus/<name>/, at least one.
 * `make fuzz` lets libFuzzer make more of them; `make unit` only replays them, with replay.c as main.
 * Inputs are copied into allocations of their own size, so that a read past the end is seen. */
#ifndef OTAD_TESTS_FUZZ_H
#define OTAD_TESTS_FUZZ_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's entry: always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes up to `end`, or all of them, as text with its end: free it. Moves data and size behind them. */
static inline char *fuzz_text(const uint8_t **data, size_t *size, char end)
{
    const uint8_t *stop = *size ? memchr(*data, end, *size) : NULL;
    size_t len = stop ? (size_t)(stop - *data) : *size;
    char *text = malloc(len + 1);
    assert(text);
    if (len)
        memcpy(text, *data, len);
    text[len] = '\0';
    *data += stop ? len + 1 : len;
    *size -= stop ? len + 1 : len;
    return text;
}

/* A copy that ends where the bytes end, never NULL: free it. */
static inline void *fuzz_copy(const uint8_t *data, size_t size)
{
    void *copy = malloc(size ? size : 1);
    assert(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

/* A failure has a code and a sentence, and they agree. Both texts may go into JSON, and to a terminal. */
static inline void fuzz_check_failure(int rc, const struct err *e)
{
    assert(rc < 0 && -rc == (int)e->code && e->code < ERR_CODES);
    assert(str_is_text(e->text, sizeof e->text));
    assert(!*e->field || str_is_text(e->field, sizeof e->field));
}

/* The bytes as JSON, as an operator's request has it: an object, or NULL where they are none. */
static inline json_t *fuzz_object(const uint8_t *data, size_t size)
{
    void *text = fuzz_copy(data, size);
    json_t *object = NULL;
    struct err e = {0};
    int rc = json_parse(text, size, &object, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    free(text);
    return rc ? NULL : object;
}

/* Two makings of the same thing say the same; takes them over. */
static inline void fuzz_same_json(json_t *a, json_t *b)
{
    assert(json_equal(a, b));
    json_decref(a);
    json_decref(b);
}

#endif
