/* A message in CBOR. What it says survives being written and read again. */
#include "fuzz.h"

#include "protocol/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *body = fuzz_copy(data, size);
    json_t *object = NULL, *again = NULL;
    struct err e = {0};
    int rc = cbor_parse(body, size, &object, &e);
    free(body);
    if (rc) {
        fuzz_check_failure(rc, &e);
        return 0;
    }
    assert(json_is_object(object));
    size_t len;
    char *made = cbor_make(object, "\x7f", data, size, &len);
    assert(cbor_parse(made, len, &again, &e) == 0);
    assert(json_string_length(json_object_get(again, "\x7f")) == 2 * size + 2);
    free(made);
    json_decref(object);
    json_decref(again);
    return 0;
}
