/* client_cert.h: the certificate at the other end of a TLS session: verified, and whom it names. A handshake
 * proves no more than that the other end holds its key: GnuTLS takes any certificate, and leaves the rest to
 * whoever asks here. */
#ifndef OTAD_HTTP_CLIENT_CERT_H
#define OTAD_HTTP_CLIENT_CERT_H

#include "base/err.h"
#include "base/pki_client.h"

#include <gnutls/gnutls.h>

struct client_cert {
    char device[DEVICE_SIZE];
    char product[PRODUCT_SIZE]; /* "" it names none */
    char serial[PKI_CLIENT_SERIAL_SIZE];
    int64_t ends_at_ms;
};

/* Signed by a CA of the session's credentials, valid now, not for servers alone (extended key usage), and of
 * one device. A session that was resumed has the certificate of the one that it goes on from.
 * ERR_UNAUTHORIZED says what is wrong with it. */
int client_cert_verify(gnutls_session_t session, struct client_cert *out, struct err *e);

#endif
