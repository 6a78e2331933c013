#include "rollout/stream.h"

/* The execution that brings the stream to the device, and the device's product. */
static int find_execution(struct db *db, const struct device_event *ev, int64_t *id,
                          char product[PRODUCT_SIZE], struct err *e)
{
    const struct file_request *f = ev->file;
    struct stmt *s STMT_AUTO = db_stmt(db, f->by_execution ? Q_STREAM_OF_EXECUTION : Q_STREAM_OF_FIRMWARE);
    bind_int(s, ":stream", f->stream);
    bind_text(s, ":product", ev->product);
    bind_text(s, ":device", ev->device);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no stream %lld for this device now", (long long)f->stream);
    if (rc < 0)
        return rc;
    *id = col_int(s, 0);
    col_text(s, 1, product, PRODUCT_SIZE);
    return 0;
}

/* Whether the row, the nth of its execution, is a file of the stream; and the number it has there. */
static bool is_of_stream(const struct file_request *f, struct stmt *row, int64_t nth, int64_t *number)
{
    *number = f->by_execution ? nth : col_int(row, 1);
    return f->by_execution || col_int(row, 3) == f->stream;
}

int stream_find(struct db *db, const struct device_event *ev, struct stream_file *out, struct err *e)
{
    struct stream_file found;
    int64_t number;
    int rc = find_execution(db, ev, &found.execution_id, found.product, e);
    if (rc < 0)
        return rc;
    struct stmt *s STMT_AUTO = db_stmt(db, Q_OFFER_FILES);
    bind_int(s, ":id", found.execution_id);
    for (int64_t nth = 0; (rc = stmt_step(s, e)) > 0; nth++) {
        if (!is_of_stream(ev->file, s, nth, &number) || number != ev->file->file)
            continue;
        col_text(s, 7, found.sha256, sizeof found.sha256);
        found.size = (uint64_t)col_int(s, 6);
        *out = found;
        return 0;
    }
    return rc < 0 ? rc : err_set(e, ERR_NOT_FOUND, "the stream has no file %lld", (long long)ev->file->file);
}

int stream_sizes(struct db *db, const struct device_event *ev, char product[PRODUCT_SIZE],
                 uint64_t sizes[STREAM_FILES_MAX], size_t *n, struct err *e)
{
    int64_t id, number;
    size_t found = 0;
    int rc = find_execution(db, ev, &id, product, e);
    if (rc < 0)
        return rc;
    struct stmt *s STMT_AUTO = db_stmt(db, Q_OFFER_FILES);
    bind_int(s, ":id", id);
    for (int64_t nth = 0; found < STREAM_FILES_MAX && (rc = stmt_step(s, e)) > 0; nth++)
        if (is_of_stream(ev->file, s, nth, &number))
            sizes[found++] = (uint64_t)col_int(s, 6);
    if (rc >= 0)
        *n = found;
    return rc < 0 ? rc : 0;
}
