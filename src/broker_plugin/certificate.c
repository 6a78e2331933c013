#include "certificate.h"

#include <stdbool.h>
/* mosquitto_broker.h needs it before */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <openssl/x509.h>

/* OpenSSL verifies when a session begins, and not again when it is resumed, hours later. */
static bool is_over(const X509 *shown)
{
    return X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0;
}

static int read_names(X509 *shown, struct certificate *out, struct err *e)
{
    char device[DEVICE_SIZE];
    unsigned char *der = NULL;
    int len = i2d_X509(shown, &der);
    if (len <= 0)
        return err_set(e, ERR_INTERNAL, "out of memory");
    int rc = pki_client_identity(der, (size_t)len, out->common_name, out->product, device, e);
    if (rc == 0)
        rc = pki_client_serial(der, (size_t)len, out->serial, e);
    OPENSSL_free(der);
    return rc < 0 ? -(int)(e->code = ERR_UNAUTHORIZED) : 1;
}

int certificate_of(const struct mosquitto *client, struct certificate *out, struct err *e)
{
    X509 *shown = mosquitto_client_certificate(client);
    if (!shown)
        return 0;
    int rc = is_over(shown) ? err_set(e, ERR_UNAUTHORIZED, "its certificate has expired")
                            : read_names(shown, out, e);
    X509_free(shown);
    return rc;
}
