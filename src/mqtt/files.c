#include "files.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/board.h"
#include "rollout/damage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS        20 /* of a file, each told as progress */
#define PERCENT_MOST 99 /* that it has all, and that it is whole, only the device can say */

struct pending {
    struct pending *next;
    const struct protocol *protocol;
    struct device_event ev;
    uint32_t block; /* the next one, of the request */
    uint32_t given; /* blocks sent for it */
};

struct reader {
    struct reader *before, *after; /* the ring */
    struct reader *chain;          /* the bucket */
    char who[PRODUCT_SIZE + DEVICE_SIZE];
    struct pending *first, *last;
    unsigned n;
};

void files_init(struct files *f, struct store *store, struct blobs *blobs)
{
    memset(f, 0, sizeof *f);
    f->store = store;
    f->blobs = blobs;
}

/* ---- who waits */

static void name_of(const struct device_event *ev, char who[PRODUCT_SIZE + DEVICE_SIZE])
{
    snprintf(who, PRODUCT_SIZE + DEVICE_SIZE, "%s/%s", ev->product, ev->device);
}

static struct reader **bucket_of(struct files *f, const char *who)
{
    return &f->bucket[str_hash(who, strlen(who)) % FILES_BUCKETS];
}

static struct reader *find_reader(struct files *f, const char *who)
{
    struct reader *r = *bucket_of(f, who);
    while (r && strcmp(r->who, who) != 0)
        r = r->chain;
    return r;
}

/* Behind all who wait already. */
static struct reader *add_reader(struct files *f, const char *who)
{
    struct reader *r = calloc(1, sizeof *r), **bucket = bucket_of(f, who);
    if (!r)
        return NULL;
    str_copy(r->who, sizeof r->who, who);
    r->chain = *bucket;
    *bucket = r;
    if (!f->next) {
        r->before = r->after = f->next = r;
        return r;
    }
    r->after = f->next;
    r->before = f->next->before;
    r->before->after = r->after->before = r;
    return r;
}

static void remove_reader(struct files *f, struct reader *r)
{
    struct reader **at = bucket_of(f, r->who);
    while (*at != r)
        at = &(*at)->chain;
    *at = r->chain;
    r->before->after = r->after;
    r->after->before = r->before;
    if (f->next == r)
        f->next = r->after == r ? NULL : r->after;
    free(r);
}

static void drop_first(struct files *f, struct reader *r)
{
    struct pending *p = r->first;
    r->first = p->next;
    r->n--;
    f->waiting--;
    device_event_clear(&p->ev);
    free(p);
    if (!r->first)
        remove_reader(f, r);
}

void files_clear(struct files *f)
{
    while (f->next)
        drop_first(f, f->next);
    f->mid_count = 0;
}

static void close_file(struct kept_file *o)
{
    if (*o->sha256)
        close(o->fd);
    o->sha256[0] = '\0';
}

void files_free(struct files *f)
{
    files_clear(f);
    for (size_t i = 0; i < FILES_OPEN; i++)
        close_file(&f->open[i]);
    free(f->known);
    f->known = NULL;
}

void files_take(struct files *f, const struct protocol *p, struct device_event *ev)
{
    char who[PRODUCT_SIZE + DEVICE_SIZE];
    name_of(ev, who);
    struct reader *r = find_reader(f, who);
    bool room = f->waiting < FILES_WAITING_MAX && (!r || r->n < FILES_PENDING_MAX);
    struct pending *new = room ? calloc(1, sizeof *new) : NULL;
    if (new && !r)
        r = add_reader(f, who);
    if (!new || !r) {
        board_count(BOARD_MQTT_BLOCKS_DROPPED, 1);
        device_event_clear(ev);
        free(new);
        return;
    }
    *new = (struct pending){.protocol = p, .ev = *ev};
    if (r->first)
        r->last->next = new;
    else
        r->first = new;
    r->last = new;
    r->n++;
    f->waiting++;
}

/* ---- what they want */

static struct known_file *slot_of(struct files *f, const char *who, const struct file_request *ask)
{
    char key[PRODUCT_SIZE + DEVICE_SIZE + 64];
    if (!f->known)
        f->known = calloc(FILES_KNOWN, sizeof *f->known);
    if (!f->known)
        return NULL;
    int n = snprintf(key, sizeof key, "%s %d %lld %lld", who, ask->by_execution, (long long)ask->stream,
                     (long long)ask->file);
    return &f->known[str_hash(key, (size_t)n) % FILES_KNOWN];
}

