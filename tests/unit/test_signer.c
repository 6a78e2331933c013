/* By whom a firmware is signed, and which keys its product holds: what may be released, and what may be
 * chosen on the way to it. Whole executions, against a real store. */
#include "rollout_devices.h"
#include "store/firmware_part.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static int setup(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

static int hold_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    snprintf(w->product.public_keys, sizeof w->product.public_keys, "%s", (const char *)arg);
    return product_update(db, &w->product, e);
}

/* The product's keys from now on, as far as their fingerprints go. */
static void hold(struct world *w, const char *keys)
{
    char text[MAKER_KEYS_TEXT_SIZE];
    snprintf(text, sizeof text, "%s", keys);
    must(w, hold_run, text);
}

struct part_of {
    struct firmware f;
    struct firmware_part part;
};

static int add_part(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct part_of *p = arg;
    bool existed;
    (void)w;
    return firmware_part_add(db, &p->f, &p->part, &existed, e);
}

static int64_t signed_firmware(struct world *w, const char *version, const char *requires,
                               const char *delta_from, const char *by)
{
    static unsigned serial = 0x2000000;
    struct firmware f = {.module = "default", .size = ++serial, .created_at_ms = w->now_ms};
    snprintf(f.version, sizeof f.version, "%s", version);
    snprintf(f.requires, sizeof f.requires, "%s", requires);
    snprintf(f.delta_from, sizeof f.delta_from, "%s", delta_from);
    snprintf(f.filename, sizeof f.filename, "%s-%u.bin", version, serial);
    snprintf(f.digests.sha256, sizeof f.digests.sha256, "%064x", serial);
    snprintf(f.signature, sizeof f.signature, "%.4s", *by ? by : "otad");
    snprintf(f.signed_by, sizeof f.signed_by, "%s", by);
    must(w, add_firmware, &f);
    return f.id;
}

static void with_part(struct world *w, int64_t id, const char *by)
{
    struct part_of p = {.f = {.id = id, .filename = "first"}, .part = {.filename = "second", .size = 1}};
    snprintf(p.part.digests.sha256, sizeof p.part.digests.sha256, "%064x", 0x3000000u + (unsigned)id);
    snprintf(p.part.signed_by, sizeof p.part.signed_by, "%s", by);
    must(w, add_part, &p);
}

static int try_campaign(struct world *w, int64_t id, struct err *e)
{
    struct creation c = {.spec = spec_for(id)};
    int rc = try_it(w, create, &c, e);
    campaign_spec_clear(&c.spec);
    return rc;
}

/* ---- what may be released */

static const struct {
    const char *keys, *by;
    bool taken;
} rules[] = {
    {"", "", true},
    {"", A, false}, /* the last key was taken away, and with it what it had signed */
    {"ed25519 " A "\n", "", false},
    {"ed25519 " A "\n", A, true},
    {"ed25519 " A "\n", B, false},
    {"ed25519 " A "\necdsa-p256 " B "\n", A, true},
    {"ed25519 " A "\necdsa-p256 " B "\n", B, true},
    {"ed25519 " A "\necdsa-p256 " B "\n", "", false},
};

static void test_what_the_keys_allow(void **state)
{
    struct world *w = *state;
    char version[16];
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        struct err e = {0};
        hold(w, rules[i].keys);
        snprintf(version, sizeof version, "1.%zu", i);
        int rc = try_campaign(w, signed_firmware(w, version, "", "", rules[i].by), &e);
        if (rc != (rules[i].taken ? 0 : -ERR_CONFLICT))
            fail_msg("row %zu: %d %s", i, rc, e.text);
        if (rc) {
            assert_string_equal(e.field, "firmware");
            assert_non_null(strstr(e.text, *rules[i].by ? rules[i].by : "otad's own key"));
            assert_non_null(strstr(e.text, w->product.key));
        }
    }
}

/* Its first file is always one that the keys allow. */
static void test_what_the_keys_allow_of_a_further_file(void **state)
{
    struct world *w = *state;
    char version[16];
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        struct err e = {0};
        hold(w, rules[i].keys);
        snprintf(version, sizeof version, "1.%zu", i);
        int64_t id = signed_firmware(w, version, "", "", *rules[i].keys ? A : "");
        with_part(w, id, rules[i].by);
        assert_int_equal(try_campaign(w, id, &e), rules[i].taken ? 0 : -ERR_CONFLICT);
    }
}

