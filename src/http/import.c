#include "import.h"

#include "api.h"

#include <string.h>
#include <strings.h>

enum import_kind import_kind_of(const char *content_type, const char *text)
{
    if (content_type && strncasecmp(content_type, "text/csv", 8) == 0)
        return IMPORT_CSV;
    if (content_type && strstr(content_type, "json"))
        return IMPORT_NDJSON;
    return text[strspn(text, " \t\r\n")] == '{' ? IMPORT_NDJSON : IMPORT_CSV;
}

/* ---- CSV: one record a call, in place */

static void skip_blank_lines(struct import_reader *in)
{
    for (; *in->at == '\n' || (*in->at == '\r' && in->at[1] == '\n'); in->at++)
        in->line += *in->at == '\n';
}

/* At the byte behind the quote that opens it; leaves at behind the quote that closes it. */
static int quoted_field(struct import_reader *in, struct err *e)
{
    char *w = in->at;
    while (in->at < in->end && (*in->at != '"' || in->at[1] == '"')) {
        in->at += *in->at == '"';
        in->line += *in->at == '\n';
        *w++ = *in->at++;
    }
    if (in->at == in->end)
        return err_set(e, ERR_INVALID, "a quoted field does not end");
    in->at++;
    if (!strchr(",\r\n", *in->at))
        return err_set(e, ERR_INVALID, "there is something between a closing quote and the next comma");
    *w = '\0'; /* at the closing quote or before it */
    return 0;
}

static int csv_field(struct import_reader *in, char **out, struct err *e)
{
    if (*in->at == '"') {
        *out = ++in->at;
        return quoted_field(in, e);
    }
    *out = in->at;
    in->at += strcspn(in->at, ",\r\n\"");
    if (*in->at == '"')
        return err_set(e, ERR_INVALID, "there is a quote inside a field that is not quoted");
    return 0;
}

/* Ends the field at at; true when another one follows on this line. */
static bool end_field(struct import_reader *in)
{
    char ended_by = *in->at;
    if (in->at == in->end)
        return false;
    *in->at++ = '\0';
    if (ended_by == '\r' && *in->at == '\n')
        in->at++;
    in->line += ended_by != ',';
    return ended_by == ',';
}

/* The fields of the next line that is not blank; *n is 0 at the end. */
static int csv_record(struct import_reader *in, char *fields[], size_t cap, size_t *n, struct err *e)
{
    size_t count = 0;
    skip_blank_lines(in);
    if (in->at < in->end) {
        do {
            if (count == cap)
                return err_set(e, ERR_INVALID, "there are more than %zu fields", cap);
            if (csv_field(in, &fields[count++], e))
                return -(int)e->code;
        } while (end_field(in));
    }
    *n = count;
    return 0;
}

/* ---- the head line */

static bool is_tag(const char *column)
{
    return strncmp(column, "tag.", 4) == 0;
}

static int check_column(const struct import_reader *in, size_t i, struct err *e)
{
    const char *column = in->column[i];
    bool known =
        strcmp(column, "product") == 0 || strcmp(column, "name") == 0 || strcmp(column, "secret") == 0;
    for (size_t k = 0; k < i; k++)
        if (strcmp(in->column[k], column) == 0)
            return err_set(e, ERR_INVALID, "column \"%.70s\" comes twice", column);
    if (is_tag(column))
        return api_tag_check(column + 4, "", "tag", e);
    if (!known)
        return err_set(e, ERR_INVALID,
                       "unknown column \"%.70s\": product, name, secret and tag.KEY are known", column);
    return 0;
}

static int need_column(const struct import_reader *in, const char *name, struct err *e)
{
    for (size_t i = 0; i < in->columns; i++)
        if (strcmp(in->column[i], name) == 0)
            return 0;
    return err_field(e, ERR_INVALID, name, "column %s is missing", name);
}

static int read_head(struct import_reader *in, struct err *e)
{
    int rc = csv_record(in, in->column, IMPORT_COLUMNS_MAX, &in->columns, e);
    for (size_t i = 0; i < in->columns && rc == 0; i++)
        rc = check_column(in, i, e);
    if (rc == 0)
        rc = need_column(in, "product", e);
    return rc ? rc : need_column(in, "name", e);
}

