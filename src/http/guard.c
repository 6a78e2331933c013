#include "http/guard.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

/* Fields whose doubles would leave it to chance which one counts. */
enum single { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, OTHERS };
static const char *const singles[] = {
    [HOST] = "Host",
    [CONTENT_LENGTH] = "Content-Length",
    [TRANSFER_ENCODING] = "Transfer-Encoding",
    [EXPECT] = "Expect",
    [OTHERS] = "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Idempotency-Key",
    "If-Modified-Since",
    "If-Range",
    "If-Unmodified-Since",
    "Range",
    "X-Content-SHA256",
    "X-Signature",
};

/* RFC 9110 5.6.2 */
static bool is_token(const char *text, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return len > 0;
}

static bool is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_method(const char *method)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}

static int check_fields(const struct guard_request *r, struct err *e)
{
    size_t total = 0;
    if (r->n > GUARD_HEADERS_MAX)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "the request has more than %d header fields",
                       GUARD_HEADERS_MAX);
    for (size_t i = 0; i < r->n; i++) {
        const struct guard_header *h = &r->headers[i];
        total += h->name_len + h->value_len + 4;
        if (!is_token(h->name, h->name_len))
            return err_set(e, ERR_BAD_REQUEST,
                           "a header field's name holds a character that is not allowed there");
        if (!is_value(h->value, h->value_len))
            return err_set(e, ERR_BAD_REQUEST, "the header field %.40s holds a control character", h->name);
    }
    if (total > GUARD_HEAD_BYTES_MAX)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "the header fields are longer than %d bytes",
                       GUARD_HEAD_BYTES_MAX);
    return 0;
}

static int find_single(const struct guard_request *r, const char *name, const struct guard_header **out,
                       struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < r->n; i++) {
        if (strcasecmp(r->headers[i].name, name) != 0)
            continue;
        if (*out)
            return err_field(e, ERR_BAD_REQUEST, name, "the header field %s comes twice", name);
        *out = &r->headers[i];
    }
    return 0;
}

size_t guard_trimmed(const char *value, size_t len)
{
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

static bool value_is(const struct guard_header *h, const char *word)
{
    size_t want = strlen(word);
    return guard_trimmed(h->value, h->value_len) == want && strncasecmp(h->value, word, want) == 0;
}

static int read_length(const struct guard_header *h, struct framing *out, struct err *e)
{
    char digits[32];
    size_t len = guard_trimmed(h->value, h->value_len);
    if (len == 0 || strspn(h->value, "0123456789") < len)
        return err_field(e, ERR_BAD_REQUEST, "Content-Length", "Content-Length is not a number");
    if (len >= sizeof digits)
        return err_field(e, ERR_TOO_LARGE, "Content-Length", "Content-Length is beyond all measure");
    memcpy(digits, h->value, len);
    digits[len] = '\0';
    if (!str_to_uint(digits, INT64_MAX, &out->length))
        return err_field(e, ERR_TOO_LARGE, "Content-Length", "Content-Length is beyond all measure");
    out->has_length = true;
    return 0;
}

static int read_framing(const struct guard_request *r, const struct guard_header *const found[],
                        struct framing *out, struct err *e)
{
    const struct guard_header *coding = found[TRANSFER_ENCODING], *expect = found[EXPECT];
    if (coding && found[CONTENT_LENGTH])
        return err_set(e, ERR_BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other");
    if (coding && (!value_is(coding, "chunked") || strcmp(r->version, "HTTP/1.1") != 0))
        return err_set(e, ERR_BAD_REQUEST, "the only Transfer-Encoding taken is chunked");
    out->chunked = coding != NULL;
    out->expects_continue = expect && value_is(expect, "100-continue");
    return found[CONTENT_LENGTH] ? read_length(found[CONTENT_LENGTH], out, e) : 0;
}

int guard_check(const struct guard_request *r, struct framing *out, struct err *e)
{
    const struct guard_header *found[ARRAY_SIZE(singles)];
    *out = (struct framing){0};
    if (!is_method(r->method))
        return err_set(e, ERR_METHOD, "this method is not used here");
    if (strcmp(r->version, "HTTP/1.1") != 0 && strcmp(r->version, "HTTP/1.0") != 0)
        return err_set(e, ERR_BAD_REQUEST, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    int rc = check_fields(r, e);
    for (size_t i = 0; i < ARRAY_SIZE(singles) && rc == 0; i++)
        rc = find_single(r, singles[i], &found[i], e);
    if (rc)
        return rc;
    bool host_needed = strcmp(r->version, "HTTP/1.1") == 0;
    if (host_needed ? !found[HOST] || found[HOST]->value_len == 0
                    : found[HOST] && found[HOST]->value_len == 0)
        return err_field(e, ERR_BAD_REQUEST, "Host", "the header field Host is missing");
    return read_framing(r, found, out, e);
}
