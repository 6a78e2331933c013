#include "client_cert.h"

#include <gnutls/x509.h>
#include <string.h>

static int refuse(unsigned status, struct err *e)
{
    gnutls_datum_t why = {NULL, 0};
    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
    char *text = (char *)why.data;
    /* it is sentences, each with a blank behind its full stop */
    for (size_t len = text ? strlen(text) : 0; len && strchr(". ", text[len - 1]); len--)
        text[len - 1] = '\0';
    err_set(e, ERR_UNAUTHORIZED, "the client certificate is refused: %s", text ? text : "");
    gnutls_free(why.data);
    return -ERR_UNAUTHORIZED;
}

static int verify(gnutls_session_t session, struct err *e)
{
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID,
                                     (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    unsigned status;
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    if (rc < 0)
        return err_set(e, ERR_UNAUTHORIZED, "the client certificate cannot be verified: %s",
                       gnutls_strerror(rc));
    return status ? refuse(status, e) : 0;
}

static int read_names(const gnutls_datum_t *der, struct client_cert *out, struct err *e)
{
    char common_name[DEVICE_SIZE], device[DEVICE_SIZE];
    int rc = pki_client_identity(der->data, der->size, common_name, out->product, device, e);
    if (rc == 0)
        rc = pki_client_serial(der->data, der->size, out->serial, e);
    if (rc)
        return -(int)(e->code = ERR_UNAUTHORIZED);
    str_copy(out->device, sizeof out->device, common_name);
    return 0;
}

int client_cert_verify(gnutls_session_t session, struct client_cert *out, struct err *e)
{
    struct client_cert found;
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (!chain || n == 0)
        return err_set(e, ERR_UNAUTHORIZED, "no client certificate was shown");
    int rc = verify(session, e);
    if (rc == 0)
        rc = read_names(&chain[0], &found, e);
    if (rc)
        return rc;
    found.ends_at_ms = (int64_t)gnutls_certificate_expiration_time_peers(session) * 1000;
    *out = found;
    return 0;
}
