#include "roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int make_numbered(const struct options *o, struct roster *out, struct err *e)
{
    size_t n = (size_t)o->devices;
    struct roster r = {.row = calloc(n, sizeof *r.row), .n = n, .text = calloc(n, DEVICE_SIZE)};
    if (!r.row || !r.text) {
        roster_free(&r);
        return err_errno(e, "cannot hold %zu devices", n);
    }
    for (size_t i = 0; i < n; i++) {
        char *name = r.text + i * DEVICE_SIZE;
        snprintf(name, DEVICE_SIZE, "%s%05lld", o->name_prefix, (long long)o->first + (long long)i);
        r.row[i] = (struct wire_identity){
            .product = o->product, .device = name, .secret = o->secret, .common_secret = true};
    }
    *out = r;
    return 0;
}

static int read_text(const char *path, char **out, struct err *e)
{
    struct stat about;
    FILE *file = fopen(path, "re");
    if (!file)
        return err_errno(e, "cannot open %s", path);
    char *text = fstat(fileno(file), &about) == 0 ? calloc(1, (size_t)about.st_size + 1) : NULL;
    size_t got = text ? fread(text, 1, (size_t)about.st_size, file) : 0;
    bool whole = text && got == (size_t)about.st_size && !ferror(file);
    fclose(file);
    if (!whole) {
        free(text);
        return err_set(e, ERR_INTERNAL, "cannot read %s", path);
    }
    *out = text;
    return 0;
}

/* Cuts the line in place; empty texts for what is missing. */
static struct wire_identity cut_line(char *line)
{
    char *column[3] = {"", "", ""};
    for (size_t i = 0; i < ARRAY_SIZE(column) && line; i++)
        column[i] = strsep(&line, ",");
    return (struct wire_identity){.product = column[0], .device = column[1], .secret = column[2]};
}

static int read_rows(const struct options *o, struct roster *r, struct err *e)
{
    char *rest = r->text, *line;
    long long number = 0, devices = 0;
    while (r->n < (size_t)o->devices && (line = strsep(&rest, "\n"))) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        struct wire_identity who = cut_line(line);
        if (!*line || (number == 1 && strcmp(who.product, "product") == 0))
            continue;
        if (!str_is_name(who.product, PRODUCT_SIZE) || !str_is_name(who.device, DEVICE_SIZE) || !*who.secret)
            return err_set(e, ERR_INVALID, "%s:%lld: product,name,secret is expected", o->secrets, number);
        if (++devices >= o->first)
            r->row[r->n++] = who;
    }
    if (r->n == 0)
        return err_set(e, ERR_INVALID, "%s holds no device number %lld", o->secrets, (long long)o->first);
    return 0;
}

static int read_file(const struct options *o, struct roster *out, struct err *e)
{
    struct roster r = {0};
    int rc = read_text(o->secrets, &r.text, e);
    if (!r.text)
        return rc;
    size_t lines = 1;
    for (const char *at = r.text; *at; at++)
        lines += *at == '\n';
    r.row = calloc(lines, sizeof *r.row);
    rc = r.row ? read_rows(o, &r, e) : err_errno(e, "cannot hold the devices of %s", o->secrets);
    if (rc)
        roster_free(&r);
    else
        *out = r;
    return rc;
}

int roster_load(const struct options *o, struct roster *out, struct err *e)
{
    return o->secrets ? read_file(o, out, e) : make_numbered(o, out, e);
}

void roster_free(struct roster *r)
{
    free(r->row);
    free(r->text);
    *r = (struct roster){0};
}
