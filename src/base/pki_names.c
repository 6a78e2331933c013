/* The names a server certificate must be valid for; pki.c makes the certificate. */
#include "base/pki.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_OF_CALLER = 8 }; /* places that a machine with many addresses leaves */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters, digits, '-' and, since machines are named so, '_'; 1 to 63 of them, no '-' at either end. */
static bool label_valid(const char *label, size_t len)
{
    if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
        return false;
    return strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= len;
}

/* RFC 1123 2.1; a last label of digits behind a dot would be a broken IPv4 address. */
static bool host_valid(const char *name)
{
    if (strlen(name) > 253)
        return false;
    for (const char *label = name;;) {
        size_t len = strcspn(label, ".");
        if (!label_valid(label, len))
            return false;
        if (!label[len])
            return label == name || strspn(label, "0123456789") < len;
        label += len + 1;
    }
}

/* The one spelling of a name or address; false when it is neither. */
static bool canonical(const char *name, char out[PKI_NAME_SIZE])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (!str_copy(out, PKI_NAME_SIZE, name))
        return false;
    if (inet_pton(AF_INET, name, bytes) == 1)
        return inet_ntop(AF_INET, bytes, out, PKI_NAME_SIZE) != NULL;
    if (inet_pton(AF_INET6, name, bytes) == 1)
        return inet_ntop(AF_INET6, bytes, out, PKI_NAME_SIZE) != NULL;
    for (char *p = out; *p; p++)
        *p = lower(*p);
    return host_valid(out);
}

bool pki_names_add(struct pki_names *names, const char *name)
{
    char text[PKI_NAME_SIZE];
    if (!canonical(name, text))
        return false;
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], text) == 0)
            return true;
    if (names->n == PKI_NAMES_MAX)
        return false;
    str_copy(names->name[names->n++], PKI_NAME_SIZE, text);
    return true;
}

static void add_host_name(struct pki_names *names)
{
    char host[PKI_NAME_SIZE] = "", local[PKI_NAME_SIZE + 6];
    if (gethostname(host, sizeof host - 1) != 0)
        return;
    pki_names_add(names, host);
    snprintf(local, sizeof local, "%.*s.local", (int)strcspn(host, "."), host); /* what mDNS makes of it */
    pki_names_add(names, local);
}

/* The address as text; false for those that a device elsewhere cannot use. */
static bool address_text(const struct sockaddr *address, char out[INET6_ADDRSTRLEN])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        bool link_local = (ntohl(in.sin_addr.s_addr) & 0xffff0000) == 0xa9fe0000; /* 169.254/16 */
        return !link_local && inet_ntop(AF_INET, &in.sin_addr, out, INET6_ADDRSTRLEN);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        return !IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr) &&
               inet_ntop(AF_INET6, &in.sin6_addr, out, INET6_ADDRSTRLEN);
    }
    return false;
}

void pki_names_of_machine(struct pki_names *names)
{
    struct ifaddrs *all;
    char text[INET6_ADDRSTRLEN];
    pki_names_add(names, "localhost");
    pki_names_add(names, "127.0.0.1");
    pki_names_add(names, "::1");
    add_host_name(names);
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a && names->n < PKI_NAMES_MAX - NAMES_OF_CALLER; a = a->ifa_next)
        if (a->ifa_addr && (a->ifa_flags & IFF_UP) && address_text(a->ifa_addr, text))
            pki_names_add(names, text);
    freeifaddrs(all);
}
