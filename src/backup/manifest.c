#include "manifest.h"

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT         "otad-backup-1"
#define SIZE_MAX_BYTES (256u << 20) /* of a manifest: a million files */

void manifest_add(struct manifest *m, const struct manifest_file *file)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->files = realloc(m->files, m->cap * sizeof *m->files);
        if (!m->files)
            abort();
    }
    m->files[m->n++] = *file;
}

void manifest_free(struct manifest *m)
{
    free(m->files);
    *m = (struct manifest){0};
}

int64_t manifest_bytes(const struct manifest *m)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < m->n; i++)
        bytes += m->files[i].size;
    return bytes;
}

static json_t *file_json(const struct manifest_file *f)
{
    json_t *j = json_object();
    json_put_text(j, "path", f->path);
    json_put_int(j, "size", f->size);
    json_put_text(j, "sha256", f->sha256);
    json_put_int(j, "mode", f->mode);
    return j;
}

int manifest_write(const struct manifest *m, const char *folder, struct err *e)
{
    char path[FILE_PATH_SIZE];
    json_t *j = json_object(), *files = json_array();
    int rc = file_path(path, folder, MANIFEST_NAME, e);
    json_put_text(j, "format", FORMAT);
    json_put_text(j, "otad", OTAD_VERSION);
    json_put_moment(j, "made_at", m->made_at_ms);
    json_put_int(j, "missing", m->missing);
    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(files, file_json(&m->files[i]));
    json_put(j, "files", files);
    char *text = json_text(j);
    json_decref(j);
    if (rc == 0)
        rc = file_replace(path, text, strlen(text), 0600, e); /* a stick may know no links */
    free(text);
    return rc;
}

/* "keys/secret.key": names with single slashes between them, none of which leads out of the folder. */
static bool is_safe(const char *path)
{
    char part[MANIFEST_PATH_SIZE];
    int parts = 0;
    for (const char *p = path; p; parts++) {
        const char *slash = strchr(p, '/');
        size_t len = slash ? (size_t)(slash - p) : strlen(p);
        memcpy(part, p, len);
        part[len] = '\0';
        if (!str_is_name(part, sizeof part))
            return false;
        p = slash ? slash + 1 : NULL;
    }
    return parts <= 3;
}

static int read_file(const json_t *j, struct manifest *m, struct err *e)
{
    struct manifest_file f = {0};
    unsigned char digest[SHA256_BYTES];
    const struct json_field fields[] = {
        {.key = "path", .kind = JSON_KIND_TEXT, .out = f.path, .size = sizeof f.path, .required = true},
        {.key = "size", .kind = JSON_KIND_INT, .out = &f.size, .max = INT64_MAX, .required = true},
        {.key = "sha256", .kind = JSON_KIND_TEXT, .out = f.sha256, .size = sizeof f.sha256, .required = true},
        {.key = "mode", .kind = JSON_KIND_INT, .out = &f.mode, .max = 0777, .required = true},
    };
    int rc = json_read(j, fields, ARRAY_SIZE(fields), true, e);
    if (rc < 0)
        return rc;
    if (!is_safe(f.path) || strlen(f.sha256) != SHA256_TEXT_SIZE - 1 ||
        !hex_parse(f.sha256, digest, sizeof digest))
        return err_set(e, ERR_DAMAGED, "\"%.100s\" is no file of a backup", f.path);
    manifest_add(m, &f);
    return 0;
}

static int parse(const json_t *j, struct manifest *m, struct err *e)
{
    char format[32], version[64];
    json_t *files;
    const struct json_field fields[] = {
        {.key = "format", .kind = JSON_KIND_TEXT, .out = format, .size = sizeof format, .required = true},
        {.key = "otad", .kind = JSON_KIND_TEXT, .out = version, .size = sizeof version, .required = true},
        {.key = "made_at", .kind = JSON_KIND_MOMENT, .out = &m->made_at_ms, .required = true},
        {.key = "missing", .kind = JSON_KIND_INT, .out = &m->missing, .max = INT64_MAX, .required = true},
        {.key = "files", .kind = JSON_KIND_ARRAY, .out = &files, .required = true},
    };
    int rc = json_read(j, fields, ARRAY_SIZE(fields), true, e);
    if (rc == 0 && strcmp(format, FORMAT) != 0)
        rc = err_set(e, ERR_DAMAGED, "it is of the format %s, this otad knows " FORMAT, format);
    for (size_t i = 0; rc == 0 && i < json_array_size(files); i++)
        rc = read_file(json_array_get(files, i), m, e);
    return rc;
}

static int load(const char *path, char **text, size_t *len, struct err *e)
{
    struct stat st;
    size_t size = stat(path, &st) == 0 ? (size_t)st.st_size + 2 : 2;
    if (size > SIZE_MAX_BYTES)
        return err_set(e, ERR_DAMAGED, "%s is too large", path);
    char *buf = malloc(size);
    if (!buf)
        abort();
    int rc = file_read(path, buf, size, len, e);
    if (rc < 0)
        free(buf);
    else
        *text = buf;
    return rc;
}

int manifest_read(const char *folder, struct manifest *out, struct err *e)
{
    char path[FILE_PATH_SIZE], *text = NULL;
    struct manifest m = {0};
    json_t *j = NULL;
    size_t len = 0;
    int rc = file_path(path, folder, MANIFEST_NAME, e);
    if (rc == 0)
        rc = load(path, &text, &len, e);
    if (rc < 0)
        return rc;
    rc = json_parse(text, len, &j, e);
    free(text);
    if (rc == 0)
        rc = parse(j, &m, e);
    json_decref(j);
    if (rc == 0) {
        *out = m;
        return 0;
    }
    struct err why = *e;
    manifest_free(&m);
    return err_set(e, ERR_DAMAGED, "%s: %.150s", path, why.text);
}
