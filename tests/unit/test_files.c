/* Files in blocks over MQTT, with a store and a protocol that are made up: who asks gets its blocks in order,
 * and nobody waits for one who asks for more. */
#include "../../src/mqtt/files.h"

#include "rollout/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 1000

static struct {
    char dir[64];
    struct blobs *blobs;
    char sha256[SHA256_TEXT_SIZE];
    unsigned char bytes[SIZE];
    unsigned lookups;
    bool store_fails, listed; /* as damaged */
    unsigned suspects;
} world;

/* ---- what files.c asks of others */

int store_reader(struct store *s, struct db **out, struct err *e)
{
    (void)s;
    *out = NULL;
    return world.store_fails ? err_set(e, ERR_INTERNAL, "disk I/O error") : 0;
}

int damage_check_file(struct db *db, const char *sha256, struct err *e)
{
    (void)db;
    return world.listed && strcmp(sha256, world.sha256) == 0 ? err_set(e, ERR_CONFLICT, "it is damaged") : 0;
}

static void suspect(void *arg, const char *sha256)
{
    assert_ptr_equal(arg, &world);
    assert_string_equal(sha256, world.sha256);
    world.suspects++;
}

/* The inbox is only filled here. */
int store_write(struct store *s, int (*run)(struct db *w, void *arg, struct err *e), void *arg, struct err *e)
{
    (void)s;
    (void)run;
    (void)arg;
    return err_set(e, ERR_INTERNAL, "not in this test");
}

int rollout_event(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                  struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e)
{
    (void)r;
    (void)w;
    (void)ev;
    (void)now_ms;
    (void)out;
    *sends = 0;
    return err_set(e, ERR_INTERNAL, "not in this test");
}

/* Stream 1 has one file, number 1. */
int stream_find(struct db *db, const struct device_event *ev, struct stream_file *out, struct err *e)
{
    (void)db;
    world.lookups++;
    if (ev->file->stream != 1 || ev->file->file != 1)
        return err_set(e, ERR_NOT_FOUND, "no such stream");
    *out = (struct stream_file){.product = "found", .execution_id = 7, .size = SIZE};
    strcpy(out->sha256, world.sha256);
    return 0;
}

int stream_sizes(struct db *db, const struct device_event *ev, char product[PRODUCT_SIZE],
                 uint64_t sizes[STREAM_FILES_MAX], size_t *n, struct err *e)
{
    (void)db;
    if (ev->file->stream != 1)
        return err_set(e, ERR_NOT_FOUND, "no such stream");
    strcpy(product, "found");
    sizes[0] = SIZE;
    *n = 1;
    return 0;
}

/* The index and the offset on the topic, the bytes as they are. */
static int some_block(const struct device_event *ev, const struct file_block *b, struct message *out,
                      struct err *e)
{
    (void)e;
    assert_int_equal(b->file_size, SIZE);
    snprintf(out->topic, sizeof out->topic, "%s %llu %llu", ev->reply.token, (unsigned long long)b->index,
             (unsigned long long)b->offset);
    out->payload = malloc(b->len);
    memcpy(out->payload, b->bytes, b->len);
    out->len = b->len;
    return 0;
}

static int some_sizes(const struct device_event *ev, const uint64_t sizes[], size_t n, struct message *out,
                      struct err *e)
{
    (void)ev;
    (void)e;
    snprintf(out->topic, sizeof out->topic, "%zu of %llu", n, (unsigned long long)sizes[0]);
    out->payload = strdup("x");
    out->len = 1;
    return 0;
}

static int some_fault(const struct device_event *ev, enum file_fault fault, struct message *out,
                      struct err *e)
{
    (void)e;
    snprintf(out->topic, sizeof out->topic, "%s fault %d", ev->reply.token, fault);
    if (strcmp(ev->reply.token, "silent") == 0)
        return 0;
    out->payload = strdup("x");
    out->len = 1;
    return 0;
}

static const struct protocol made_up = {
    .name = "made-up", .block = some_block, .describe = some_sizes, .no_file = some_fault};

/* ---- asking */

struct ask {
    const char *device, *token;
    int64_t stream;
    uint64_t offset;
    uint32_t block_bytes, count;
    const char *bitmap; /* bytes; NULL none */
    size_t bitmap_len;
};

