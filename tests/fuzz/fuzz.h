/* fuzz.h: a harness is one file, fuzz_<name>.c, with this one function: it gives the bytes to a parser, and
 * asserts what must hold whatever they are. Its examples are the files of corpus/<name>/, at least one.
 * `make fuzz` lets libFuzzer make more of them; `make unit` only replays them, with replay.c as main.
 * Inputs are copied into allocations of their own size, so that a read past the end is seen. */
#ifndef OTAD_TESTS_FUZZ_H
#define OTAD_TESTS_FUZZ_H

#include "base/err.h"

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

/* A failure has a code and a sentence, and they agree. */
static inline void fuzz_check_failure(int rc, const struct err *e)
{
    assert(rc < 0 && -rc == (int)e->code && e->code < ERR_CODES && *e->text);
}

#endif
