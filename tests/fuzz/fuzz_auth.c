/* The Authorization field of a request: what it claims, written again, claims the same. */
#include "fuzz.h"

#include "http/auth.h"

#include <stdio.h>

static void check_bearer(const char *header, const char *token)
{
    assert(token > header && *token && !strpbrk(token, " \t,"));
    assert(token + strlen(token) == header + strlen(header));
}

static void check_basic(const struct basic *b)
{
    char text[sizeof *b + 2], encoded[BASE64_SIZE(sizeof text)], header[sizeof encoded + 6];
    struct basic again;
    assert(str_is_name(b->product, sizeof b->product) && str_is_name(b->device, sizeof b->device));
    assert(*b->secret && !strchr(b->secret, ':'));
    int n = snprintf(text, sizeof text, "%s/%s:%s", b->product, b->device, b->secret);
    base64_format(text, (size_t)n, encoded);
    snprintf(header, sizeof header, "basic %s", encoded);
    assert(auth_basic(header, &again));
    assert(strcmp(again.product, b->product) == 0 && strcmp(again.device, b->device) == 0);
    assert(strcmp(again.secret, b->secret) == 0 && !auth_bearer(header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *header = fuzz_text(&data, &size, '\0');
    const char *token = auth_bearer(header);
    struct basic b;
    if (token)
        check_bearer(header, token);
    if (auth_basic(header, &b)) {
        assert(!token);
        check_basic(&b);
    }
    free(header);
    return 0;
}