static void ask(struct files *f, const struct ask *a)
{
    struct device_event ev = {.kind = EVENT_FILE};
    ev.file = calloc(1, sizeof *ev.file + a->bitmap_len);
    *ev.file = (struct file_request){.stream = a->stream,
                                     .file = 1,
                                     .offset = a->offset,
                                     .block_bytes = a->block_bytes,
                                     .count = a->count,
                                     .bitmap_len = a->bitmap_len};
    if (a->bitmap)
        memcpy(ev.file->bitmap, a->bitmap, a->bitmap_len);
    strcpy(ev.product, "p");
    strcpy(ev.device, a->device);
    strcpy(ev.reply.token, a->token);
    files_take(f, &made_up, &ev);
}

static void check_bytes(const struct letter *l, uint64_t offset, size_t len)
{
    assert_int_equal(l->message.len, len);
    assert_memory_equal(l->message.payload, world.bytes + offset, len);
}

/* The next letter, written at once. */
static bool next(struct files *f, struct inbox *in, struct letter *l)
{
    static int mid;
    if (!files_next(f, in, l))
        return false;
    files_await(f, ++mid);
    assert_false(files_sent(f, mid + 1));
    assert_true(files_sent(f, mid));
    return true;
}

static struct files *open_files(struct inbox *in)
{
    struct files *f = malloc(sizeof *f);
    files_init(f, NULL, world.blobs);
    f->suspect = suspect;
    f->suspect_arg = &world;
    inbox_init(in, NULL, NULL);
    world.lookups = 0;
    world.store_fails = world.listed = false;
    world.suspects = 0;
    return f;
}

static void close_files(struct files *f, struct inbox *in)
{
    files_free(f);
    inbox_free(in);
    free(f);
}

/* ---- tests */

static const struct {
    struct ask ask;
    const char *want[6]; /* topics, in order */
    uint64_t first_offset;
    size_t first_len;
} asks[] = {
    {{"d", "whole", 1, 0, 1000, 1, NULL, 0}, {"whole 0 0"}, 0, 1000},
    {{"d", "more", 1, 0, 4096, 1, NULL, 0}, {"more 0 0"}, 0, 1000},
    {{"d", "odd", 1, 2, 256, 1, NULL, 0}, {"odd 0 2"}, 2, 256},
    {{"d", "last", 1, 900, 256, 1, NULL, 0}, {"last 3 900"}, 900, 100},
    {{"d", "byte", 1, 999, 256, 1, NULL, 0}, {"byte 3 999"}, 999, 1},
    {{"d", "end", 1, 1000, 256, 1, NULL, 0}, {"end fault 1"}, 0, 0},
    {{"d", "far", 1, UINT64_MAX / 2, 256, 1, NULL, 0}, {"far fault 1"}, 0, 0},
    {{"d", "who", 2, 0, 256, 1, NULL, 0}, {"who fault 0"}, 0, 0},
    {{"d", "silent", 2, 0, 256, 1, NULL, 0}, {NULL}, 0, 0},
    {{"d", "run", 1, 256, 256, 9, NULL, 0}, {"run 1 256", "run 2 512", "run 3 768"}, 256, 256},
    {{"d", "two", 1, 256, 256, 2, NULL, 0}, {"two 1 256", "two 2 512"}, 256, 256},
    {{"d", "map", 1, 0, 256, 9, "\x0a", 1}, {"map 1 256", "map 3 768"}, 256, 256},
    {{"d", "cap", 1, 0, 256, 1, "\x0f", 1}, {"cap 0 0"}, 0, 256},
    {{"d", "wide", 1, 0, 100, 9, "\x00\x03", 2}, {"wide 8 800", "wide 9 900"}, 800, 100},
    {{"d", "past", 1, 512, 256, 9, "\x06", 1}, {"past 3 768"}, 768, 232},
    {{"d", "none", 1, 0, 256, 9, "\x00", 1}, {"none fault 1"}, 0, 0},
};