static bool is_same(const struct known_file *k, const char *who, const struct file_request *ask)
{
    return k->by_execution == ask->by_execution && k->stream == ask->stream && k->file == ask->file &&
           strcmp(k->who, who) == 0;
}

static int find_file(struct files *f, const struct reader *r, const struct device_event *ev,
                     struct stream_file *out, struct err *e)
{
    struct known_file *k = slot_of(f, r->who, ev->file);
    int64_t now_ms = clock_mono_ms();
    struct db *db;
    if (k && k->until_ms > now_ms && is_same(k, r->who, ev->file)) {
        *out = k->found;
        return 0;
    }
    int rc = store_reader(f->store, &db, e);
    if (rc == 0)
        rc = stream_find(db, ev, out, e);
    if (rc < 0 || !k)
        return rc;
    *k = (struct known_file){.by_execution = ev->file->by_execution,
                             .stream = ev->file->stream,
                             .file = ev->file->file,
                             .until_ms = now_ms + FILES_KNOWN_MS,
                             .found = *out};
    str_copy(k->who, sizeof k->who, r->who);
    return 0;
}

/* What was found damaged is closed with all the others: it happens once in years. */
static void close_moved(struct files *f)
{
    unsigned now = blobs_generation(f->blobs);
    for (size_t i = 0; i < FILES_OPEN && f->generation != now; i++)
        close_file(&f->open[i]);
    f->generation = now;
}

static void report(const struct files *f, const struct stream_file *file)
{
    if (f->suspect)
        f->suspect(f->suspect_arg, file->sha256);
}

static int check_damage(struct files *f, const char *sha256, struct err *e)
{
    struct db *db;
    int rc = store_reader(f->store, &db, e);
    return rc < 0 ? rc : damage_check_file(db, sha256, e);
}

/* The descriptor of a blob; the one that was used least lately makes room. */
static int open_blob(struct files *f, const struct stream_file *file, int *fd, struct err *e)
{
    struct kept_file *oldest = &f->open[0];
    close_moved(f);
    for (size_t i = 0; i < FILES_OPEN; i++) {
        struct kept_file *o = &f->open[i];
        if (strcmp(o->sha256, file->sha256) == 0) {
            o->used = f->turns;
            *fd = o->fd;
            return 0;
        }
        if (!*o->sha256 || o->used < oldest->used)
            oldest = *oldest->sha256 ? o : oldest;
    }
    close_file(oldest);
    int rc = check_damage(f, file->sha256, e);
    if (rc < 0)
        return rc;
    rc = blob_open(f->blobs, file->sha256, file->size, &oldest->fd, e);
    if (rc < 0) {
        report(f, file);
        return rc;
    }
    str_copy(oldest->sha256, sizeof oldest->sha256, file->sha256);
    oldest->used = f->turns;
    *fd = oldest->fd;
    return 0;
}

