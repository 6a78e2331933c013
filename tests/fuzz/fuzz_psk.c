/* First line: the identity of a TLS handshake with a shared key, the rest: a secret. */
#include "fuzz.h"

#include "protocol/psk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *identity = fuzz_text(&data, &size, '\n'), *secret = fuzz_text(&data, &size, '\n');
    struct login_claim claim;
    char key[PSK_KEY_SIZE];
    if (psk_claim(identity, &claim)) {
        assert(str_is_name(claim.product, sizeof claim.product));
        assert(str_is_name(claim.device, sizeof claim.device));
        if (psk_key(identity, &claim, secret, key))
            assert(strlen(key) == PSK_KEY_SIZE - 1 && strspn(key, "0123456789ABCDEF") == PSK_KEY_SIZE - 1);
    }
    free(identity);
    free(secret);
    return 0;
}
