/* Damaged files: what brings them is paused in one transaction, nothing that brings them begins, and it ends
 * when they are whole again. */
#include "rollout/damage.h"

#include "model/board.h"
#include "rollout/choose.h"
#include "rollout_devices.h"
#include "store/firmware_part.h"

static int enter(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

static int leave(void **state)
{
    world_leave(*state);
    return 0;
}

struct damage {
    const char *sha256;
    size_t paused;
};

static int record(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct damage *d = arg;
    return damage_record(db, d->sha256, "its bytes are others", w->now_ms, &d->paused, e);
}

static int forget_it(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)w;
    return damage_forget(db, arg, e);
}

static struct firmware firmware_row(struct world *w, int64_t id)
{
    struct firmware f;
    struct err e;
    assert_int_equal(firmware_get(reader(w), id, &f, &e), 0);
    return f;
}

static size_t damage(struct world *w, const char *sha256)
{
    struct damage d = {.sha256 = sha256};
    must(w, record, &d);
    return d.paused;
}

static size_t damage_firmware(struct world *w, int64_t id)
{
    struct firmware f = firmware_row(w, id);
    return damage(w, f.digests.sha256);
}

static void mend_firmware(struct world *w, int64_t id)
{
    struct firmware f = firmware_row(w, id);
    must(w, forget_it, f.digests.sha256);
}

static bool board_is_well(char text[160])
{
    struct board_row row;
    board_get(BOARD_FILES, &row);
    snprintf(text, 160, "%s", row.text);
    return row.ok;
}

static void test_pauses_and_is_resumed(void **state)
{
    struct world *w = *state;
    struct err e;
    char text[160];
    device_there(w, "d1", "1.0");
    int64_t file = firmware(w, "1.1"), other = firmware_for(w, "app", "1.1");
    int64_t hit = campaign(w, file), missed = campaign(w, other);
    assert_int_equal(damage_firmware(w, file), 1);
    struct campaign c = campaign_read_back(w, hit);
    assert_int_equal(c.state, CAMPAIGN_PAUSED);
    assert_string_equal(c.state_cause, "damage");
    assert_non_null(strstr(c.state_reason, "default-1.1.bin"));
    assert_int_equal(campaign_read_back(w, missed).state, CAMPAIGN_RUNNING);
    assert_false(board_is_well(text));
    assert_non_null(strstr(text, "default-1.1.bin"));
    assert_int_equal(try_it(w, act_run, &(struct act){hit, CAMPAIGN_RESUME}, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "upload the same bytes again"));
    assert_int_equal(try_it(w, act_run, &(struct act){hit, CAMPAIGN_ADVANCE}, &e), -ERR_CONFLICT);
    assert_int_equal(damage_firmware(w, file), 0); /* found again: nothing new */
    mend_firmware(w, file);
    assert_true(board_is_well(text));
    assert_int_equal(campaign_read_back(w, hit).state, CAMPAIGN_PAUSED);
    act(w, hit, CAMPAIGN_RESUME);
    assert_int_equal(campaign_read_back(w, hit).state, CAMPAIGN_RUNNING);
}

