#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/firmware_part.h"
#include "store/product.h"
#include "store_fixture.h"

struct add {
    const struct firmware *f;
    struct firmware_part part;
    bool existed;
};

struct removal {
    int64_t id;
    bool last;
};

static int insert_firmware(struct db *w, struct firmware *f, struct err *e)
{
    bool existed;
    return firmware_insert(w, f, &existed, e);
}

static int name_it(struct db *w, int64_t id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_INSERT);
    bind_text(s, ":name", "c");
    bind_int(s, ":product_id", 1);
    bind_text(s, ":state", "completed");
    bind_text(s, ":target", "{}");
    bind_text(s, ":policy", "{}");
    bind_text(s, ":ext_data", "");
    bind_text(s, ":waves", "[]");
    static const char *const zeros[] = {":dynamic", ":salt", ":puts_back", ":start_at_ms", ":end_at_ms"};
    for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
        bind_int(s, zeros[i], 0);
    bind_int(s, ":now_ms", 1);
    if (stmt_run(s, NULL, e) < 0)
        return -(int)e->code;
    s = db_stmt(w, Q_CAMPAIGN_FIRMWARE_INSERT);
    bind_int(s, ":campaign_id", db_last_id(w));
    bind_int(s, ":ord", 0);
    bind_int(s, ":firmware_id", id);
    bind_text(s, ":module", "default");
    return stmt_run(s, NULL, e);
}

WRITES(insert_product, struct product, product_insert(w, a, e))
WRITES(insert, struct firmware, insert_firmware(w, a, e))
WRITES(add_part, struct add, firmware_part_add(w, a->f, &a->part, &a->existed, e))
WRITES(delete, struct removal, firmware_delete(w, a->id, 1, &a->last, e))
WRITES(name, int64_t, name_it(w, *a, e))

/* digit fills the SHA-256, so that files differ by it. */
static struct firmware firmware(struct fixture *f, const char *version, char digit)
{
    struct firmware fw = {.product_id = 1,
                          .module = "default",
                          .requires = ">=0.1",
                          .filename = "a.bin",
                          .size = 1,
                          .created_at_ms = 1};
    struct err e;
    strcpy(fw.version, version);
    memset(fw.digests.sha256, digit, 64);
    assert_int_equal(insert(f, &fw, &e), 0);
    return fw;
}

static struct add part(const struct firmware *f, const char *filename, char digit)
{
    struct add a = {.f = f,
                    .part = {.size = 5000000000ULL,
                             .digests = {.sha1 = "s1", .md5 = "m5"},
                             .signature = "c2ln",
                             .signed_by = "abc2",
                             .created_at_ms = 12345}};
    strcpy(a.part.filename, filename);
    memset(a.part.digests.sha256, digit, 64);
    return a;
}

static int enter(void **state)
{
    struct product p = {.key = "thermo", .name = "p", .protocol = "aliyun", .enabled = true};
    struct err e;
    fixture_enter(state);
    assert_int_equal(insert_product(*state, &p, &e), 0);
    assert_int_equal(p.id, 1);
    return 0;
}

static bool known(struct fixture *f, char digit)
{
    char sha256[SHA256_TEXT_SIZE] = {0};
    bool is = false;
    struct err e;
    memset(sha256, digit, 64);
    assert_int_equal(firmware_known(f->db, sha256, &is, &e), 0);
    return is;
}

