#include "psk.h"

#include "protocol/psk.h"

#include <string.h>

/* The secret that the device would sign its login with. */
static const char *secret_of(const struct credentials *c)
{
    if (!c->product_enabled || (c->known && !c->device_enabled))
        return "";
    return c->known && *c->secret ? c->secret : c->open ? c->product_secret : "";
}

bool psk_find(struct plugin *p, const char *identity, char *out, size_t size)
{
    struct login_claim claim;
    struct credentials c;
    struct err e;
    char key[PSK_KEY_SIZE];
    if (!psk_claim(identity, &claim) || size < 2 * PSK_KEY_SIZE)
        return false;
    if (lookup_find(p->lookup, "aliyun", &claim, "", &c, &e) < 0) {
        plugin_complain(p, "key of %s/%s refused: %s", claim.product, claim.device, e.text);
        return false;
    }
    const char *secret = secret_of(&c);
    bool found = *secret && psk_key(identity, &claim, secret, key);
    credentials_wipe(&c);
    if (found)
        hex_format(key, strlen(key), out); /* the key is the digits' text */
    explicit_bzero(key, sizeof key);
    return found;
}
