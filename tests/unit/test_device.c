#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/device.h"
#include "store/product.h"
#include "store_fixture.h"

struct version_report {
    int64_t id;
    const char *module, *version;
    bool assumed, changed;
    int64_t at_ms;
};

struct tags {
    int64_t id;
    struct device_tag tag[TAGS_MAX + 1];
    size_t n;
};

WRITES(insert_product, struct product, product_insert(w, a, e))
WRITES(insert, struct device, device_insert(w, a, e))
WRITES(update, struct device, device_update(w, a, e))
WRITES(delete, struct device, device_delete(w, a->id, 5, e))
WRITES(seen, struct device, device_seen(w, a->id, a->last_seen_at_ms, e))
WRITES(fails, struct device, device_failures_set(w, a->id, a->failures, a->quarantine_until_ms, e))
WRITES(report, struct version_report,
       device_version_set(w, a->id, a->module, a->version, a->assumed, a->at_ms, &a->changed, e))
WRITES(set_tags, struct tags, device_tags_set(w, a->id, a->tag, a->n, e))
WRITES(happened, struct device,
       timeline_add(w, a->id, a->last_seen_at_ms, "state", 0, a->revision, e, "%d%%", (int)a->revision))

static int64_t product_of(struct fixture *f, const char *key, const char *protocol)
{
    struct product p = {.name = "p"};
    struct err e;

    strcpy(p.key, key);
    strcpy(p.protocol, protocol);
    assert_int_equal(insert_product(f, &p, &e), 0);
    return p.id;
}

static int64_t product(struct fixture *f, const char *key)
{
    return product_of(f, key, "native");
}

static struct device add(struct fixture *f, int64_t product_id, const char *name)
{
    struct device d = {.product_id = product_id, .enabled = true, .registered_at_ms = 1000};
    struct err e;

    strcpy(d.name, name);
    assert_int_equal(insert(f, &d, &e), 0);
    return d;
}

static void tag(struct fixture *f, int64_t id, const char *key, const char *value)
{
    struct tags t = {.id = id, .n = 1};
    struct err e;

    strcpy(t.tag[0].key, key);
    strcpy(t.tag[0].value, value);
    assert_int_equal(set_tags(f, &t, &e), 0);
}

static void has(struct fixture *f, int64_t id, const char *module, const char *version)
{
    struct version_report r = {.id = id, .module = module, .version = version, .at_ms = 9};
    struct err e;

    assert_int_equal(report(f, &r, &e), 0);
}

static void test_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct device d = {.product_id = product(f, "thermo"),
                       .name = "AA:bb-01",
                       .secret = {3, 0, 1, 200},
                       .secret_len = 4,
                       .paused = true,
                       .pinned = "1.2.0",
                       .registered_at_ms = 7,
                       .last_seen_at_ms = 8};
    struct device back;
    struct err e;

    assert_int_equal(insert(f, &d, &e), 0);
    assert_int_equal(device_get(f->db, "thermo", "AA:bb-01", &back, &e), 0);
    assert_string_equal(back.product, "thermo");
    assert_string_equal(back.name, "AA:bb-01");
    assert_int_equal(back.secret_len, 4);
    assert_memory_equal(back.secret, d.secret, sizeof d.secret);
    assert_false(back.enabled);
    assert_true(back.paused);
    assert_string_equal(back.pinned, "1.2.0");
    assert_int_equal(back.failures, 0);
    assert_int_equal(back.quarantine_until_ms, 0);
    assert_int_equal(back.registered_at_ms, 7);
    assert_int_equal(back.last_seen_at_ms, 8);
    assert_int_equal(back.revision, 1);
    assert_int_equal(device_get_id(f->db, d.id, &back, &e), 0);
    assert_string_equal(back.product, "thermo");
    assert_int_equal(device_get(f->db, "thermo", "aa:bb-01", &back, &e), -ERR_NOT_FOUND);
    assert_string_equal(e.text, "there is no device thermo/aa:bb-01");
}

