/* Signed URLs of offers. */
#include "rollout/rollout.h"

#include "base/digest.h"

#include <stdio.h>
#include <string.h>

#define SIGNATURE_BYTES \
    16 /* of the HMAC: 128 bits are beyond guessing, and keep the URL short for small buffers */

/* An offer that could not be made would stop the tick, and with it all others. */
_Static_assert(sizeof((struct rollout *)0)->public_url + sizeof "/firmware/?d=&e=&s=" + SHA256_TEXT_SIZE +
                       PRODUCT_SIZE + DEVICE_SIZE + sizeof "-9223372036854775" +
                       BASE64_SIZE(SIGNATURE_BYTES) <=
                   URL_SIZE,
               "the longest URL fits");

static void url_signature(const struct rollout *r, const char *sha256, const char *device_path,
                          const char *expires, char out[BASE64_SIZE(SIGNATURE_BYTES)])
{
    char text[SHA256_TEXT_SIZE + PRODUCT_SIZE + DEVICE_SIZE + 32];
    unsigned char mac[SHA256_BYTES];
    int n = snprintf(text, sizeof text, "%s\n%s\n%s", sha256, device_path, expires);
    hmac_sha256(r->url_key, sizeof r->url_key, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1, mac);
    base64url_format(mac, SIGNATURE_BYTES, out);
}

bool offer_url_make(const struct rollout *r, const char *sha256, const char *product, const char *device,
                    int64_t expires_at_ms, char url[URL_SIZE])
{
    char path[PRODUCT_SIZE + DEVICE_SIZE], expires[24], signature[BASE64_SIZE(SIGNATURE_BYTES)];
    snprintf(path, sizeof path, "%s/%s", product, device);
    snprintf(expires, sizeof expires, "%lld", (long long)(expires_at_ms / 1000));
    url_signature(r, sha256, path, expires, signature);
    /* names hold nothing that RFC 3986 does not allow in a query as it is */
    int n = snprintf(url, URL_SIZE, "%s/firmware/%s?d=%s&e=%s&s=%s", r->public_url, sha256, path, expires,
                     signature);
    return n > 0 && n < URL_SIZE;
}

bool offer_url_check(const struct rollout *r, const char *sha256, const char *device_path,
                     const char *expires, const char *signature, int64_t now_ms)
{
    char right[BASE64_SIZE(SIGNATURE_BYTES)];
    uint64_t end_s;
    if (strlen(sha256) >= SHA256_TEXT_SIZE || strlen(device_path) >= PRODUCT_SIZE + DEVICE_SIZE ||
        !str_to_uint(expires, INT64_MAX / 1000, &end_s))
        return false;
    url_signature(r, sha256, device_path, expires, right);
    return same_secret(right, strlen(right), signature, strlen(signature)) && (int64_t)end_s * 1000 > now_ms;
}
