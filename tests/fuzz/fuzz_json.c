/* A body, as operators and as devices send it. Written and read again it says the same, and a device's reader
 * takes all that an operator's does. */
#include "fuzz.h"

static json_t *again(const json_t *object)
{
    char *text = json_text(object);
    json_t *read = fuzz_object((const uint8_t *)text, strlen(text));
    free(text);
    return read;
}

static size_t depth(const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i, deepest = 0;
    json_object_foreach((json_t *)value, key, item)
    {
        size_t n = depth(item);
        deepest = n > deepest ? n : deepest;
    }
    json_array_foreach(value, i, item)
    {
        size_t n = depth(item);
        deepest = n > deepest ? n : deepest;
    }
    return deepest + (json_is_object(value) || json_is_array(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *text = fuzz_copy(data, size);
    json_t *strict = fuzz_object(data, size), *liberal = NULL;
    struct err e = {0};
    int rc = json_parse_device(text, size, &liberal, &e);
    free(text);
    if (rc)
        fuzz_check_failure(rc, &e);
    assert(!strict || rc == 0);
    if (rc == 0) {
        assert(json_is_object(liberal) && depth(liberal) <= JSON_MAX_DEPTH);
        fuzz_same_json(json_incref(liberal), again(liberal));
        if (strict)
            assert(json_equal(strict, liberal));
    }
    json_decref(strict);
    json_decref(liberal);
    return 0;
}
