/* pki_client.h: whom a device's certificate names.
 *
 * A certificate that otad makes (pki_device.h) carries the device twice: its name as the subject's common
 * name, where AWS's clients and brokers look for it, and product and name as a subjectAltName of the kind
 * URI: urn:otad:<product>/<device>        urn:otad:thermo/kitchen All that names may hold stands in a URN as
 * it is (RFC 8141 2), and no name holds a slash.
 *
 * This says what a certificate states, not that it is true: chain and dates are checked by who took the
 * connection. Pure and thread-safe; leaves OpenSSL's queue of errors as it was, since it runs inside the
 * broker too. */
#ifndef OTAD_BASE_PKI_CLIENT_H
#define OTAD_BASE_PKI_CLIENT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define PKI_CLIENT_URN "urn:otad:"
#define PKI_CLIENT_URN_SIZE \
    (sizeof PKI_CLIENT_URN - 1 + PRODUCT_SIZE + DEVICE_SIZE) /* the slash is one end */

/* der: one certificate, len bytes and no more. product and device are "" when it carries no such URI.
 * ERR_INVALID for what is no certificate, and for one that could be read in two ways: no common name or
 * several, one that is no name of a device (str_is_name), several URIs of ours or one of another form, or one
 * that names another device than the common name. */
int pki_client_identity(const unsigned char *der, size_t len, char common_name[DEVICE_SIZE],
                        char product[PRODUCT_SIZE], char device[DEVICE_SIZE], struct err *e);

/* A certificate's number in lower-case hex, without leading zeros but for an even number of digits. */
#define PKI_CLIENT_SERIAL_SIZE 41 /* 20 bytes (RFC 5280 4.1.2.2) */

/* Of the certificate; ERR_INVALID for what is none, and for a number that is negative or longer. */
int pki_client_serial(const unsigned char *der, size_t len, char out[PKI_CLIENT_SERIAL_SIZE], struct err *e);

/* Of a text in hex, in whatever case and with leading zeros; false for another or a longer one. */
bool pki_client_serial_parse(const char *text, char out[PKI_CLIENT_SERIAL_SIZE]);

#endif
