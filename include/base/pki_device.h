/* pki_device.h: certificates that devices show to a server, signed by the device CA of the data directory
 * (pki.h). They hold what pki_client.h reads: the device's name as common name, and
 * urn:otad:<product>/<device> as subjectAltName; clientAuth; backdated by a day, since devices' clocks run
 * behind.
 *
 * Making an RSA key takes some tenths of a second. Any number of threads at once. */
#ifndef OTAD_BASE_PKI_DEVICE_H
#define OTAD_BASE_PKI_DEVICE_H

#include "base/pki.h"

#define PKI_DEVICE_DAYS     825
#define PKI_DEVICE_DAYS_MAX 7305 /* as the CA's own 20 years */

#define PKI_CERT_TEXT_SIZE   8192
#define PKI_KEY_TEXT_SIZE    4096
#define PKI_SERIAL_TEXT_SIZE 33 /* 16 bytes in hex */

struct pki_device_wish {
    const char *product, *device;
    const char *csr;  /* PEM of a PKCS#10 request (RFC 2986), whose key is taken; NULL makes a key */
    enum pki_key key; /* of the key that is made */
    int64_t days;     /* from now on; less where the CA ends sooner */
    int64_t now_ms;
};

struct pki_device_cert {
    char cert[PKI_CERT_TEXT_SIZE]; /* PEM, as the next three */
    char key[PKI_KEY_TEXT_SIZE];   /* PKCS#8; "" when the key came in a CSR. The caller wipes it */
    char ca[PKI_CERT_TEXT_SIZE];   /* the device CA */
    char serial[PKI_SERIAL_TEXT_SIZE];
    int64_t ends_at_ms;
};

/* Of a CSR only the public key counts, which must be one of ECDSA on P-256 or P-384, or RSA of 2048 to 4096
 * bits, and must have signed the request: names and extensions that it asks for are not looked at.
 * ERR_INVALID names "csr", or "name" when the device's is longer than a common name may be (64 characters,
 * X.520). ERR_CONFLICT when the device CA's certificate or key is kept elsewhere. On failure out holds
 * nothing of use. */
int pki_device_issue(const char *dir, const struct pki_device_wish *wish, struct pki_device_cert *out,
                     struct err *e);

#endif