static void test_asks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
        struct inbox *in = malloc(sizeof *in);
        struct files *f = open_files(in);
        struct letter l;
        ask(f, &asks[i].ask);
        for (size_t k = 0; asks[i].want[k]; k++) {
            assert_true(next(f, in, &l));
            assert_string_equal(l.message.topic, asks[i].want[k]);
            assert_string_equal(l.device, "d");
            if (k == 0 && asks[i].first_len) {
                check_bytes(&l, asks[i].first_offset, asks[i].first_len);
                assert_string_equal(l.product, "found");
            }
            message_clear(&l.message);
        }
        assert_false(next(f, in, &l));
        assert_false(files_ready(f));
        close_files(f, in);
        free(in);
    }
}

/* Each device's next block before anyone's second one, and each device's in its order. */
static void test_turns(void **state)
{
    (void)state;
    static const char *const want[] = {"greedy 0 0", "a 0 0",        "b 0 0",        "greedy 1 100",
                                       "a2 1 100",   "greedy 2 200", "greedy 3 300", "greedy2 0 0"};
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct letter l;
    ask(f, &(struct ask){"greedy", "greedy", 1, 0, 100, 4, NULL, 0});
    ask(f, &(struct ask){"a", "a", 1, 0, 100, 1, NULL, 0});
    ask(f, &(struct ask){"greedy", "greedy2", 1, 0, 100, 1, NULL, 0});
    ask(f, &(struct ask){"b", "b", 1, 0, 100, 1, NULL, 0});
    ask(f, &(struct ask){"a", "a2", 1, 100, 100, 1, NULL, 0});
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_true(next(f, in, &l));
        assert_string_equal(l.message.topic, want[i]);
        message_clear(&l.message);
    }
    assert_false(next(f, in, &l));
    assert_int_equal(world.lookups, 3); /* of each device one */
    close_files(f, in);
    free(in);
}

static void test_limits(void **state)
{
    (void)state;
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct letter l;
    unsigned got = 0;
    for (int i = 0; i < FILES_PENDING_MAX + 5; i++)
        ask(f, &(struct ask){"flood", "x", 1, 0, 10, 1, NULL, 0});
    for (int i = 0; i < FILES_WINDOW; i++)
        ask(f, &(struct ask){i % 2 ? "one" : "two", "y", 1, 0, 10, 1, NULL, 0});
    while (files_next(f, in, &l)) { /* nothing is written: the window closes */
        files_await(f, (int)++got);
        message_clear(&l.message);
    }
    assert_int_equal(got, FILES_WINDOW);
    assert_false(files_ready(f));
    assert_true(files_sent(f, 1));
    assert_true(files_ready(f));
    assert_true(files_next(f, in, &l));
    files_await(f, 1000);
    message_clear(&l.message);
    for (int mid = 2; mid <= FILES_WINDOW; mid++)
        assert_true(files_sent(f, mid));
    assert_true(files_sent(f, 1000));
    assert_false(files_sent(f, 1000));
    for (got++; next(f, in, &l); got++)
        message_clear(&l.message);
    assert_int_equal(got, 3 * FILES_PENDING_MAX); /* of each as many as wait at most */
    close_files(f, in);
    free(in);
}

/* Told once at the start and at each twentieth, never that all is there. */
static void test_progress(void **state)
{
    (void)state;
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct letter l;
    ask(f, &(struct ask){"d", "x", 1, 0, 10, 100, NULL, 0});
    while (next(f, in, &l))
        message_clear(&l.message);
    assert_int_equal(in->n, 21);
    for (size_t i = 0; i < in->n; i++) {
        const struct device_event *ev = &in->events[i];
        assert_int_equal(ev->kind, EVENT_PROGRESS);
        assert_int_equal(ev->state, EXECUTION_DOWNLOADING);
        assert_int_equal(ev->execution_id, 7);
        assert_int_equal(ev->percent, i < 20 ? i * 5 : 99);
        assert_string_equal(ev->product, "found");
        assert_string_equal(ev->device, "d");
    }
    close_files(f, in);
    free(in);
}

