/* A certificate in DER, as a device shows it at the handshake: it names one device, or nobody. */
#include "fuzz.h"

#include "base/pki_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *der = fuzz_copy(data, size);
    char name[DEVICE_SIZE] = "x", product[PRODUCT_SIZE] = "y", device[DEVICE_SIZE] = "z";
    struct err e = {0};
    int rc = pki_client_identity(der, size, name, product, device, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        assert(strcmp(name, "x") == 0 && strcmp(product, "y") == 0 && strcmp(device, "z") == 0);
    } else {
        assert(str_is_name(name, sizeof name) && !*product == !*device);
        assert(!*product || (str_is_name(product, sizeof product) && strcmp(name, device) == 0));
    }
    free(der);
    return 0;
}
