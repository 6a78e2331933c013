#include "base/pki_client.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

struct identity {
    char common_name[DEVICE_SIZE], product[PRODUCT_SIZE], device[DEVICE_SIZE];
};

/* A text of the certificate with its end; false when it does not fit, or holds a zero, behind which a reader
 * in C would see another name than the authority. */
static bool take_text(const void *text, int len, char *out, size_t size)
{
    if (len < 0 || (size_t)len >= size || memchr(text, '\0', (size_t)len))
        return false;
    memcpy(out, text, (size_t)len);
    out[len] = '\0';
    return true;
}

static int read_common_name(X509 *cert, char out[DEVICE_SIZE], struct err *e)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return err_set(e, ERR_INVALID, "the certificate has no common name");
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return err_set(e, ERR_INVALID, "the certificate has several common names");
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool right = take_text(text, len, out, DEVICE_SIZE) && str_is_name(out, DEVICE_SIZE);
    OPENSSL_free(text);
    return right ? 0 : err_set(e, ERR_INVALID, "the certificate's common name is no name of a device");
}

/* product/device */
static bool split(const char *text, struct identity *out)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    if (n >= PRODUCT_SIZE || !slash)
        return false;
    memcpy(out->product, text, n);
    out->product[n] = '\0';
    return str_is_name(out->product, PRODUCT_SIZE) && str_is_name(slash + 1, DEVICE_SIZE) &&
           str_copy(out->device, DEVICE_SIZE, slash + 1);
}

static int read_uri(const ASN1_IA5STRING *uri, struct identity *out, struct err *e)
{
    char text[PKI_CLIENT_URN_SIZE];
    const size_t prefix = sizeof PKI_CLIENT_URN - 1;
    const unsigned char *bytes = ASN1_STRING_get0_data(uri);
    int len = ASN1_STRING_length(uri);
    if (len < (int)prefix || memcmp(bytes, PKI_CLIENT_URN, prefix) != 0)
        return 0;
    if (*out->product)
        return err_set(e, ERR_INVALID, "the certificate names several devices");
    if (!take_text(bytes, len, text, sizeof text) || !split(text + prefix, out))
        return err_set(e, ERR_INVALID,
                       "the certificate's " PKI_CLIENT_URN " is not followed by product/device");
    if (strcmp(out->device, out->common_name) != 0)
        return err_set(e, ERR_INVALID, "the certificate's common name %s is not its device %s",
                       out->common_name, out->device);
    return 0;
}

static int read_uris(X509 *cert, struct identity *out, struct err *e)
{
    int found, rc = 0; /* found: -1 there is no such extension, -2 there are several */
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &found, NULL);
    if (!names && found != -1)
        return err_set(e, ERR_INVALID, "the certificate's alternative names cannot be read");
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && rc == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI)
            rc = read_uri(name->d.uniformResourceIdentifier, out, e);
    }
    GENERAL_NAMES_free(names);
    return rc;
}

static X509 *decode(const unsigned char *der, size_t len)
{
    const unsigned char *end = der;
    X509 *cert = len <= INT_MAX ? d2i_X509(NULL, &end, (long)len) : NULL;
    if (cert && end == der + len)
        return cert;
    X509_free(cert);
    return NULL;
}

int pki_client_identity(const unsigned char *der, size_t len, char common_name[DEVICE_SIZE],
                        char product[PRODUCT_SIZE], char device[DEVICE_SIZE], struct err *e)
{
    struct identity found = {0};
    ERR_set_mark();
    X509 *cert = decode(der, len);
    int rc = cert ? read_common_name(cert, found.common_name, e)
                  : err_set(e, ERR_INVALID, "not a certificate in DER");
    if (rc == 0)
        rc = read_uris(cert, &found, e);
    X509_free(cert);
    ERR_pop_to_mark();
    if (rc)
        return rc;
    str_copy(common_name, DEVICE_SIZE, found.common_name);
    str_copy(product, PRODUCT_SIZE, found.product);
    str_copy(device, DEVICE_SIZE, found.device);
    return 0;
}

/* ---- its number */

/* The shortest form: a reader's digits then equal any other's. */
static bool format_serial(const unsigned char *bytes, size_t len, char out[PKI_CLIENT_SERIAL_SIZE])
{
    for (; len > 1 && *bytes == 0; len--)
        bytes++;
    if (len == 0 || 2 * len >= PKI_CLIENT_SERIAL_SIZE)
        return false;
    hex_format(bytes, len, out);
    return true;
}

static int read_serial(X509 *cert, char out[PKI_CLIENT_SERIAL_SIZE], struct err *e)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(serial);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || len <= 0 ||
        !format_serial(ASN1_STRING_get0_data(serial), (size_t)len, out))
        return err_set(e, ERR_INVALID, "the certificate's serial number is negative or too long");
    return 0;
}

int pki_client_serial(const unsigned char *der, size_t len, char out[PKI_CLIENT_SERIAL_SIZE], struct err *e)
{
    ERR_set_mark();
    X509 *cert = decode(der, len);
    int rc = cert ? read_serial(cert, out, e) : err_set(e, ERR_INVALID, "not a certificate in DER");
    X509_free(cert);
    ERR_pop_to_mark();
    return rc;
}

bool pki_client_serial_parse(const char *text, char out[PKI_CLIENT_SERIAL_SIZE])
{
    char digits[PKI_CLIENT_SERIAL_SIZE + 1] = "0";
    unsigned char bytes[PKI_CLIENT_SERIAL_SIZE / 2];
    while (text[0] == '0' && text[1])
        text++;
    size_t len = strlen(text), odd = len % 2;
    if (len == 0 || len >= PKI_CLIENT_SERIAL_SIZE)
        return false;
    memcpy(digits + odd, text, len + 1);
    len = (len + odd) / 2;
    return hex_parse(digits, bytes, len) && format_serial(bytes, len, out);
}