static void test_trouble(void **state)
{
    (void)state;
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct letter l;
    world.store_fails = true;
    ask(f, &(struct ask){"d", "x", 1, 0, 10, 1, NULL, 0});
    assert_false(next(f, in, &l)); /* no word for that: the device asks again */
    world.store_fails = false;
    char kept[SHA256_TEXT_SIZE];
    strcpy(kept, world.sha256);
    memset(world.sha256, 'a', sizeof world.sha256 - 1); /* a blob that is not there */
    ask(f, &(struct ask){"d", "x", 1, 0, 10, 1, NULL, 0});
    assert_true(next(f, in, &l));
    assert_string_equal(l.message.topic, "x fault 2");
    message_clear(&l.message);
    assert_int_equal(world.suspects, 1);
    strcpy(world.sha256, kept);
    ask(f, &(struct ask){"d", "x", 1, 0, 10, 1, NULL, 0});
    ask(f, &(struct ask){"e", "x", 1, 0, 10, 1, NULL, 0});
    files_clear(f); /* the link is down */
    assert_false(next(f, in, &l));
    ask(f, &(struct ask){"e", "x", 1, 0, 10, 1, NULL, 0});
    assert_true(next(f, in, &l));
    message_clear(&l.message);
    close_files(f, in);
    free(in);
}

static void expect(struct files *f, struct inbox *in, const char *topic)
{
    struct letter l;
    ask(f, &(struct ask){"d", "x", 1, 0, 10, 1, NULL, 0});
    assert_true(next(f, in, &l));
    assert_string_equal(l.message.topic, topic);
    message_clear(&l.message);
}

/* The last test: it takes the blob away. */
static void test_damage(void **state)
{
    (void)state;
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct blob_finding found = {.damaged = true};
    char path[192];
    struct err e;
    world.listed = true;
    expect(f, in, "x fault 2");
    assert_int_equal(world.suspects, 0); /* what is known is nothing new */
    world.listed = false;
    expect(f, in, "x 0 0");
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", world.dir, world.sha256, world.sha256);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 5), 0);
    expect(f, in, "x fault 2"); /* its descriptor is kept, and it is too short */
    assert_int_equal(world.suspects, 1);
    assert_int_equal(truncate(path, SIZE), 0);
    expect(f, in, "x 0 0"); /* as many bytes, but for the first five zeros: nobody has looked yet */
    assert_int_equal(truncate(path, SIZE - 1), 0);
    assert_int_equal(blob_quarantine(world.blobs, world.sha256, SIZE, &found, &e), 0);
    expect(f, in, "x fault 2"); /* the descriptor is not kept any more */
    assert_int_equal(world.suspects, 2);
    close_files(f, in);
    free(in);
}

static void test_describe(void **state)
{
    (void)state;
    static const char *const want[] = {"1 of 1000", "x fault 0"};
    struct inbox *in = malloc(sizeof *in);
    struct files *f = open_files(in);
    struct letter l;
    for (int64_t stream = 1; stream <= 2; stream++) {
        struct device_event ev = {.kind = EVENT_FILE, .device = "d", .reply.token = "x"};
        ev.file = calloc(1, sizeof *ev.file);
        ev.file->op = FILE_DESCRIBE;
        ev.file->stream = stream;
        files_take(f, &made_up, &ev);
        assert_true(next(f, in, &l));
        assert_string_equal(l.message.topic, want[stream - 1]);
        message_clear(&l.message);
    }
    assert_int_equal(in->n, 0);
    close_files(f, in);
    free(in);
}

/* ---- the blob */

static int enter(void **state)
{
    struct blob_upload *up;
    struct digests digests;
    struct err e;
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        world.bytes[i] = (unsigned char)(i * 7 + i / 256);
    strcpy(world.dir, "/tmp/otad-test-XXXXXX");
    assert_non_null(mkdtemp(world.dir));
    assert_int_equal(blobs_open(world.dir, &world.blobs, &e), 0);
    assert_int_equal(blob_upload_begin(world.blobs, &up, &e), 0);
    assert_int_equal(blob_upload_write(up, world.bytes, SIZE, &e), 0);
    blob_upload_digests(up, &digests);
    strcpy(world.sha256, digests.sha256);
    assert_int_equal(blob_upload_keep(up, &e), 0);
    return 0;
}

static int leave(void **state)
{
    char command[128];
    (void)state;
    blobs_close(world.blobs);
    snprintf(command, sizeof command, "rm -r %s", world.dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asks),     cmocka_unit_test(test_turns),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_progress), cmocka_unit_test(test_trouble), cmocka_unit_test(test_describe),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
