/* First line: a content type; the rest: devices to import. A row that is taken, written as CSV and as JSON,
 * is the same row again. */
#include "fuzz.h"

#include "../../src/http/import.h"

#include <stdio.h>

#define TEXT_MAX 65536

static void same_row(const struct import_row *a, const struct import_row *b)
{
    assert(strcmp(a->product, b->product) == 0 && strcmp(a->name, b->name) == 0);
    assert(strcmp(a->secret, b->secret) == 0 && a->tag_count == b->tag_count);
    for (size_t i = 0; i < a->tag_count; i++)
        assert(strcmp(a->tags[i].key, b->tags[i].key) == 0 &&
               strcmp(a->tags[i].value, b->tags[i].value) == 0);
}

/* text holds this row and no other. */
static void read_again(enum import_kind kind, char *text, const struct import_row *row)
{
    struct import_reader in;
    struct import_row again;
    struct err e;
    assert(import_open(&in, kind, text, strlen(text), &e) == 0);
    assert(import_next(&in, &again, &e) == 1);
    same_row(row, &again);
    assert(import_next(&in, &again, &e) == 0);
}

static void quote(FILE *out, const char *text)
{
    fputs(",\"", out);
    for (; *text; text++)
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

/* In CSV a tag with an empty value cannot be said. */
static bool has_empty_tag(const struct import_row *row)
{
    for (size_t i = 0; i < row->tag_count; i++)
        if (!*row->tags[i].value)
            return true;
    return false;
}

static void write_csv(const struct import_row *row)
{
    char *text = malloc(TEXT_MAX);
    assert(text);
    FILE *out = fmemopen(text, TEXT_MAX, "w");
    assert(out);
    fputs("product,name,secret", out);
    for (size_t i = 0; i < row->tag_count; i++)
        fprintf(out, ",tag.%s", row->tags[i].key);
    fprintf(out, "\r\n%s", row->product);
    quote(out, row->name);
    quote(out, row->secret);
    for (size_t i = 0; i < row->tag_count; i++)
        quote(out, row->tags[i].value);
    fputs("\r\n", out);
    fclose(out);
    read_again(IMPORT_CSV, text, row);
    free(text);
}

static void write_json(const struct import_row *row)
{
    json_t *object = json_object(), *tags = json_object();
    json_put_text(object, "product", row->product);
    json_put_text(object, "name", row->name);
    json_put_text(object, "secret", row->secret);
    for (size_t i = 0; i < row->tag_count; i++)
        json_put_text(tags, row->tags[i].key, row->tags[i].value);
    json_put(object, "tags", tags);
    char *text = json_text(object);
    read_again(IMPORT_NDJSON, text, row);
    free(text);
    json_decref(object);
}

static void check_row(const struct import_row *row)
{
    assert(str_is_name(row->product, sizeof row->product) && str_is_name(row->name, sizeof row->name));
    assert(row->line >= 1 && row->tag_count <= TAGS_MAX);
    for (size_t i = 0; i < row->tag_count; i++)
        assert(str_is_name(row->tags[i].key, TAG_KEY_SIZE));
    if (!has_empty_tag(row))
        write_csv(row);
    write_json(row);
}

static void read_rows(enum import_kind kind, char *text, size_t size)
{
    struct import_reader in;
    struct import_row row;
    struct err e = {0};
    size_t line = 0;
    int rc = import_open(&in, kind, text, size, &e);
    while (rc == 0 && (rc = import_next(&in, &row, &e)) > 0) {
        assert(row.line > line);
        line = row.line;
        check_row(&row);
        rc = 0;
    }
    if (rc < 0)
        fuzz_check_failure(rc, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *type = fuzz_text(&data, &size, '\n'), *text = malloc(size + 1);
    assert(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    read_rows(import_kind_of(*type ? type : NULL, text), text, size);
    free(text);
    free(type);
    return 0;
}
