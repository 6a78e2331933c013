/* pki.h: the certificate authorities of the data directory, and the server's certificates. Makes what
 * certs/make-certs.sh makes by hand:
 *   ca.pem ca.key            for the server, 20 years, CA:TRUE pathlen:0, keyCertSign cRLSign
 *   device-ca.pem device-ca.key   the same for devices' client certificates (pki_device.h)
 *   server.pem server.key    leaf then CA; ECDSA P-256; serverAuth; 825 days at most; names and addresses are
 *                            in its subjectAltName
 *   server-rsa.pem server-rsa.key   the same with an RSA key, for clients that know nothing else
 * Keys are 0600, certificates 0644, each written to a temporary file, fsynced and renamed. Two files cannot
 * change in one step: the key goes first, and a pair that a crash has parted is made again by the next call.
 * Not for two threads at once on one folder. */
#ifndef OTAD_BASE_PKI_H
#define OTAD_BASE_PKI_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a private key is. Signatures are made with SHA-256 by either. */
enum pki_key { PKI_P256, PKI_RSA_2048 };

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

/* Makes both CAs in dir when they are missing (dir 0700 is made too), with keys of this kind. A ca.pem that
 * is there stays as it is, whatever its kind, and with its key taken elsewhere too: devices trust it. */
int pki_ensure_cas(const char *dir, enum pki_key kind, struct err *e);

/* Makes or renews server.pem and server.key, or those of RSA, in dir: when missing, unreadable, not belonging
 * together, not signed by this CA, not valid yet, within 30 days of its end, or not valid for one of names.
 * *renewed says whether it did. */
int pki_ensure_server(const char *dir, enum pki_key kind, const struct pki_names *names, int64_t now_ms,
                      bool *renewed, struct err *e);

/* Of the first certificate in a PEM file: its end, whether it is valid for a host name or address, and
 * whether its key is one of RSA. */
int pki_expiry(const char *pem_path, int64_t *ends_at_ms, struct err *e);
int pki_covers(const char *pem_path, const char *name, bool *covers, struct err *e);
int pki_is_rsa(const char *pem_path, bool *rsa, struct err *e);

#endif
