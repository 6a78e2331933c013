#include "base/nets.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

#define BITS        128
#define MAPPED      12 /* bytes before those of an IPv4 address */
#define MAPPED_BITS (8 * MAPPED)
#define PARTY_BYTES 8

/* True for IPv4 and for IPv6; bits: of the prefix that the family's own begin behind. */
static bool parse(const char *text, struct in6_addr *out, unsigned *before)
{
    struct in6_addr a = IN6ADDR_ANY_INIT;
    *before = 0;
    if (inet_pton(AF_INET6, text, &a) != 1) {
        if (inet_pton(AF_INET, text, &a.s6_addr[MAPPED]) != 1)
            return false;
        a.s6_addr[MAPPED - 2] = a.s6_addr[MAPPED - 1] = 0xff;
        *before = MAPPED_BITS;
    }
    *out = a;
    return true;
}

bool address_parse(const char *text, struct in6_addr *out)
{
    char name[INET6_ADDRSTRLEN];
    unsigned before;
    size_t len = strcspn(text, "%"); /* an interface may follow */
    if (len >= sizeof name)
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    return parse(name, out, &before);
}

static bool bit_of(const struct in6_addr *a, unsigned i)
{
    return a->s6_addr[i / 8] >> (7 - i % 8) & 1;
}

static bool ends_in_zeros(const struct net *net)
{
    for (unsigned i = net->bits; i < BITS; i++)
        if (bit_of(&net->address, i))
            return false;
    return true;
}

static bool parse_net(const char *text, struct net *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    uint64_t bits = 0;
    unsigned before;
    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!parse(address, &out->address, &before) || (slash && !str_to_uint(slash + 1, BITS - before, &bits)))
        return false;
    out->bits = slash ? before + (unsigned)bits : BITS;
    return ends_in_zeros(out);
}

int nets_parse(const char *text, struct nets *out, struct err *e)
{
    struct nets nets = {0};
    char word[80];
    for (const char *at = text + strspn(text, ", \t"); *at; at += strspn(at, ", \t")) {
        size_t len = strcspn(at, ", \t");
        if (nets.n == NETS_MAX)
            return err_set(e, ERR_INVALID, "more than %d networks", NETS_MAX);
        if (len >= sizeof word)
            return err_set(e, ERR_INVALID, "\"%.40s\" is no network", at);
        memcpy(word, at, len);
        word[len] = '\0';
        if (!parse_net(word, &nets.item[nets.n]))
            return err_set(e, ERR_INVALID, "\"%s\" is no network such as 10.0.0.0/8 or fd00::/8", word);
        nets.n++;
        at += len;
    }
    *out = nets;
    return 0;
}

static bool holds(const struct net *net, const struct in6_addr *a)
{
    unsigned bytes = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->address.s6_addr, a->s6_addr, bytes) != 0)
        return false;
    return rest == 0 || (net->address.s6_addr[bytes] ^ a->s6_addr[bytes]) >> (8 - rest) == 0;
}

bool nets_hold(const struct nets *nets, const struct in6_addr *address)
{
    for (size_t i = 0; i < nets->n; i++)
        if (holds(&nets->item[i], address))
            return true;
    return false;
}

struct in6_addr address_party(const struct in6_addr *address)
{
    struct in6_addr party = *address;
    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(party.s6_addr + PARTY_BYTES, 0, sizeof party.s6_addr - PARTY_BYTES);
    return party;
}
