#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/firmware.h"
#include "store/product.h"
#include "store_fixture.h"

struct put {
    struct firmware f;
    bool existed;
};

struct removal {
    int64_t id;
    bool last;
};

WRITES(insert_product, struct product, product_insert(w, a, e))
WRITES(update_product, struct product, product_update(w, a, e))
WRITES(insert, struct put, firmware_insert(w, &a->f, &a->existed, e))
WRITES(delete, struct removal, firmware_delete(w, a->id, 1, &a->last, e))

static struct product product(struct fixture *f, const char *key, bool public)
{
    struct product p = {.name = "p", .protocol = "native", .public = public, .enabled = true};
    struct err e;

    strcpy(p.key, key);
    assert_int_equal(insert_product(f, &p, &e), 0);
    return p;
}

/* digit fills the SHA-256, so that files differ by it. */
static struct put file(int64_t product_id, const char *version, char digit)
{
    struct put put = {.f = {.product_id = product_id,
                            .module = "default",
                            .requires = ">=0.1 <1 || v0.0.9",
                            .filename = "app.bin",
                            .size = 5000000000ULL,
                            .digests = {.sha1 = "s1", .md5 = "m5"},
                            .signature = "c2ln",
                            .signed_by = "abc1",
                            .image = "esp",
                            .image_version = "v0",
                            .image_project = "thermo-app",
                            .image_chip = "esp32s3",
                            .created_at_ms = 12345}};

    strcpy(put.f.version, version);
    memset(put.f.digests.sha256, digit, 64);
    return put;
}

static void test_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "thermo", false);
    struct put put = file(p.id, "1.0", 'a');
    struct firmware back;
    struct err e;

    assert_int_equal(insert(f, &put, &e), 0);
    assert_false(put.existed);
    assert_int_equal(firmware_get(f->db, put.f.id, &back, &e), 0);
    assert_string_equal(back.product, "thermo");
    assert_string_equal(back.module, "default");
    assert_string_equal(back.version, "1.0");
    assert_string_equal(back.delta_from, "");
    assert_string_equal(back.filename, "app.bin");
    assert_int_equal(back.size, 5000000000ULL);
    assert_string_equal(back.digests.sha256, put.f.digests.sha256);
    assert_string_equal(back.digests.sha1, "s1");
    assert_string_equal(back.digests.md5, "m5");
    assert_string_equal(back.signature, "c2ln");
    assert_string_equal(back.signed_by, "abc1");
    assert_string_equal(back.image, "esp");
    assert_string_equal(back.image_version, "v0");
    assert_string_equal(back.image_project, "thermo-app");
    assert_string_equal(back.image_chip, "esp32s3");
    assert_int_equal(back.created_at_ms, 12345);
    assert_int_equal(back.withdrawn_at_ms, 0);
    assert_string_equal(back.requires, ">=0.1 <1 || v0.0.9");
    assert_int_equal(firmware_get_sha256(f->db, put.f.digests.sha256, &back, &e), 0);
    assert_int_equal(back.id, put.f.id);
    assert_int_equal(firmware_get(f->db, put.f.id + 1, &back, &e), -ERR_NOT_FOUND);
}

static void test_same_version_again(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "thermo", false);
    struct put one = file(p.id, "1.0", 'a'), same = file(p.id, "1.0", 'a'), other = file(p.id, "1.0", 'b');
    struct put delta = file(p.id, "1.0", 'b'), module = file(p.id, "1.0", 'b');
    struct err e;

    assert_int_equal(insert(f, &one, &e), 0);
    strcpy(same.f.filename, "renamed.bin");
    assert_int_equal(insert(f, &same, &e), 0);
    assert_true(same.existed);
    assert_int_equal(same.f.id, one.f.id);
    assert_string_equal(same.f.filename, "app.bin");
    assert_int_equal(insert(f, &other, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, one.f.digests.sha256));
    assert_non_null(strstr(e.text, other.f.digests.sha256));
    strcpy(delta.f.delta_from, "0.9");
    assert_int_equal(insert(f, &delta, &e), 0);
    assert_false(delta.existed);
    strcpy(module.f.module, "MCU");
    assert_int_equal(insert(f, &module, &e), 0);
    assert_false(module.existed);
}