int import_open(struct import_reader *in, enum import_kind kind, char *text, size_t len, struct err *e)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    *in = (struct import_reader){.kind = kind, .at = text, .end = text + len, .line = 1};
    if (strlen(text) != len)
        return err_set(e, ERR_BAD_REQUEST, "there is a zero byte in the text");
    if (strncmp(text, byte_order_mark, 3) == 0)
        in->at += 3;
    if (kind == IMPORT_CSV && read_head(in, e) < 0)
        return err_wrap(e, "line 1");
    return 0;
}

/* ---- rows */

static int take_name(const char *field, const char *text, char *out, size_t size, struct err *e)
{
    if (!str_is_name(text, size))
        return err_field(e, ERR_INVALID, field, "%s must be 1 to %zu of A-Z a-z 0-9 _ . : @ -", field,
                         size - 1);
    str_copy(out, size, text);
    return 0;
}

static int take_secret(const char *text, struct import_row *out, struct err *e)
{
    int rc = *text ? api_secret_check("secret", text, e) : 0;
    if (rc == 0)
        str_copy(out->secret, sizeof out->secret, text);
    return rc;
}

/* An empty cell is no tag. */
static int take_tag(const char *key, const char *value, struct import_row *out, struct err *e)
{
    int rc = api_tag_check(key, value, "tag", e);
    out->has_tags = true;
    if (rc || !*value)
        return rc;
    str_copy(out->tags[out->tag_count].key, TAG_KEY_SIZE, key);
    str_copy(out->tags[out->tag_count].value, TAG_VALUE_SIZE, value);
    out->tag_count++;
    return 0;
}

static int take_cell(const char *column, const char *text, struct import_row *out, struct err *e)
{
    if (is_tag(column))
        return take_tag(column + 4, text, out, e);
    if (strcmp(column, "product") == 0)
        return take_name("product", text, out->product, sizeof out->product, e);
    if (strcmp(column, "name") == 0)
        return take_name("name", text, out->name, sizeof out->name, e);
    return take_secret(text, out, e);
}

static int next_csv(struct import_reader *in, struct import_row *out, struct err *e)
{
    char *cell[IMPORT_COLUMNS_MAX];
    size_t n = 0;
    int rc;
    skip_blank_lines(in);
    out->line = in->line;
    rc = csv_record(in, cell, IMPORT_COLUMNS_MAX, &n, e);
    if (rc || n == 0)
        return rc;
    if (n != in->columns)
        return err_set(e, ERR_INVALID, "there are %zu fields, and %zu columns", n, in->columns);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = take_cell(in->column[i], cell[i], out, e);
    return rc ? rc : 1;
}

static int read_object(const json_t *object, struct import_row *out, struct err *e)
{
    const json_t *tags = NULL;
    const struct json_field fields[] = {
        {.key = "product",
         .kind = JSON_KIND_NAME,
         .out = out->product,
         .size = sizeof out->product,
         .required = true},
        {.key = "name", .kind = JSON_KIND_NAME, .out = out->name, .size = sizeof out->name, .required = true},
        {.key = "secret", .kind = JSON_KIND_EMPTY, .out = out->secret, .size = sizeof out->secret},
        {.key = "tags", .kind = JSON_KIND_OBJECT, .out = &tags, .present = &out->has_tags},
    };
    int rc = json_read(object, fields, ARRAY_SIZE(fields), true, e);
    if (rc == 0 && *out->secret)
        rc = api_secret_check("secret", out->secret, e);
    if (rc == 0 && tags)
        rc = api_tags_read(tags, "tags", out->tags, &out->tag_count, e);
    return rc;
}

static int next_object(struct import_reader *in, struct import_row *out, struct err *e)
{
    json_t *object;
    skip_blank_lines(in);
    out->line = in->line;
    if (in->at == in->end)
        return 0;
    size_t len = strcspn(in->at, "\n");
    int rc = json_parse(in->at, len, &object, e);
    in->at += len;
    if (rc)
        return rc;
    rc = read_object(object, out, e);
    json_decref(object);
    return rc ? rc : 1;
}

int import_next(struct import_reader *in, struct import_row *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    int rc = in->kind == IMPORT_CSV ? next_csv(in, out, e) : next_object(in, out, e);
    if (rc > 0 && ++in->rows > IMPORT_ROWS_MAX)
        rc = err_set(e, ERR_INVALID, "there are more than %d rows", IMPORT_ROWS_MAX);
    return rc < 0 ? err_wrap(e, "line %zu", out->line) : rc;
}
