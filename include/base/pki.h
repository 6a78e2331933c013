/* pki.h: the certificate authorities of the data directory. Makes what certs/make-certs.sh makes by hand:
 *   ca.pem ca.key            for the server, 20 years, ECDSA P-256, CA:TRUE pathlen:0, keyCertSign cRLSign
 *   device-ca.pem device-ca.key   the same for devices' client certificates
 *   server.pem server.key    leaf then CA; serverAuth; 825 days at most; names and addresses as
 * subjectAltName Keys are 0600, certificates 0644, each written to a temporary file, fsynced and renamed. Two
 * files cannot change in one step: the key goes first, and a pair that a crash has parted is made again by
 * the next call. Not for two threads at once on one folder. */
#ifndef OTAD_BASE_PKI_H
#define OTAD_BASE_PKI_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKI_NAMES_MAX 48
#define PKI_NAME_SIZE 256

/* What a server certificate must be valid for: DNS names in lower case, addresses in their canonical text. */
struct pki_names {
    size_t n;
    char name[PKI_NAMES_MAX][PKI_NAME_SIZE];
};

/* Adds a name once (case-insensitive); true too when it is there already. False when full, empty or not a
 * host name or address. IPv6 addresses come without brackets. */
bool pki_names_add(struct pki_names *names, const char *name);

/* Adds localhost, 127.0.0.1, ::1, this machine's host name (and <name>.local), and all its addresses that are
 * up, without link-local ones. Leaves the last few places for the caller's own names. */
void pki_names_of_machine(struct pki_names *names);

/* Makes both CAs in dir when they are missing (dir 0700 is made too). A ca.pem whose key was taken elsewhere
 * stays as it is: devices trust it. */
int pki_ensure_cas(const char *dir, struct err *e);

/* Makes or renews server.pem and server.key in dir: when missing, unreadable, not belonging together, not
 * signed by this CA, not valid yet, within 30 days of its end, or not valid for one of names. *renewed says
 * whether it did. */
int pki_ensure_server(const char *dir, const struct pki_names *names, int64_t now_ms, bool *renewed,
                      struct err *e);

/* Of the first certificate in a PEM file: its end, and whether it is valid for a host name or address. */
int pki_expiry(const char *pem_path, int64_t *ends_at_ms, struct err *e);
int pki_covers(const char *pem_path, const char *name, bool *covers, struct err *e);

#endif
