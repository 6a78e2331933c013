#include "protocol/psk.h"

#include "base/digest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define KIND        "devicename"
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

static bool is_word(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

bool psk_claim(const char *identity, struct login_claim *out)
{
    struct login_claim found;
    const char *method = strchr(identity, '|');
    if (!method || strncmp(method, METHOD, strlen(METHOD)) != 0)
        return false;
    const char *product = method + strlen(METHOD), *mark = strchr(product, '&'),
               *bar = mark ? strchr(mark, '|') : NULL;
    if (!bar || !copy(found.product, sizeof found.product, product, (size_t)(mark - product)) ||
        !copy(found.device, sizeof found.device, mark + 1, (size_t)(bar - mark - 1)))
        return false;
    size_t n = (size_t)(method - identity);
    if (!is_word(identity, n, KIND) && !is_word(identity, n, found.device))
        return false;
    if (!str_is_name(found.device, sizeof found.device) || !str_is_name(found.product, sizeof found.product))
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