static void test_a_draft_is_held_against_the_keys_again(void **state)
{
    struct world *w = *state;
    struct err e;
    hold(w, A);
    struct creation c = {.spec = spec_for(signed_firmware(w, "1.1", "", "", A))};
    c.spec.draft = true;
    must(w, create, &c);
    struct act start = {c.id, CAMPAIGN_START};
    hold(w, B);
    assert_int_equal(try_it(w, act_run, &start, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, A));
    hold(w, B "\n" A);
    must(w, act_run, &start);
}

static void test_what_runs_goes_on(void **state)
{
    struct world *w = *state;
    hold(w, A);
    device_there(w, "d1", "1.0");
    campaign(w, signed_firmware(w, "1.1", "", "", A));
    expect_offer(w, "d1", "1.1");
    assert_string_equal(w->out[0].offer.file.signature, "aaaa");
    hold(w, B);
    request(w, "d1");
    expect_offer(w, "d1", "1.1");
}

/* ---- what is chosen by otad itself */

static int64_t offered_to(struct world *w, const char *device, int64_t goal)
{
    device_there(w, device, "1.0");
    campaign(w, goal);
    for (size_t i = 0; i < w->sent; i++)
        if (w->out[i].kind == OUTGOING_OFFER && strcmp(w->out[i].device, device) == 0)
            return w->out[i].offer.file.firmware_id;
    return 0;
}

static void test_a_delta_by_another_key_is_none(void **state)
{
    struct world *w = *state;
    signed_firmware(w, "1.1", "", "1.0", "");
    signed_firmware(w, "1.2", "", "1.0", B);
    hold(w, A);
    int64_t full = signed_firmware(w, "1.1", "", "", A), next = signed_firmware(w, "1.2", "", "", A),
            last = signed_firmware(w, "1.3", "", "", A), delta = signed_firmware(w, "1.3", "", "1.0", A);
    assert_int_equal(offered_to(w, "d1", full), full);
    assert_int_equal(offered_to(w, "d2", next), next);
    assert_int_equal(offered_to(w, "d3", last), delta);
}

static void test_a_delta_with_a_file_by_another_key_is_none(void **state)
{
    struct world *w = *state;
    hold(w, A);
    int64_t full = signed_firmware(w, "1.1", "", "", A), delta = signed_firmware(w, "1.1", "", "1.0", A);
    with_part(w, delta, B);
    assert_int_equal(offered_to(w, "d1", full), full);
}

static void test_a_stone_by_another_key_is_none(void **state)
{
    struct world *w = *state;
    signed_firmware(w, "1.4.2", "", "", "");
    hold(w, A);
    int64_t stone = signed_firmware(w, "1.4.1", "", "", A), goal = signed_firmware(w, "2.0", ">=1.4", "", A);
    signed_firmware(w, "1.4.3", "", "", B);
    assert_int_equal(offered_to(w, "d1", goal), stone);
}

struct rollback {
    int64_t id, made;
};

static int rollback_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct rollback *r = arg;
    return campaign_rollback(&w->rollout, db, r->id, "the test", w->now_ms, &r->made, e);
}

static int64_t back(struct world *w, int64_t id)
{
    struct rollback r = {.id = id};
    must(w, rollback_run, &r);
    return r.made;
}

/* What they had is stored, and they would not take it. */
static void test_nothing_is_put_back_that_another_key_signed(void **state)
{
    static const struct {
        const char *keys;
        bool offered;
    } rows[] = {{A, false}, {A "\n" B, true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world *w = *state;
        hold(w, B);
        signed_firmware(w, "1.0", "", "", B);
        device_there(w, "d1", "1.0");
        hold(w, A);
        int64_t id = campaign(w, signed_firmware(w, "1.1", "", "", A));
        inform(w, "d1", "1.1");
        assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
        hold(w, rows[i].keys);
        int64_t made = back(w, id);
        later(w, SECOND);
        later(w, SECOND);
        request(w, "d1");
        assert_int_equal(w->sent, 1);
        assert_int_equal(w->out[0].kind == OUTGOING_OFFER, rows[i].offered);
        if (!rows[i].offered)
            assert_string_equal(execution_of(w, made, "d1").detail,
                                "it had 1.0, of which no file can be offered");
        world_leave(w);
        setup(state);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_the_keys_allow),
        T(test_what_the_keys_allow_of_a_further_file),
        T(test_a_draft_is_held_against_the_keys_again),
        T(test_what_runs_goes_on),
        T(test_a_delta_by_another_key_is_none),
        T(test_a_delta_with_a_file_by_another_key_is_none),
        T(test_a_stone_by_another_key_is_none),
        T(test_nothing_is_put_back_that_another_key_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
