/* CONNECT: user name {device}&{product}, client id {id}|{key}={value},...|, password the hex of an HMAC with
 * the secret over the signed parameters by name: "clientId{id}deviceName{device}productKey{product}", and
 * "timestamp{ts}" where the client id has one. The time is not looked at: Link SDK's is the same for ever.
 * securemode says what the device thinks of the connection; the listener knows better. */
#include "aliyun_private.h"
#include "base/digest.h"

#include <stdio.h>
#include <string.h>

#define SIGNED_MAX 1024 /* bytes of the longest text that is signed */

bool aliyun_claim(const struct login *login, struct login_claim *out)
{
    const char *name = login->username, *mark = name ? strchr(name, '&') : NULL;
    size_t n = mark ? (size_t)(mark - name) : 0;
    if (n == 0 || n >= sizeof out->device || !login->client_id)
        return false;
    memcpy(out->device, name, n);
    out->device[n] = '\0';
    return str_copy(out->product, sizeof out->product, mark + 1) &&
           str_is_name(out->device, sizeof out->device) && str_is_name(out->product, sizeof out->product);
}

/* The value of a key between the bars of a client id; its length, -1 when the key is not there. */
static int extension(const char *bar, const char *key, const char **value)
{
    size_t len = strlen(key);
    while (*bar) {
        const char *item = bar + 1;
        size_t n = strcspn(item, ",|");
        if (n > len && strncmp(item, key, len) == 0 && item[len] == '=') {
            *value = item + len + 1;
            return (int)(n - len - 1);
        }
        bar = item + n;
        if (*bar == '|')
            break;
    }
    return -1;
}

static const struct {
    const char *word;
    enum hash hash;
} methods[] = {{"hmacsha256", HASH_SHA256}, {"hmacsha1", HASH_SHA1}, {"hmacmd5", HASH_MD5}};

/* MD5 is what the platform takes where no method is named. */
static bool read_method(const char *bar, enum hash *out)
{
    const char *word;
    int n = extension(bar, "signmethod", &word);
    *out = HASH_MD5;
    for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(methods); i++)
        if ((size_t)n == strlen(methods[i].word) && strncmp(methods[i].word, word, (size_t)n) == 0) {
            *out = methods[i].hash;
            return true;
        }
    return n < 0;
}

bool aliyun_proven(const struct login *login, const struct login_claim *claim, const char *secret,
                   int64_t now_s)
{
    char text[SIGNED_MAX];
    unsigned char right[HMAC_BYTES_MAX], given[HMAC_BYTES_MAX];
    const char *bar = login->client_id + strcspn(login->client_id, "|"), *ts = "";
    enum hash hash;
    (void)now_s;
    if (!login->password || !read_method(bar, &hash))
        return false;
    int ts_len = extension(bar, "timestamp", &ts);
    int n = snprintf(text, sizeof text, "clientId%.*sdeviceName%sproductKey%s%s%.*s",
                     (int)(bar - login->client_id), login->client_id, claim->device, claim->product,
                     ts_len < 0 ? "" : "timestamp", ts_len < 0 ? 0 : ts_len, ts);
    if (n < 0 || (size_t)n >= sizeof text)
        return false;
    size_t len = hmac(hash, secret, strlen(secret), text, (size_t)n, right);
    return hex_parse(login->password, given, len) && same_secret(right, len, given, len);
}