static void test_same_version_again_requires_the_same(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "thermo", false);
    struct put one = file(p.id, "2.0", 'a'), other = one, none = one, same = one;
    struct put free = file(p.id, "2.1", 'b'), bound = free;
    struct firmware back;
    struct err e;

    assert_int_equal(insert(f, &one, &e), 0);
    strcpy(other.f.requires, ">=1.4");
    assert_int_equal(insert(f, &other, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "requires");
    assert_string_equal(e.text, "this file is stored as firmware 1, which requires >=0.1 <1 || v0.0.9; the "
                                "new one requires >=1.4");
    strcpy(none.f.requires, "");
    assert_int_equal(insert(f, &none, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "the new one requires nothing"));
    assert_int_equal(insert(f, &same, &e), 0);
    assert_true(same.existed);
    assert_string_equal(same.f.requires, one.f.requires);

    strcpy(free.f.requires, "");
    assert_int_equal(insert(f, &free, &e), 0);
    assert_int_equal(firmware_get(f->db, free.f.id, &back, &e), 0);
    assert_string_equal(back.requires, "");
    assert_int_equal(insert(f, &bound, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "which requires nothing; the new one requires >=0.1"));
}

static void test_longest_requirement(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "thermo", false);
    struct put put = file(p.id, "2.0", 'a');
    struct firmware back;
    struct err e;

    memset(put.f.requires, '1', RANGE_SIZE - 1);
    put.f.requires[RANGE_SIZE - 1] = '\0';
    assert_int_equal(insert(f, &put, &e), 0);
    assert_int_equal(firmware_get_sha256(f->db, put.f.digests.sha256, &back, &e), 0);
    assert_string_equal(back.requires, put.f.requires);
}

