/* onenet_token.c: what OneNET's devices show for themselves. */
#include "protocol/onenet.h"

#include <stdio.h>
#include <string.h>

#define RES_SIZE  (PRODUCT_SIZE + DEVICE_SIZE + 32)
#define WORD_SIZE 33

struct token { /* decoded; "" where nothing came */
    char version[WORD_SIZE], res[RES_SIZE], et[WORD_SIZE], method[WORD_SIZE];
    char sign[BASE64_SIZE(HMAC_BYTES_MAX)];
};

/* The value that begins at p and ends at end, percent-decoded; "+" is itself: base64 has it, and not every
 * maker of tokens encodes it. False for a broken escape, a control character, or what does not fit. */
static bool decode(const char *p, const char *end, char *out, size_t size)
{
    size_t n = 0;
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        char hex[3] = {0};
        if (c == '%') {
            if (end - p < 3)
                return false;
            memcpy(hex, p + 1, 2);
            if (!hex_parse(hex, &c, 1))
                return false;
            p += 2;
        }
        if (c < 0x20 || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

/* One name=value; a name that is not a token's is left alone. */
static bool take(const char *pair, const char *end, struct token *t)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } members[] = {
        {"version=", t->version, sizeof t->version},
        {"res=", t->res, sizeof t->res},
        {"et=", t->et, sizeof t->et},
        {"method=", t->method, sizeof t->method},
        {"sign=", t->sign, sizeof t->sign},
    };
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        size_t n = strlen(members[i].name);
        if ((size_t)(end - pair) > n && memcmp(pair, members[i].name, n) == 0)
            return !*members[i].out && decode(pair + n, end, members[i].out, members[i].size);
    }
    return true;
}

static bool parse(const char *text, struct token *t)
{
    for (;;) {
        const char *end = text + strcspn(text, "&");
        if (!take(text, end, t))
            return false;
        if (!*end)
            return *t->version && *t->res && *t->et && *t->method && *t->sign;
        text = end + 1;
    }
}

static bool res_is_of(const char *res, const char *product, const char *device)
{
    char own[RES_SIZE];
    int n = snprintf(own, sizeof own, "products/%s/devices/%s", product, device);
    if (n < 0 || (size_t)n >= sizeof own)
        return false;
    if (strcmp(res, own) == 0)
        return true;
    own[strlen("products/") + strlen(product)] = '\0';
    return strcmp(res, own) == 0;
}

static bool hash_of(const char *method, enum hash *out)
{
    static const char *const names[] = {[HASH_MD5] = "md5", [HASH_SHA1] = "sha1", [HASH_SHA256] = "sha256"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], method) == 0) {
            *out = (enum hash)i;
            return true;
        }
    return false;
}

static bool signed_with(const struct token *t, enum hash hash, const char *secret)
{
    unsigned char key[SECRET_SIZE], mac[HMAC_BYTES_MAX];
    char text[3 * WORD_SIZE + RES_SIZE], right[BASE64_SIZE(HMAC_BYTES_MAX)];
    int key_len = base64_parse(secret, key, sizeof key);
    if (key_len <= 0)
        return false;
    int n = snprintf(text, sizeof text, "%s\n%s\n%s\n%s", t->et, t->method, t->res, t->version);
    size_t len = hmac(hash, key, (size_t)key_len, text, (size_t)n, mac);
    explicit_bzero(key, sizeof key);
    base64_format(mac, len, right);
    return same_secret(right, strlen(right), t->sign, strlen(t->sign));
}

/* The signature is looked at before the clock: what is refused for its age was made with the key. */
bool onenet_token_proves(const char *token, const char *product, const char *device, const char *secret,
                         int64_t now_s)
{
    struct token t = {0};
    enum hash hash;
    uint64_t end_s;
    return parse(token, &t) && res_is_of(t.res, product, device) && hash_of(t.method, &hash) &&
           signed_with(&t, hash, secret) && str_to_uint(t.et, INT64_MAX, &end_s) && (int64_t)end_s > now_s;
}
