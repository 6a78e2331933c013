#include "base/err.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *word;
} codes[ERR_CODES] = {[ERR_NONE] = {200, "ok"},
#define X(name, status, word) [name] = {status, word},
                      ERR_TABLE(X)
#undef X
};

__attribute__((format(printf, 4, 0))) static int fill(struct err *e, enum err_code code, const char *field,
                                                      const char *format, va_list args)
{
    e->code = code;
    snprintf(e->field, sizeof e->field, "%s", field);
    vsnprintf(e->text, sizeof e->text, format, args);
    /* what was cut may end within a character */
    str_clean(e->field);
    str_clean(e->text);
    return -(int)code;
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fill(e, code, "", format, args);
    va_end(args);
    return rc;
}

int err_field(struct err *e, enum err_code code, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fill(e, code, field, format, args);
    va_end(args);
    return rc;
}

int err_wrap(struct err *e, const char *format, ...)
{
    char context[160];
    struct err inner = *e;
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    return err_field(e, inner.code, inner.field, "%s: %s", context, inner.text);
}

int err_under(struct err *e, const char *parent)
{
    char field[sizeof e->field];
    snprintf(field, sizeof field, "%.20s.%.40s", parent, e->field);
    str_clean(field); /* a character may have been cut in two */
    memcpy(e->field, field, sizeof field);
    return -(int)e->code;
}

int err_errno(struct err *e, const char *format, ...)
{
    int saved = errno;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    enum err_code code = saved == ENOSPC || saved == EDQUOT ? ERR_NO_SPACE : ERR_INTERNAL;
    return err_set(e, code, "%s: %s", what, strerror(saved));
}

int err_status(enum err_code code)
{
    return codes[code].status;
}

const char *err_word(enum err_code code)
{
    return codes[code].word;
}
