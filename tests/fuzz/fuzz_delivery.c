/* A delivery, or anything else, as it comes to the broker's plugin. */
#include "fuzz.h"

#include "model/delivery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *bytes = fuzz_copy(data, size);
    struct delivery d;
    char head[DELIVERY_HEAD_SIZE];
    if (delivery_parse(bytes, size, &d)) {
        size_t n = delivery_head(&d, head); /* what was read is what would be written */
        assert(n > 0 && n + d.len == size && memcmp(head, bytes, n) == 0);
        assert(!d.len || memcmp(d.payload, (char *)bytes + n, d.len) == 0);
    }
    free(bytes);
    return 0;
}
