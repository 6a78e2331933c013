/* Six lines: client id, user name, password, a certificate's common name and product, and a secret. Whoever
 * claims to be a device, by any protocol, names one that there can be; and only its secret proves it. A
 * certificate's product has been read as a name before it comes here. */
#include "fuzz.h"

#include "protocol/protocol.h"

#define NOW_S 1800000000

/* Every shape that fits is a whole claim, whichever is asked first. */
static void check_each(const struct login *login, const char *secret)
{
    struct login_claim claim;
    for (size_t i = 0; protocol_at(i); i++) {
        const struct login_rules *rules = &protocol_at(i)->login;
        if (!rules->claim(login, &claim))
            continue;
        assert(str_is_name(claim.device, sizeof claim.device));
        assert(!*claim.product || str_is_name(claim.product, sizeof claim.product));
        if (rules->certificate) {
            assert(login->common_name && strcmp(claim.device, login->common_name) == 0);
            continue;
        }
        assert(*claim.product && !rules->proven(login, &claim, "", NOW_S));
        if (rules->proven(login, &claim, secret, NOW_S)) {
            struct login without = *login;
            without.password = NULL;
            assert(*secret && login->password && !rules->proven(&without, &claim, secret, NOW_S));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct login login = {0};
    const char **const members[] = {&login.client_id, &login.username, &login.password, &login.common_name,
                                    &login.common_name_product};
    char *lines[ARRAY_SIZE(members)];
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        lines[i] = fuzz_text(&data, &size, '\n');
        *members[i] = *lines[i] ? lines[i] : NULL;
    }
    char *secret = fuzz_text(&data, &size, '\n');
    struct login_claim claim;
    if (!str_is_name(lines[4], PRODUCT_SIZE))
        login.common_name_product = NULL;
    const struct protocol *first = protocol_by_login(&login, &claim);
    check_each(&login, secret);
    for (size_t i = 0; protocol_at(i); i++) {
        struct login_claim own;
        if (protocol_at(i)->login.claim(&login, &own)) {
            assert(first == protocol_at(i) && strcmp(own.device, claim.device) == 0);
            break;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        free(lines[i]);
    free(secret);
    return 0;
}
