#include "psk.h"

#include "protocol/psk.h"

#include <string.h>

static const char *present_of(const struct credentials *c)
{
    return c->known && *c->secret ? c->secret : c->open ? c->product_secret : "";
}

static const char *old_of(const struct credentials *c)
{
    return c->known && *c->old_secret ? c->old_secret : c->open ? c->old_product_secret : "";
}

static bool *turn_of(struct plugin *p, const struct login_claim *names)
{
    unsigned hash = 5381;
    for (const char *c = names->product; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    for (const char *c = names->device; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    return &p->psk_old[hash % PSK_TURNS];
}

void psk_proven(struct plugin *p, const struct login_claim *names, bool old)
{
    *turn_of(p, names) = old;
}

/* The secret that the device would sign its login with. A handshake has one key, and an identity does not say
 * by which: while an old secret is good they take turns, and a device that came in keeps its own. */
static const char *secret_of(struct plugin *p, const struct credentials *c)
{
    const char *present = present_of(c), *old = old_of(c);
    if (!c->product_enabled || (c->known && !c->device_enabled))
        return "";
    if (!*old)
        return present;
    bool *turn = turn_of(p, &c->names), use_old = *turn;
    *turn = !use_old;
    return use_old ? old : present;
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
    const char *secret = secret_of(p, &c);
    bool found = *secret && psk_key(identity, &claim, secret, key);
    credentials_wipe(&c);
    if (found)
        hex_format(key, strlen(key), out); /* the key is the digits' text */
    explicit_bzero(key, sizeof key);
    return found;
}
