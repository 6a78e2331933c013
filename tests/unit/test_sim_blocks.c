/* A device's file in blocks, with everything around it told apart: what is sent is written down here, and so
 * is how the download ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/sim/device_blocks.c"

#include <string.h>

#define BLOCK 256
#define SIZE  600 /* two blocks, and a short one */

static struct {
    int asked, ended, blocks, again;
    uint64_t offset;
    size_t took;
    enum transfer_end end;
} seen;

static int ask_down(const struct wire_identity *who, const struct wire_offer *offer, uint64_t offset,
                    struct wire_message *out, struct err *e)
{
    (void)who;
    (void)offer;
    (void)e;
    *out = (struct wire_message){.body = NULL};
    seen.asked++;
    seen.offset = offset;
    return 0;
}

int device_send(struct device *d, struct wire_message *message)
{
    (void)d;
    free(message->body);
    return 1;
}

void device_count(const struct device *d, enum tally_key key)
{
    (void)d;
    seen.blocks += key == TALLY_BLOCKS;
    seen.again += key == TALLY_BLOCKS_AGAIN;
}

void device_took(void *device, size_t len)
{
    (void)device;
    seen.took += len;
}

void device_ended(void *device, enum transfer_end end, const char *why)
{
    struct device *d = device;
    assert_int_equal(!why, end == TRANSFER_DONE || end == TRANSFER_CUT);
    seen.ended++;
    seen.end = end;
    d->work = WORK_PAUSED;
}

static const struct wire WIRE = {.name = "test", .ask = ask_down};
static struct options options;
static struct device_env env;
static struct update update;
static struct device device;
static unsigned char file[SIZE];

static int begin(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    for (size_t i = 0; i < SIZE; i++)
        file[i] = (unsigned char)(i * 7);
    options = (struct options){.rate_bytes = 0};
    env = (struct device_env){
        .options = &options, .wire = &WIRE, .habits = {.block_bytes = BLOCK}, .now_ms = 1000};
    update = (struct update){.offer = {.stream = "7", .size = SIZE},
                             .download = {.size = SIZE, .digests = DIGEST_SHA256}};
    device = (struct device){.env = &env, .update = &update, .work = WORK_DOWNLOADING, .online = true};
    device_blocks_begin(&device);
    return 0;
}

static int end_hash(void **state)
{
    (void)state;
    if (update.download.hash)
        digester_end(update.download.hash, NULL);
    return 0;
}

static void take(uint64_t offset, size_t len)
{
    device_blocks_take(&device, &(struct wire_block){.offset = offset, .bytes = file + offset, .len = len});
}

static void step_at(int64_t now_ms)
{
    env.now_ms = now_ms;
    device_blocks_step(&device);
}

static void one_block_is_asked_for_at_a_time(void **state)
{
    struct digests got, whole;
    struct digester *hash = digester_begin();
    (void)state;
    assert_int_equal(seen.asked, 1);
    assert_int_equal(seen.offset, 0);
    take(0, BLOCK);
    assert_int_equal(seen.offset, 256);
    take(256, BLOCK);
    assert_int_equal(seen.offset, 512);
    assert_int_equal(seen.ended, 0);
    take(512, 88);
    assert_int_equal(seen.asked, 3);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.end, TRANSFER_DONE);
    assert_int_equal(seen.took, SIZE);
    assert_int_equal(seen.blocks, 3);
    digester_add(hash, file, SIZE);
    digester_end(hash, &whole);
    digester_end(update.download.hash, &got);
    update.download.hash = NULL;
    assert_string_equal(got.sha256, whole.sha256);
}

static void what_was_not_asked_for_changes_nothing(void **state)
{
    (void)state;
    take(256, BLOCK);
    take(512, 88);
    assert_int_equal(seen.asked, 1);
    take(0, BLOCK);
    take(0, BLOCK);
    assert_int_equal(seen.asked, 2);
    assert_int_equal(update.download.got, BLOCK);
    device.work = WORK_IDLE; /* too late */
    take(256, BLOCK);
    device_blocks_none(&device);
    assert_int_equal(update.download.got, BLOCK);
    assert_int_equal(seen.ended, 0);
}

static void a_block_of_another_length_breaks_it_off(void **state)
{
    (void)state;
    take(0, BLOCK - 1);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.end, TRANSFER_BROKEN);
    assert_int_equal(update.download.got, 0);
}

static void a_last_block_too_short_breaks_it_off(void **state)
{
    (void)state;
    take(0, BLOCK);
    take(256, BLOCK);
    take(512, 87);
    assert_int_equal(seen.end, TRANSFER_BROKEN);
    assert_int_equal(update.download.got, 512);
}

/* An answer is waited for ten seconds, and a block asked for three times. */
static void a_lost_answer_is_asked_for_again(void **state)
{
    (void)state;
    step_at(10999);
    assert_int_equal(seen.asked, 1);
    step_at(11000);
    assert_int_equal(seen.asked, 2);
    assert_int_equal(seen.again, 1);
    assert_int_equal(seen.offset, 0);
    take(0, BLOCK); /* the count begins again with each block */
    step_at(21000);
    step_at(31000);
    assert_int_equal(seen.ended, 0);
    step_at(41000);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.end, TRANSFER_BROKEN);
}

static void without_a_session_nobody_is_asked(void **state)
{
    (void)state;
    device.online = false;
    step_at(60000);
    assert_int_equal(seen.asked, 1);
    device.online = true;
    device_blocks_begin(&device);
    assert_int_equal(seen.asked, 2);
    assert_false(update.download.resumed);
    take(0, BLOCK);
    device_blocks_begin(&device);
    assert_int_equal(seen.offset, BLOCK);
    assert_true(update.download.resumed);
}

static void a_cut_comes_once(void **state)
{
    (void)state;
    update.download.cut_at = 300;
    take(0, BLOCK);
    assert_int_equal(seen.ended, 0);
    take(256, BLOCK);
    assert_int_equal(seen.end, TRANSFER_CUT);
    assert_int_equal(update.download.cut_at, 0);
    assert_int_equal(update.download.got, 512);
    device.work = WORK_DOWNLOADING;
    device_blocks_begin(&device);
    take(512, 88);
    assert_int_equal(seen.end, TRANSFER_DONE);
}

static void the_rate_holds_it_back(void **state)
{
    (void)state;
    options.rate_bytes = 1000;
    take(0, BLOCK);
    assert_int_equal(seen.asked, 1);
    step_at(1255);
    assert_int_equal(seen.asked, 1);
    step_at(1256);
    assert_int_equal(seen.asked, 2);
    assert_int_equal(seen.again, 0);
}

static void a_block_that_is_not_there_breaks_it_off(void **state)
{
    (void)state;
    device_blocks_none(&device);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.end, TRANSFER_BROKEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_hash)
    const struct CMUnitTest tests[] = {
        TEST(one_block_is_asked_for_at_a_time),
        TEST(what_was_not_asked_for_changes_nothing),
        TEST(a_block_of_another_length_breaks_it_off),
        TEST(a_last_block_too_short_breaks_it_off),
        TEST(a_lost_answer_is_asked_for_again),
        TEST(without_a_session_nobody_is_asked),
        TEST(a_cut_comes_once),
        TEST(the_rate_holds_it_back),
        TEST(a_block_that_is_not_there_breaks_it_off),
    };
#undef TEST
    return cmocka_run_group_tests_name("sim_blocks", tests, NULL, NULL);
}