static int add_part(struct world *w, struct db *db, void *arg, struct err *e)
{
    int64_t *id = arg;
    struct firmware f;
    bool existed;
    struct firmware_part part = {.filename = "second.bin", .size = 10, .created_at_ms = w->now_ms};
    memset(part.digests.sha256, 'c', SHA256_TEXT_SIZE - 1);
    strcpy(part.digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(part.digests.sha1, "0123456789abcdef0123456789abcdef01234567");
    strcpy(part.signature, "c2ln");
    int rc = firmware_get(db, *id, &f, e);
    return rc < 0 ? rc : firmware_part_add(db, &f, &part, &existed, e);
}

static void test_a_further_file(void **state)
{
    struct world *w = *state;
    char sha256[SHA256_TEXT_SIZE] = "";
    memset(sha256, 'c', SHA256_TEXT_SIZE - 1);
    device_there(w, "d1", "1.0");
    int64_t file = firmware(w, "1.1");
    must(w, add_part, &file);
    int64_t id = campaign(w, file);
    assert_int_equal(damage(w, sha256), 1);
    assert_non_null(strstr(campaign_read_back(w, id).state_reason, "second.bin"));
}

/* A campaign that is made, or that waits for its time, does not begin. */
static void test_none_begins(void **state)
{
    struct world *w = *state;
    struct err e;
    device_there(w, "d1", "1.0");
    int64_t file = firmware(w, "1.1");
    struct campaign_spec spec = spec_for(file);
    spec.policy.start_at_ms = w->now_ms + HOUR;
    int64_t later_one = campaign_of(w, &spec);
    assert_int_equal(damage_firmware(w, file), 0);
    struct creation c = {.spec = spec_for(file)};
    assert_int_equal(try_it(w, create, &c, &e), -ERR_CONFLICT);
    assert_int_equal(campaign_read_back(w, later_one).state, CAMPAIGN_SCHEDULED);
    later(w, HOUR);
    struct campaign now = campaign_read_back(w, later_one);
    assert_int_equal(now.state, CAMPAIGN_PAUSED);
    assert_string_equal(now.state_cause, "damage");
    mend_firmware(w, file);
    act(w, later_one, CAMPAIGN_RESUME);
    expect_offer(w, "d1", "1.1");
}

/* A delta that is damaged is none; whoever is at it has its campaign paused. */
static void test_delta(void **state)
{
    struct world *w = *state;
    struct err e;
    struct chosen chosen;
    int64_t file = firmware(w, "1.1");
    struct firmware delta = {.size = 10, .created_at_ms = w->now_ms};
    strcpy(delta.module, "default");
    strcpy(delta.version, "1.1");
    strcpy(delta.delta_from, "1.0");
    strcpy(delta.filename, "delta.bin");
    memset(delta.digests.sha256, 'd', SHA256_TEXT_SIZE - 1);
    strcpy(delta.digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(delta.digests.sha1, "0123456789abcdef0123456789abcdef01234567");
    strcpy(delta.signature, "c2ln");
    must(w, add_firmware, &delta);
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, file);
    assert_int_equal(choose_file(reader(w), file, VERSION_DOTTED, "1.0", true, &chosen, &e), 0);
    assert_int_equal(chosen.firmware_id, delta.id);
    assert_int_equal(damage(w, delta.digests.sha256), 1);
    assert_string_equal(campaign_read_back(w, id).state_cause, "damage");
    assert_int_equal(choose_file(reader(w), file, VERSION_DOTTED, "1.0", true, &chosen, &e), 0);
    assert_int_equal(chosen.firmware_id, file);
}

static void test_bytes_of_nobody(void **state)
{
    struct world *w = *state;
    char sha256[SHA256_TEXT_SIZE] = "", text[160];
    struct err e;
    memset(sha256, 'e', SHA256_TEXT_SIZE - 1);
    mend_firmware(w, firmware(w, "1.1")); /* not listed: nothing to do */
    assert_int_equal(damage(w, sha256), 0);
    assert_int_equal(damage_check_file(reader(w), sha256, &e), 0);
    assert_int_equal(damage_tell(reader(w), &e), 0);
    assert_true(board_is_well(text));
}

/* Every file comes once, whatever row names it. */
static void test_round(void **state)
{
    struct world *w = *state;
    char at[SHA256_TEXT_SIZE] = "", sha256[SHA256_TEXT_SIZE];
    uint64_t size;
    struct err e;
    int64_t file = firmware(w, "1.1");
    int n = 0;
    firmware(w, "1.2");
    must(w, add_part, &file);
    while (damage_next_file(reader(w), at, sha256, &size, &e) > 0) {
        assert_true(strcmp(sha256, at) > 0);
        assert_int_equal(size, *sha256 == 'c' ? 10 : 1000);
        strcpy(at, sha256);
        n++;
    }
    assert_int_equal(n, 3);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_pauses_and_is_resumed), WORLD(test_a_further_file),
        WORLD(test_none_begins),           WORLD(test_delta),
        WORLD(test_bytes_of_nobody),       WORLD(test_round),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