static bool read_all(int fd, unsigned char *to, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, to + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENODATA;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* ---- one answer */

static void tell_progress(struct inbox *in, const struct stream_file *file, const struct device_event *ask,
                          uint64_t from, uint64_t to)
{
    uint64_t size = file->size ? file->size : 1;
    uint64_t before = from * STEPS / size, now = to * STEPS / size;
    if (from != 0 && before == now)
        return;
    int percent = (int)(now * 100 / STEPS);
    struct device_event ev = {.kind = EVENT_PROGRESS,
                              .over_session = true,
                              .state = EXECUTION_DOWNLOADING,
                              .reason = REASON_NONE,
                              .execution_id = file->execution_id,
                              .percent = percent < PERCENT_MOST ? percent : PERCENT_MOST};
    str_copy(ev.product, sizeof ev.product, file->product);
    str_copy(ev.device, sizeof ev.device, ask->device);
    inbox_add(in, &ev);
}

/* The next block that the request names, from p->block on; false when there is none left. */
static bool next_block(const struct file_request *ask, struct pending *p, uint64_t size)
{
    uint32_t last = ask->bitmap_len ? (uint32_t)ask->bitmap_len * 8 : ask->count;
    for (; p->block < last && p->given < ask->count; p->block++) {
        uint64_t offset = ask->offset + (uint64_t)p->block * ask->block_bytes;
        if (offset >= size)
            return false;
        if (!ask->bitmap_len || ask->bitmap[p->block / 8] >> (p->block % 8) & 1)
            return true;
    }
    return false;
}

static int answer_block(struct files *f, struct pending *p, const struct stream_file *file, struct inbox *in,
                        struct message *out, struct err *e)
{
    const struct file_request *ask = p->ev.file;
    struct file_block b = {.offset = ask->offset + (uint64_t)p->block * ask->block_bytes,
                           .file_size = file->size,
                           .bytes = f->block};
    int fd;
    uint64_t left = file->size - b.offset;
    b.index = b.offset / ask->block_bytes;
    b.len = left < ask->block_bytes ? (size_t)left : ask->block_bytes;
    int rc = open_blob(f, file, &fd, e);
    if (rc == 0 && !read_all(fd, f->block, b.len, b.offset)) {
        rc = err_errno(e, "cannot read the file %s", file->sha256);
        report(f, file);
    }
    if (rc < 0) {
        log_error("a device cannot have its file: %s", e->text);
        return p->protocol->no_file(&p->ev, FILE_UNREADABLE, out, e);
    }
    rc = p->protocol->block(&p->ev, &b, out, e);
    if (rc < 0)
        return rc;
    tell_progress(in, file, &p->ev, b.offset, b.offset + b.len);
    board_count(BOARD_MQTT_BLOCKS, 1);
    p->block++;
    p->given++;
    return 0;
}

/* *more: the request has further blocks. */
static int answer_blocks(struct files *f, struct reader *r, struct pending *p, struct inbox *in,
                         struct letter *out, bool *more, struct err *e)
{
    struct stream_file file = {0};
    *more = false;
    int rc = find_file(f, r, &p->ev, &file, e);
    if (rc == -ERR_NOT_FOUND)
        return p->protocol->no_file(&p->ev, FILE_UNKNOWN, &out->message, e);
    if (rc < 0)
        return rc;
    str_copy(out->product, sizeof out->product, file.product);
    if (!next_block(p->ev.file, p, file.size))
        return p->protocol->no_file(&p->ev, FILE_PAST_END, &out->message, e);
    rc = answer_block(f, p, &file, in, &out->message, e);
    *more = rc == 0 && p->given > 0 && next_block(p->ev.file, p, file.size);
    return rc;
}

static int answer_sizes(struct files *f, struct pending *p, struct letter *out, struct err *e)
{
    uint64_t sizes[STREAM_FILES_MAX];
    struct db *db;
    size_t n = 0;
    int rc = store_reader(f->store, &db, e);
    if (rc == 0)
        rc = stream_sizes(db, &p->ev, out->product, sizes, &n, e);
    if (rc == -ERR_NOT_FOUND)
        return p->protocol->no_file(&p->ev, FILE_UNKNOWN, &out->message, e);
    return rc < 0 ? rc : p->protocol->describe(&p->ev, sizes, n, &out->message, e);
}

bool files_ready(const struct files *f)
{
    return f->next && f->mid_count < FILES_WINDOW;
}

bool files_next(struct files *f, struct inbox *in, struct letter *out)
{
    struct err e;
    while (files_ready(f)) {
        struct reader *r = f->next;
        struct pending *p = r->first;
        bool more = false;
        *out = (struct letter){0};
        str_copy(out->product, sizeof out->product, p->ev.product);
        str_copy(out->device, sizeof out->device, p->ev.device);
        int rc = p->ev.file->op == FILE_DESCRIBE ? answer_sizes(f, p, out, &e)
                                                 : answer_blocks(f, r, p, in, out, &more, &e);
        f->turns++;
        f->next = r->after;
        if (!more)
            drop_first(f, r);
        if (rc == 0 && out->message.payload)
            return true;
        if (rc < 0)
            log_error("a request of %s/%s for a file: %s", out->product, out->device, e.text);
        message_clear(&out->message);
    }
    return false;
}

void files_await(struct files *f, int mid)
{
    f->mids[(f->mid_first + f->mid_count++) % FILES_WINDOW] = mid;
}

bool files_sent(struct files *f, int mid)
{
    if (f->mid_count == 0 || f->mids[f->mid_first] != mid)
        return false;
    f->mid_first = (f->mid_first + 1) % FILES_WINDOW;
    f->mid_count--;
    return true;
}
