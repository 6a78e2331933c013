#include "base/digest.h"

#include "base/str.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SHA256, SHA1, MD5, KINDS };

_Static_assert(DIGEST_SHA256 == 1U << SHA256 && DIGEST_SHA1 == 1U << SHA1 && DIGEST_MD5 == 1U << MD5,
               "digest.h has a bit for each");

struct digester {
    EVP_MD_CTX *ctx[KINDS]; /* NULL: not asked for */
};

/* Only memory that has run out, or a libcrypto without these digests, gets here; neither leaves anything to
 * do. */
static void must(bool done)
{
    if (!done)
        abort();
}

static void *allocate(size_t len, const char *file, int line)
{
    (void)file, (void)line;
    void *at = len ? malloc(len) : NULL;
    must(at || !len);
    return at;
}

static void release(void *at, const char *file, int line)
{
    (void)file, (void)line;
    free(at);
}

static void *reallocate(void *at, size_t len, const char *file, int line)
{
    if (len == 0) {
        release(at, file, line);
        return NULL;
    }
    at = realloc(at, len);
    must(at != NULL);
    return at;
}

void crypto_lacks_no_memory(void)
{
    must(CRYPTO_set_mem_functions(allocate, reallocate, release) == 1);
}

struct digester *digester_begin(void)
{
    return digester_begin_of(DIGEST_SHA256 | DIGEST_SHA1 | DIGEST_MD5);
}

struct digester *digester_begin_of(unsigned digests)
{
    const EVP_MD *kinds[KINDS] = {[SHA256] = EVP_sha256(), [SHA1] = EVP_sha1(), [MD5] = EVP_md5()};
    struct digester *d = calloc(1, sizeof *d);
    must(d != NULL);
    for (int i = 0; i < KINDS; i++) {
        if (!(digests >> i & 1U))
            continue;
        d->ctx[i] = EVP_MD_CTX_new();
        must(d->ctx[i] && EVP_DigestInit_ex(d->ctx[i], kinds[i], NULL) == 1);
    }
    return d;
}

void digester_add(struct digester *d, const void *bytes, size_t len)
{
    for (int i = 0; i < KINDS; i++)
        must(!d->ctx[i] || EVP_DigestUpdate(d->ctx[i], bytes, len) == 1);
}

void digester_end(struct digester *d, struct digests *out)
{
    char *texts[KINDS] = {NULL};
    if (out) {
        texts[SHA256] = out->sha256;
        texts[SHA1] = out->sha1;
        texts[MD5] = out->md5;
    }
    for (int i = 0; i < KINDS; i++) {
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        if (out) {
            must(!d->ctx[i] || EVP_DigestFinal_ex(d->ctx[i], bytes, &len) == 1);
            hex_format(bytes, len, texts[i]);
        }
        EVP_MD_CTX_free(d->ctx[i]);
    }
    free(d);
}

/* OpenSSL looks an algorithm up by its name each time that it is asked for one, which takes longer than the
 * digest of a line: they are looked up once, and kept until the process ends. */
static struct {
    pthread_once_t once;
    EVP_MD *sha256;
    EVP_MAC_CTX *hmac[HASHES]; /* without a key: what is copied for each use */
} found = {.once = PTHREAD_ONCE_INIT};

static void find_algorithms(void)
{
    static const char *const names[HASHES] = {
        [HASH_MD5] = "MD5", [HASH_SHA1] = "SHA1", [HASH_SHA256] = "SHA256"};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    found.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(mac && found.sha256);
    for (int i = 0; i < HASHES; i++) {
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)names[i], 0),
            OSSL_PARAM_construct_end()};
        found.hmac[i] = EVP_MAC_CTX_new(mac);
        must(found.hmac[i] && EVP_MAC_CTX_set_params(found.hmac[i], params) == 1);
    }
    EVP_MAC_free(mac); /* each context has a share of it */
}

void sha256(const void *bytes, size_t len, unsigned char out[SHA256_BYTES])
{
    pthread_once(&found.once, find_algorithms);
    must(EVP_Digest(bytes, len, out, NULL, found.sha256, NULL) == 1);
}

size_t hmac(enum hash hash, const void *key, size_t key_len, const void *bytes, size_t len,
            unsigned char out[HMAC_BYTES_MAX])
{
    size_t written = 0;
    pthread_once(&found.once, find_algorithms);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(found.hmac[hash]);
    must(ctx && EVP_MAC_init(ctx, key, key_len, NULL) == 1 && EVP_MAC_update(ctx, bytes, len) == 1 &&
         EVP_MAC_final(ctx, out, &written, HMAC_BYTES_MAX) == 1);
    EVP_MAC_CTX_free(ctx);
    return written;
}

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 unsigned char out[SHA256_BYTES])
{
    hmac(HASH_SHA256, key, key_len, bytes, len, out);
}

bool same_secret(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

void random_bytes(void *out, size_t len)
{
    unsigned char *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        must(n > 0 || (n < 0 && errno == EINTR));
        if (n < 0)
            continue;
        p += n;
        len -= (size_t)n;
    }
}