static void test_public_is_the_newest_full_file_of_an_enabled_product(void **state)
{
    struct fixture *f = *state;
    struct product hidden = product(f, "hidden", false), open = product(f, "open", true);
    struct put a = file(open.id, "1", 'a'), b = file(open.id, "2", 'b'), delta = file(open.id, "3", 'c'),
               c = file(hidden.id, "9", 'd');
    struct firmware back;
    struct err e;

    strcpy(delta.f.delta_from, "2");
    assert_int_equal(insert(f, &c, &e), 0);
    assert_int_equal(firmware_get_public(f->db, "app.bin", &back, &e), -ERR_NOT_FOUND);
    assert_int_equal(insert(f, &a, &e), 0);
    assert_int_equal(insert(f, &b, &e), 0);
    assert_int_equal(insert(f, &delta, &e), 0);
    assert_int_equal(firmware_get_public(f->db, "app.bin", &back, &e), -ERR_NOT_FOUND);
    strcpy(open.public_keys, a.f.signed_by);
    assert_int_equal(update_product(f, &open, &e), 0);
    assert_int_equal(firmware_get_public(f->db, "app.bin", &back, &e), 0);
    assert_int_equal(back.id, b.f.id);
    assert_int_equal(firmware_get_public(f->db, "App.bin", &back, &e), -ERR_NOT_FOUND);
    open.enabled = false;
    assert_int_equal(update_product(f, &open, &e), 0);
    assert_int_equal(firmware_get_public(f->db, "app.bin", &back, &e), -ERR_NOT_FOUND);
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    struct product x = product(f, "x", false), y = product(f, "y", false);
    struct put a = file(x.id, "1", 'a'), b = file(y.id, "1", 'b'), c = file(x.id, "2", 'c');
    struct firmware page[2];
    struct err e;
    size_t n = 0;

    assert_int_equal(insert(f, &a, &e), 0);
    assert_int_equal(insert(f, &b, &e), 0);
    assert_int_equal(insert(f, &c, &e), 0);
    assert_int_equal(firmware_list(f->db, NULL, 0, page, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(page[1].id, b.f.id);
    assert_int_equal(firmware_list(f->db, NULL, page[1].id, page, 2, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(firmware_list(f->db, "x", 0, page, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(page[1].id, c.f.id);
}

static void test_last_row_of_its_bytes(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "a", false);
    struct put one = file(p.id, "1", 'a'), two = file(p.id, "2", 'a'), three;
    struct removal first, second;
    bool known = false;
    struct err e;

    assert_int_equal(insert(f, &one, &e), 0);
    assert_int_equal(insert(f, &two, &e), 0);
    first.id = one.f.id;
    second.id = two.f.id;
    assert_int_equal(delete (f, &first, &e), 0);
    assert_false(first.last);
    assert_int_equal(firmware_known(f->db, one.f.digests.sha256, &known, &e), 0);
    assert_true(known);
    assert_int_equal(delete (f, &second, &e), 0);
    assert_true(second.last);
    assert_int_equal(firmware_known(f->db, one.f.digests.sha256, &known, &e), 0);
    assert_false(known);
    assert_int_equal(delete (f, &second, &e), -ERR_NOT_FOUND);
    three = file(p.id, "3", 'a');
    assert_int_equal(insert(f, &three, &e), 0);
    assert_true(three.f.id > second.id);
}

static int in_campaign(struct db *w, void *arg, struct err *e)
{
    struct put *put = arg;
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_INSERT);
    int rc;

    bind_text(s, ":name", "c");
    bind_int(s, ":product_id", put->f.product_id);
    bind_text(s, ":state", "running");
    bind_text(s, ":target", "{}");
    bind_text(s, ":policy", "{}");
    bind_text(s, ":ext_data", "");
    bind_text(s, ":waves", "[]");
    static const char *const zeros[] = {":dynamic", ":salt", ":puts_back", ":start_at_ms", ":end_at_ms"};
    for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
        bind_int(s, zeros[i], 0);
    bind_int(s, ":now_ms", 1);
    rc = stmt_run(s, NULL, e);
    if (rc < 0)
        return rc;
    s = db_stmt(w, Q_CAMPAIGN_FIRMWARE_INSERT);
    bind_int(s, ":campaign_id", db_last_id(w));
    bind_int(s, ":ord", 0);
    bind_int(s, ":firmware_id", put->f.id);
    bind_text(s, ":module", "default");
    return stmt_run(s, NULL, e);
}

struct ending {
    const char *from, *to;
    bool forced;
    int at_work; /* devices that download */
};

static int end_campaign(struct db *w, void *arg, struct err *e)
{
    const struct ending *ending = arg;
    struct stmt *s = db_stmt(w, Q_WAVE_COUNT_ADD);
    bind_int(s, ":campaign_id", 1);
    bind_int(s, ":wave", 0);
    bind_int(s, ":state", 3);
    bind_int(s, ":n", ending->at_work);
    if (stmt_run(s, NULL, e) < 0)
        return -(int)e->code;
    s = db_stmt(w, Q_CAMPAIGN_MOVE);
    bind_int(s, ":id", 1);
    bind_text(s, ":from", ending->from);
    bind_text(s, ":to", ending->to);
    bind_text(s, ":cause", "");
    bind_text(s, ":reason", "");
    bind_int(s, ":forced", ending->forced);
    bind_int(s, ":now_ms", 1);
    return stmt_run(s, NULL, e);
}

static void test_a_campaign_keeps_its_firmware(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f, "a", true);
    struct put put = file(p.id, "1", 'a'), again = file(p.id, "1", 'b');
    struct removal removal = {.id = 0};
    struct firmware back;
    struct err e;

    assert_int_equal(insert(f, &put, &e), 0);
    assert_int_equal(store_write(f->store, in_campaign, &put, &e), 0);
    removal.id = put.f.id;
    assert_int_equal(delete (f, &removal, &e), -ERR_CONFLICT);
    assert_string_equal(e.text, "firmware 1 belongs to campaign 1, which is not over");

    /* the campaign over, it is withdrawn: nobody gets it, its version is free, its row still tells of it */
    struct ending gently = {"running", "cancelled", false, 1}, forced = {"cancelled", "cancelled", true, 0};
    assert_int_equal(store_write(f->store, end_campaign, &gently, &e), 0);
    assert_int_equal(delete (f, &removal, &e), -ERR_CONFLICT); /* a device still fetches it */
    assert_int_equal(store_write(f->store, end_campaign, &forced, &e), 0);
    assert_int_equal(delete (f, &removal, &e), 0);
    assert_true(removal.last);
    assert_int_equal(firmware_get_public(f->db, put.f.filename, &back, &e), -ERR_NOT_FOUND);
    assert_int_equal(firmware_get_sha256(f->db, put.f.digests.sha256, &back, &e), -ERR_NOT_FOUND);
    assert_int_equal(delete (f, &removal, &e), -ERR_NOT_FOUND);
    assert_int_equal(firmware_get(f->db, put.f.id, &back, &e), 0);
    assert_int_equal(back.withdrawn_at_ms, 1);
    assert_int_equal(insert(f, &again, &e), 0);
    assert_int_not_equal(again.f.id, put.f.id);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_comes_back_as_it_went_in),
        IN_STORE(test_same_version_again),
        IN_STORE(test_same_version_again_requires_the_same),
        IN_STORE(test_longest_requirement),
        IN_STORE(test_public_is_the_newest_full_file_of_an_enabled_product),
        IN_STORE(test_lists),
        IN_STORE(test_last_row_of_its_bytes),
        IN_STORE(test_a_campaign_keeps_its_firmware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
