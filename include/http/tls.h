/* tls.h: what libmicrohttpd's TLS lacks: our own credentials on each session, so that there can be several
 * certificates, and they can change while the server runs; session tickets; small records for small clients;
 * no delayed acknowledgement in the way of the first answer. With microhttpd the door to GnuTLS. */
#ifndef OTAD_HTTP_TLS_H
#define OTAD_HTTP_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_cert;
struct MHD_Connection;
struct tls;         /* certificate and ticket key of the process; thread-safe */
struct tls_session; /* of one connection */

/* Versions 1.2 and 1.3; AES-128-GCM first: the SHA-512 of the default's suites is slow in nettle. */
#define TLS_PRIORITIES                                                                                     \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:" \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%SERVER_PRECEDENCE"

/* And what firmware of years ago can do: RSA key exchange, AES-CBC, SHA-1 and SHA-256 as their MACs. */
#define TLS_PRIORITIES_COMPATIBLE TLS_PRIORITIES ":+AES-128-CBC:+AES-256-CBC:+SHA1:+SHA256:+RSA"

#define TLS_PEM_SIZE (64 * 1024)

/* A certificate with its chain, and its key. Of several a session gets the one its client can use. */
struct tls_pair {
    const char *cert_path, *key_path;
};

/* client_ca: PEM of the CAs of clients, each of which must show a certificate; NULL asks for none. */
int tls_open(const struct tls_pair pairs[], size_t n, const char *client_ca, struct tls **out, struct err *e);
/* After the last session has ended. NULL is fine. */
void tls_close(struct tls *t);
/* Before the server stops, which must not be with connections suspended: nobody waits for a client any more.
 */
void tls_stop_waiting(struct tls *t);
/* New sessions get the pairs now in the files; one that is bad changes nothing. */
int tls_reload(struct tls *t, const struct tls_pair pairs[], size_t n, const char *client_ca, struct err *e);

/* The handshake has not begun. NULL when there is no memory: the session then has libmicrohttpd's own
 * credentials. */
struct tls_session *tls_session_begin(struct tls *t, struct MHD_Connection *connection, int fd);
/* After GnuTLS let go of the session. NULL is fine. */
void tls_session_end(struct tls_session *s);
/* With each request: the record size the client asked for in its hello can only be set when the handshake is
 * over. */
void tls_session_request(struct tls_session *s);

/* Whether the other end had to show a certificate. False for NULL. */
bool tls_session_demands(const struct tls_session *s);
/* That certificate, which is good: *out is the session's. The signature is verified once a session, resumed
 * or not, its end is looked at each time. ERR_UNAUTHORIZED (http/client_cert). */
int tls_session_client(struct tls_session *s, int64_t now_ms, const struct client_cert **out, struct err *e);

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