static void test_found_by_its_mac_address(void **state)
{
    struct fixture *f = *state;
    int64_t a = product(f, "a"), b = product(f, "b");
    struct device plain = add(f, a, "A0:B1:C2:D3:E4:F5"), back;
    struct err e;

    add(f, a, "a0b1c2d3e4f5");
    add(f, a, "kitchen");
    add(f, b, "a0-b1-c2-d3-e4-f6");
    assert_int_equal(device_get_mac(f->db, "a", "a0b1c2d3e4f5", &back, &e), 0);
    assert_int_equal(back.id, plain.id);
    assert_string_equal(back.name, "A0:B1:C2:D3:E4:F5");
    assert_string_equal(back.product, "a");
    assert_int_equal(device_get_mac(f->db, "b", "a0b1c2d3e4f6", &back, &e), 0);
    assert_int_equal(device_get_mac(f->db, "b", "a0b1c2d3e4f5", &back, &e), -ERR_NOT_FOUND);
    assert_string_equal(e.text, "b has no device with the MAC address a0b1c2d3e4f5");
    assert_int_equal(device_get_mac(f->db, "a", "", &back, &e), -ERR_NOT_FOUND);
}

static void test_name_is_taken_once_a_product(void **state)
{
    struct fixture *f = *state;
    int64_t a = product(f, "a"), b = product(f, "b");
    struct device d = add(f, a, "one");
    struct err e;

    add(f, b, "one");
    assert_int_equal(insert(f, &d, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "name");
}

static void test_things_are_known_by_their_names_alone(void **state)
{
    struct fixture *f = *state;
    int64_t one = product_of(f, "one", "aws"), two = product_of(f, "two", "aws"), three = product(f, "three");
    struct device d = {.name = "thing", .product_id = two};
    struct err e;

    add(f, one, "thing");
    assert_int_equal(insert(f, &d, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "name");
    assert_non_null(strstr(e.text, "product one has"));
    add(f, three, "thing"); /* its topics say whose it is */
    add(f, two, "thing-2");
    d.product_id = one;
    assert_int_equal(insert(f, &d, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "the product has"));
}

static void test_update_needs_the_stored_revision(void **state)
{
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one"), stale = d, back;
    struct err e;

    d.paused = true;
    d.secret_len = 2;
    strcpy(d.pinned, "2.0");
    assert_int_equal(update(f, &d, &e), 0);
    assert_int_equal(d.revision, 2);
    assert_int_equal(update(f, &stale, &e), -ERR_PRECONDITION);
    assert_int_equal(device_get_id(f->db, d.id, &back, &e), 0);
    assert_true(back.paused);
    assert_int_equal(back.secret_len, 2);
    assert_string_equal(back.pinned, "2.0");
    assert_int_equal(back.revision, 2);
    *d.pinned = '\0';
    assert_int_equal(update(f, &d, &e), 0);
    assert_int_equal(device_get_id(f->db, d.id, &back, &e), 0);
    assert_string_equal(back.pinned, "");
}

static void test_id_of_a_deleted_device_is_never_used_again(void **state)
{
    struct fixture *f = *state;
    int64_t a = product(f, "a");
    struct device one = add(f, a, "one"), two;
    struct device_tag tags[TAGS_MAX];
    struct err e;
    size_t n = 9;

    tag(f, one.id, "site", "A");
    has(f, one.id, "default", "1");
    assert_int_equal(happened(f, &one, &e), 0);
    assert_int_equal(delete (f, &one, &e), 0);
    assert_int_equal(delete (f, &one, &e), -ERR_NOT_FOUND);
    two = add(f, a, "one");
    assert_true(two.id > one.id);
    assert_int_equal(device_tags_get(f->db, two.id, tags, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(delete (f, &two, &e), 0);
}

static void test_seen_goes_forward(void **state)
{
    static const struct {
        int64_t at_ms, expected_ms;
    } rows[] = {{100, 100}, {99, 100}, {101, 101}};
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one"), back;
    struct err e;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        d.last_seen_at_ms = rows[i].at_ms;
        assert_int_equal(seen(f, &d, &e), 0);
        assert_int_equal(device_get_id(f->db, d.id, &back, &e), 0);
        assert_int_equal(back.last_seen_at_ms, rows[i].expected_ms);
    }
}

/* ---- quarantine */

static void set_failures(struct fixture *f, int64_t id, int64_t failures, int64_t until_ms)
{
    struct device d = {.id = id, .failures = failures, .quarantine_until_ms = until_ms};
    struct err e;

    assert_int_equal(fails(f, &d, &e), 0);
}

static void test_failures_are_no_edit(void **state)
{
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one"), back;
    struct device_filter all = {0};
    struct err e;
    size_t n = 0;

    set_failures(f, d.id, 3, 500);
    set_failures(f, d.id + 1, 3, 500); /* nobody */
    assert_int_equal(device_get_id(f->db, d.id, &back, &e), 0);
    assert_int_equal(back.failures, 3);
    assert_int_equal(back.quarantine_until_ms, 500);
    assert_int_equal(back.revision, 1);
    assert_int_equal(update(f, &d, &e), 0); /* read before, and takes nothing of it back */
    assert_int_equal(device_list(f->db, &all, 0, &back, 1, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(back.failures, 3);
    assert_int_equal(back.quarantine_until_ms, 500);
}

static void test_quarantines_that_have_ended(void **state)
{
    static const struct {
        int64_t now_ms;
        size_t cap;
        const char *names; /* in the order of their ends */
    } rows[] = {{99, 8, ""},     {100, 8, "b"},  {199, 8, "b"}, {200, 8, "ba"},
                {300, 8, "bac"}, {300, 2, "ba"}, {300, 1, "b"}, {INT64_MAX, 8, "bac"}};
    static const int64_t until_ms[] = {200, 100, 300, 0};
    struct fixture *f = *state;
    int64_t a = product(f, "a"), ids[8];
    struct err e;

    for (size_t i = 0; i < ARRAY_SIZE(until_ms); i++)
        set_failures(f, add(f, a, (char[]){(char)('a' + i), '\0'}).id, 1, until_ms[i]);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char names[16] = "";
        size_t n = 9;

        assert_int_equal(device_quarantined(f->db, rows[i].now_ms, ids, rows[i].cap, &n, &e), 0);
        for (size_t k = 0; k < n; k++) {
            struct device d;

            assert_int_equal(device_get_id(f->db, ids[k], &d, &e), 0);
            strcat(names, d.name);
        }
        assert_string_equal(names, rows[i].names);
    }
    set_failures(f, ids[0], 0, 0);
    size_t n = 9;
    assert_int_equal(device_quarantined(f->db, 100, ids, 8, &n, &e), 0);
    assert_int_equal(n, 0);
}

/* ---- lists */

static void fleet(struct fixture *f)
{
    int64_t a = product(f, "a"), b = product(f, "b");
    struct device d[6] = {add(f, a, "z"), add(f, b, "y"), add(f, a, "x"),
                          add(f, b, "w"), add(f, a, "v"), add(f, a, "u")};
    struct err e;

    tag(f, d[0].id, "site", "A");
    tag(f, d[1].id, "site", "A");
    tag(f, d[2].id, "site", "B");
    tag(f, d[4].id, "site", "A");
    tag(f, d[5].id, "rack", "A");
    has(f, d[0].id, "default", "1.0");
    has(f, d[2].id, "default", "1.0");
    has(f, d[3].id, "MCU", "1.0");
    has(f, d[4].id, "default", "1.1");
    for (size_t i = 0; i < 6; i++) {
        d[i].last_seen_at_ms = (int64_t)(i + 1) * 10;
        assert_int_equal(seen(f, &d[i], &e), 0);
    }
}

static const struct {
    struct device_filter filter;
    const char *names; /* in the order of their ids */
} list_rows[] = {
    {{0}, "zyxwvu"},
    {{.product = "a"}, "zxvu"},
    {{.product = "b"}, "yw"},
    {{.product = "c"}, ""},
    {{.tag_key = "site", .tag_value = "A"}, "zyv"},
    {{.tag_key = "site"}, "zyxv"},
    {{.tag_key = "site", .product = "a"}, "zxv"},
    {{.product = "a", .tag_key = "site", .tag_value = "A"}, "zv"},
    {{.tag_key = "rack", .tag_value = "A"}, "u"},
    {{.tag_key = "rack", .tag_value = "B"}, ""},
    {{.version = "1.0"}, "zxw"},
    {{.module = "default"}, "zxv"},
    {{.module = "default", .version = "1.0"}, "zx"},
    {{.product = "b", .version = "1.0"}, "w"},
    {{.tag_key = "site", .tag_value = "A", .version = "1.1"}, "v"},
    {{.seen_before_ms = 30}, "zy"},
    {{.seen_after_ms = 30}, "wvu"},
    {{.product = "a", .seen_after_ms = 10, .seen_before_ms = 60}, "xv"},
    {{.tag_key = "site", .tag_value = "A", .seen_after_ms = 10}, "yv"},
};

/* Every row is read by pages of one, of two and of all. */
static void test_lists(void **state)
{
    struct fixture *f = *state;
    static const size_t caps[] = {1, 2, 8};
    struct device page[8];
    struct err e;

    fleet(f);
    for (size_t i = 0; i < ARRAY_SIZE(list_rows); i++)
        for (size_t c = 0; c < ARRAY_SIZE(caps); c++) {
            char names[16] = "";
            int64_t after_id = 0;
            size_t n = 0;

            do {
                assert_int_equal(device_list(f->db, &list_rows[i].filter, after_id, page, caps[c], &n, &e),
                                 0);
                for (size_t k = 0; k < n; k++)
                    strcat(names, page[k].name);
                after_id = n ? page[n - 1].id : 0;
            } while (n == caps[c]);
            assert_string_equal(names, list_rows[i].names);
        }
}

/* ---- tags */

static void test_tags_are_replaced(void **state)
{
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one");
    struct tags t = {.id = d.id, .tag = {{"site", "007"}, {"rack", ""}}, .n = 2};
    struct device_tag back[TAGS_MAX];
    struct err e;
    size_t n = 0;

    assert_int_equal(set_tags(f, &t, &e), 0);
    assert_int_equal(device_tags_get(f->db, d.id, back, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(back[0].key, "rack");
    assert_string_equal(back[0].value, "");
    assert_string_equal(back[1].key, "site");
    assert_string_equal(back[1].value, "007");
    strcpy(t.tag[1].key, "site");
    assert_int_equal(set_tags(f, &t, &e), -ERR_INVALID);
    assert_string_equal(e.field, "tags");
    assert_int_equal(device_tags_get(f->db, d.id, back, &n, &e), 0);
    assert_int_equal(n, 2);
    t.n = 0;
    assert_int_equal(set_tags(f, &t, &e), 0);
    assert_int_equal(device_tags_get(f->db, d.id, back, &n, &e), 0);
    assert_int_equal(n, 0);
}

static void test_as_many_tags_as_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct tags t = {.id = add(f, product(f, "a"), "one").id, .n = TAGS_MAX};
    struct device_tag back[TAGS_MAX];
    struct err e;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(t.tag); i++)
        snprintf(t.tag[i].key, sizeof t.tag[i].key, "k%02zu", i);
    assert_int_equal(set_tags(f, &t, &e), 0);
    assert_int_equal(device_tags_get(f->db, t.id, back, &n, &e), 0);
    assert_int_equal(n, TAGS_MAX);
    assert_string_equal(back[TAGS_MAX - 1].key, "k31");
    t.n++;
    assert_int_equal(set_tags(f, &t, &e), -ERR_INVALID);
}

/* ---- versions */

static void test_versions(void **state)
{
    static const struct {
        const char *version;
        bool assumed, changed, stored_assumed;
        int64_t stored_at_ms;
    } rows[] = {
        {"1.0", false, true, false, 100}, {"1.0", false, false, false, 100},
        {"1.0", true, false, false, 100}, {"1.1", true, true, true, 103},
        {"1.1", true, false, true, 103},  {"1.1", false, false, false, 105},
        {"1.0", false, true, false, 106},
    };
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one");
    struct device_module back[MODULES_MAX];
    char version[VERSION_SIZE] = "x";
    struct err e;
    size_t n;

    assert_int_equal(device_version_get(f->db, d.id, "default", version, &e), 0);
    assert_string_equal(version, "");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct version_report r = {.id = d.id,
                                   .module = "default",
                                   .version = rows[i].version,
                                   .assumed = rows[i].assumed,
                                   .at_ms = 100 + (int64_t)i};

        assert_int_equal(report(f, &r, &e), 0);
        assert_int_equal(r.changed, rows[i].changed);
        assert_int_equal(device_modules_get(f->db, d.id, back, &n, &e), 0);
        assert_int_equal(n, 1);
        assert_string_equal(back[0].version, rows[i].version);
        assert_int_equal(back[0].assumed, rows[i].stored_assumed);
        assert_int_equal(back[0].reported_at_ms, rows[i].stored_at_ms);
        assert_int_equal(device_version_get(f->db, d.id, "default", version, &e), 0);
        assert_string_equal(version, rows[i].version);
    }
}

static void test_one_module_too_many_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one");
    struct device_module back[MODULES_MAX];
    struct err e;
    size_t n = 0;

    for (int i = 0; i <= MODULES_MAX; i++) {
        char module[MODULE_SIZE];
        struct version_report r = {.id = d.id, .module = module, .version = "1", .changed = true};

        snprintf(module, sizeof module, "m%02d", i);
        assert_int_equal(report(f, &r, &e), 0);
        assert_int_equal(r.changed, i < MODULES_MAX);
    }
    assert_int_equal(device_modules_get(f->db, d.id, back, &n, &e), 0);
    assert_int_equal(n, MODULES_MAX);
    assert_string_equal(back[MODULES_MAX - 1].module, "m15");
}

/* ---- timeline */

static void test_timeline_is_newest_first(void **state)
{
    struct fixture *f = *state;
    struct device d = add(f, product(f, "a"), "one");
    struct timeline_line page[2];
    struct err e;
    size_t n = 0;

    for (int i = 0; i < 3; i++) {
        d.revision = i;
        d.last_seen_at_ms = 100 + i;
        assert_int_equal(happened(f, &d, &e), 0);
    }
    assert_int_equal(timeline_list(f->db, d.id, 0, page, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(page[0].text, "2%");
    assert_string_equal(page[0].kind, "state");
    assert_int_equal(page[0].at_ms, 102);
    assert_int_equal(page[0].campaign_id, 0);
    assert_int_equal(page[0].execution_id, 2);
    assert_string_equal(page[1].text, "1%");
    assert_int_equal(timeline_list(f->db, d.id, page[1].id, page, 2, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(page[0].text, "0%");
    assert_int_equal(page[0].execution_id, 0);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_comes_back_as_it_went_in),
        IN_STORE(test_found_by_its_mac_address),
        IN_STORE(test_name_is_taken_once_a_product),
        IN_STORE(test_things_are_known_by_their_names_alone),
        IN_STORE(test_update_needs_the_stored_revision),
        IN_STORE(test_id_of_a_deleted_device_is_never_used_again),
        IN_STORE(test_seen_goes_forward),
        IN_STORE(test_failures_are_no_edit),
        IN_STORE(test_quarantines_that_have_ended),
        IN_STORE(test_lists),
        IN_STORE(test_tags_are_replaced),
        IN_STORE(test_as_many_tags_as_there_is_room_for),
        IN_STORE(test_versions),
        IN_STORE(test_one_module_too_many_is_not_taken),
        IN_STORE(test_timeline_is_newest_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
