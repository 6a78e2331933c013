/* A request for a certificate in PEM. Whatever it asks for, the certificate names the device it is made for,
 * and no other. */
#include "fuzz_folder.h"

#include "base/pki_client.h"
#include "base/pki_device.h"

#define NOW_MS 1800000000000

static const char *ca_folder(void)
{
    static const char *folder;
    struct err e;
    if (!folder) {
        folder = fuzz_folder_make();
        assert(pki_ensure_cas(folder, PKI_P256, &e) == 0);
    }
    return folder;
}

/* Of the first block of a PEM text; the length, 0 where it is none. */
static size_t pem_bytes(const char *pem, unsigned char *der, size_t size)
{
    char *text = malloc(strlen(pem) + 1), *w = text;
    const char *p = strchr(pem, '\n'), *end = strstr(pem, "-----END");
    assert(text && p && end);
    for (; p < end; p++)
        if (*p != '\n')
            *w++ = *p;
    *w = '\0';
    int n = base64_parse(text, der, size);
    free(text);
    return n > 0 ? (size_t)n : 0;
}

static void check_made(const struct pki_device_cert *made)
{
    unsigned char der[PKI_CERT_TEXT_SIZE];
    char name[DEVICE_SIZE], product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct err e;
    size_t n = pem_bytes(made->cert, der, sizeof der);
    assert(n > 0 && !*made->key && strlen(made->serial) == PKI_SERIAL_TEXT_SIZE - 1);
    assert(made->ends_at_ms > NOW_MS);
    assert(pki_client_identity(der, n, name, product, device, &e) == 0);
    assert(strcmp(name, "kitchen") == 0 && strcmp(product, "thermo") == 0 && strcmp(device, "kitchen") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *csr = fuzz_text(&data, &size, '\0');
    const struct pki_device_wish wish = {
        .product = "thermo", .device = "kitchen", .csr = csr, .days = 30, .now_ms = NOW_MS};
    struct pki_device_cert made = {0};
    struct err e = {0};
    int rc = pki_device_issue(ca_folder(), &wish, &made, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    else
        check_made(&made);
    free(csr);
    return 0;
}