static void test_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct firmware fw = firmware(f, "1", 'a'), as;
    struct firmware_part back[FIRMWARE_FILES_MAX];
    struct err e;
    size_t n = 9;
    assert_int_equal(firmware_parts(f->db, fw.id, back, &n, &e), 0);
    assert_int_equal(n, 0);
    struct add b = part(&fw, "b.bin", 'b'), c = part(&fw, "c.bin", 'c');
    assert_int_equal(add_part(f, &b, &e), 0);
    assert_int_equal(add_part(f, &c, &e), 0);
    assert_false(b.existed || c.existed);
    assert_int_equal(firmware_parts(f->db, fw.id, back, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(back[0].number, 2);
    assert_int_equal(back[1].number, 3);
    assert_string_equal(back[0].filename, "b.bin");
    assert_int_equal(back[0].size, 5000000000ULL);
    assert_string_equal(back[0].digests.sha256, b.part.digests.sha256);
    assert_string_equal(back[0].digests.sha1, "s1");
    assert_string_equal(back[0].digests.md5, "m5");
    assert_string_equal(back[0].signature, "c2ln");
    assert_string_equal(back[0].signed_by, "abc2");
    assert_int_equal(back[0].created_at_ms, 12345);
    assert_int_equal(firmware_get_sha256(f->db, c.part.digests.sha256, &as, &e), 0);
    assert_int_equal(as.id, fw.id);
    assert_string_equal(as.filename, "c.bin");
    assert_string_equal(as.signed_by, "abc2");
    assert_string_equal(as.requires, ">=0.1");
    assert_int_equal(as.withdrawn_at_ms, 0);
    assert_int_equal(as.size, 5000000000ULL);
    assert_string_equal(as.digests.sha256, c.part.digests.sha256);
}

static void test_twice(void **state)
{
    struct fixture *f = *state;
    struct firmware fw = firmware(f, "1", 'a');
    struct err e;
    struct add b = part(&fw, "b.bin", 'b'), again = b, other = part(&fw, "b.bin", 'c'),
               first = part(&fw, "a.bin", 'a'), taken = part(&fw, "a.bin", 'b'),
               twin = part(&fw, "b2.bin", 'b');
    assert_int_equal(add_part(f, &b, &e), 0);
    assert_int_equal(add_part(f, &again, &e), 0);
    assert_true(again.existed);
    assert_int_equal(add_part(f, &first, &e), 0);
    assert_true(first.existed);
    assert_int_equal(add_part(f, &other, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "filename");
    assert_int_equal(add_part(f, &taken, &e), -ERR_CONFLICT);
    assert_int_equal(add_part(f, &twin, &e), 0);
    assert_false(twin.existed);
}

static void test_so_many_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct firmware fw = firmware(f, "1", 'a');
    struct err e;
    for (int i = 2; i <= FIRMWARE_FILES_MAX + 1; i++) {
        char filename[16];
        snprintf(filename, sizeof filename, "f%d", i);
        struct add p = part(&fw, filename, 'b');
        assert_int_equal(add_part(f, &p, &e), i <= FIRMWARE_FILES_MAX ? 0 : -ERR_CONFLICT);
    }
}

static void test_once_named_nothing_changes(void **state)
{
    struct fixture *f = *state;
    struct firmware fw = firmware(f, "1", 'a'), other = firmware(f, "2", 'd');
    struct err e;
    struct add b = part(&fw, "b.bin", 'b'), again = b, c = part(&fw, "c.bin", 'c'),
               d = part(&other, "c.bin", 'c');
    assert_int_equal(add_part(f, &b, &e), 0);
    assert_int_equal(name(f, &fw.id, &e), 0);
    assert_int_equal(add_part(f, &c, &e), -ERR_CONFLICT);
    assert_int_equal(add_part(f, &again, &e), 0);
    assert_true(again.existed);
    assert_int_equal(add_part(f, &d, &e), 0);
}

static void test_bytes_are_known_as_long_as_a_row_names_them(void **state)
{
    struct fixture *f = *state;
    struct firmware one = firmware(f, "1", 'a'), two = firmware(f, "2", 'b'), gone;
    struct err e;
    struct add c = part(&one, "c.bin", 'c'), d = part(&one, "d.bin", 'd'), c2 = part(&two, "c.bin", 'c'),
               a2 = part(&two, "a2.bin", 'a');
    assert_int_equal(add_part(f, &c, &e), 0);
    assert_int_equal(add_part(f, &d, &e), 0);
    assert_int_equal(add_part(f, &c2, &e), 0);
    assert_int_equal(add_part(f, &a2, &e), 0);
    assert_true(known(f, 'a') && known(f, 'b') && known(f, 'c') && known(f, 'd'));
    struct removal first = {one.id, true}, second = {two.id, false};
    assert_int_equal(delete (f, &first, &e), 0);
    assert_false(first.last); /* the other one has it as a further file */
    assert_true(known(f, 'a') && known(f, 'c'));
    assert_false(known(f, 'd'));
    assert_int_equal(firmware_get_sha256(f->db, d.part.digests.sha256, &gone, &e), -ERR_NOT_FOUND);
    assert_int_equal(name(f, &two.id, &e), 0); /* its row stays, and tells nothing of bytes */
    assert_int_equal(delete (f, &second, &e), 0);
    assert_true(second.last);
    assert_false(known(f, 'a') || known(f, 'b') || known(f, 'c'));
    assert_int_equal(firmware_get_sha256(f->db, c.part.digests.sha256, &gone, &e), -ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back_as_it_went_in, enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_twice, enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_so_many_and_no_more, enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_once_named_nothing_changes, enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_bytes_are_known_as_long_as_a_row_names_them, enter,
                                        fixture_leave),
    };
    return cmocka_run_group_tests_name("firmware_part", tests, NULL, NULL);
}
