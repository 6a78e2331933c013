#include "protocol/psk.h"

#include "base/digest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define METHOD      "|hmacsha256|"
#define SIGNED_SIZE (PRODUCT_SIZE + DEVICE_SIZE + 80)

/* Copies n bytes; false when they do not fit. */
static bool copy(char *out, size_t size, const char *from, size_t n)
{
    if (n >= size)
        return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

bool psk_claim(const char *identity, struct login_claim *out)
{
    struct login_claim found;
    size_t n = strcspn(identity, "|");
    const char *rest = identity + n;
    if (strncmp(rest, METHOD, strlen(METHOD)) != 0 || !copy(found.device, sizeof found.device, identity, n))
        return false;
    rest += strlen(METHOD);
    const char *mark = strchr(rest, '&'), *bar = mark ? strchr(mark, '|') : NULL;
    if (!bar || !copy(found.product, sizeof found.product, rest, (size_t)(mark - rest)))
        return false;
    bool same = (size_t)(bar - mark - 1) == n && memcmp(mark + 1, identity, n) == 0;
    if (!same || !str_is_name(found.device, sizeof found.device) ||
        !str_is_name(found.product, sizeof found.product))
        return false;
    *out = found;
    return true;
}

bool psk_key(const char *identity, const struct login_claim *claim, const char *secret,
             char key[PSK_KEY_SIZE])
{
    char text[SIGNED_SIZE];
    unsigned char mac[HMAC_BYTES_MAX];
    const char *timestamp = strrchr(identity, '|');
    int n = snprintf(text, sizeof text, "id%s&%stimestamp%s", claim->product, claim->device,
                     timestamp ? timestamp + 1 : "");
    if (n < 0 || (size_t)n >= sizeof text)
        return false;
    hex_format(mac, hmac(HASH_SHA256, secret, strlen(secret), text, (size_t)n, mac), key);
    for (char *p = key; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    explicit_bzero(mac, sizeof mac);
    return true;
}
