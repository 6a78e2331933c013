/* Texts of devices that come back in answers. */
#include "aliyun_private.h"
#include "protocol/liberal.h"

void aliyun_plain(const json_t *value, char *out, size_t size)
{
    char digits[24] = "";
    const char *from = json_string_value(value);
    size_t n = 0;
    if (!from && liberal_text(value, digits, sizeof digits))
        from = digits;
    for (; from && *from && n + 1 < size; from++)
        if (*from > 0x20 && *from < 0x7f && *from != '"' && *from != '\\')
            out[n++] = *from;
    out[n] = '\0';
}
