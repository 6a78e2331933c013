/* tls.h: what libmicrohttpd's TLS lacks: our own credentials on each session, so that a certificate can
 * change while the server runs; session tickets; small records for small clients; no delayed acknowledgement
 * in the way of the first answer. With microhttpd the door to GnuTLS. */
#ifndef OTAD_HTTP_TLS_H
#define OTAD_HTTP_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;
struct tls;         /* certificate and ticket key of the process; thread-safe */
struct tls_session; /* of one connection */

/* Versions 1.2 and 1.3; AES-128-GCM first: the SHA-512 of the default's suites is slow in nettle. */
#define TLS_PRIORITIES                                                                                     \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:" \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%SERVER_PRECEDENCE"

#define TLS_PEM_SIZE (64 * 1024)

int tls_open(const char *cert_path, const char *key_path, struct tls **out, struct err *e);
/* After the last session has ended. NULL is fine. */
void tls_close(struct tls *t);
/* New sessions get the pair now in the files; what is bad changes nothing. */
int tls_reload(struct tls *t, const char *cert_path, const char *key_path, struct err *e);

/* The handshake has not begun. NULL when there is no memory: the session then has libmicrohttpd's own
 * credentials. */
struct tls_session *tls_session_begin(struct tls *t, struct MHD_Connection *connection, int fd);
/* After GnuTLS let go of the session. NULL is fine. */
void tls_session_end(struct tls_session *s);
/* With each request: the record size the client asked for in its hello can only be set when the handshake is
 * over. */
void tls_session_request(struct tls_session *s);

/* A short reply's head and body leave as one record: libmicrohttpd hands them over one by one. gather holds
 * back what is sent from now on, where the socket is sure to take it all at once; release lets it go, and
 * must follow when the reply is complete. Neither waits. NULL is fine. */
#define TLS_GATHER_MAX_BYTES (8 * 1024)
void tls_session_gather(struct tls_session *s);
void tls_session_release(struct tls_session *s);

/* A reply with a body of so many bytes begins. What TLS adds to them makes its last record the one after
 * which nothing follows, however the head and the records are cut. NULL is fine. */
void tls_session_follow(struct tls_session *s, uint64_t bytes);

#endif
