/* text.c: answers that are text: JSON, and what went wrong. */
#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With an end of line: most readers are people at a terminal. */
char *text_line(const json_t *value)
{
    char *text = json_text(value);
    size_t len = strlen(text);
    char *line = realloc(text, len + 2);
    if (!line)
        abort();
    memcpy(line + len, "\n", 2);
    return line;
}

/* RFC 9457; without a type, which then is about:blank and makes the title the status' own. */
char *text_problem(const struct err *e)
{
    int status = err_status(e->code);
    json_t *problem = json_object();
    json_put_text(problem, "title", MHD_get_reason_phrase_for((unsigned)status));
    json_put_int(problem, "status", status);
    json_put_text(problem, "code", err_word(e->code));
    json_put_text(problem, "detail", e->text);
    if (e->field[0])
        json_put_text(problem, "field", e->field);
    char *text = text_line(problem);
    json_decref(problem);
    return text;
}

struct MHD_Response *text_response(char *text, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    else
        MHD_add_response_header(response, "Content-Type", type);
    return response;
}

struct MHD_Response *problem_response(const struct err *e)
{
    return text_response(text_problem(e), "application/problem+json");
}

/* RFC 6266; the name is quoted, and what could end the quotes is not in it. */
void response_attachment(struct MHD_Response *response, const char *name)
{
    char field[200], safe[129];
    size_t n = 0;
    for (; *name && n < sizeof safe - 1; name++)
        safe[n++] = (unsigned char)*name < 0x20 || strchr("\"\\\x7f", *name) ? '_' : *name;
    safe[n] = '\0';
    snprintf(field, sizeof field, "attachment; filename=\"%s\"", safe);
    if (n)
        MHD_add_response_header(response, "Content-Disposition", field);
}
