#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/token.h"
#include "store_fixture.h"

static const unsigned char key[32] = "thirty-two bytes, all different";

struct new_token {
    struct token t;
    char text[TOKEN_TEXT_SIZE];
    unsigned char hash[SHA256_BYTES];
};

struct memory {
    int64_t caller;
    const char *key;
    unsigned char request[SHA256_BYTES];
    struct remembered reply;
    int64_t at_ms;
};

WRITES(insert, struct new_token, token_insert(w, &a->t, a->hash, e))
WRITES(delete, struct new_token, token_delete(w, a->t.id, e))
WRITES(add, struct memory, idempotency_add(w, a->caller, a->key, a->request, &a->reply, a->at_ms, e))
WRITES(forget, struct memory, idempotency_forget(w, a->at_ms, e))

static struct new_token make(struct fixture *f, const char *name, enum role role, int64_t expires_at_ms)
{
    struct new_token n = {.t = {.role = role, .created_at_ms = 5, .expires_at_ms = expires_at_ms}};
    struct err e;

    strcpy(n.t.name, name);
    token_make(n.text);
    token_hash(key, n.text, n.hash);
    assert_int_equal(insert(f, &n, &e), 0);
    return n;
}

static void test_made_tokens(void **state)
{
    char a[TOKEN_TEXT_SIZE], b[TOKEN_TEXT_SIZE];
    unsigned char hash[SHA256_BYTES], other[SHA256_BYTES];
    unsigned char other_key[32] = {1};

    (void)state;
    token_make(a);
    token_make(b);
    assert_int_equal(strlen(a), TOKEN_TEXT_SIZE - 1);
    assert_memory_equal(a, "otad_", 5);
    assert_string_not_equal(a, b);
    token_hash(key, a, hash);
    token_hash(other_key, a, other);
    assert_memory_not_equal(hash, other, sizeof hash);
    token_hash(key, b, other);
    assert_memory_not_equal(hash, other, sizeof hash);
    token_hash(key, a, other);
    assert_memory_equal(hash, other, sizeof hash);
}

static void test_found_until_it_expires(void **state)
{
    struct fixture *f = *state;
    struct new_token ever = make(f, "ever", ROLE_ADMIN, 0), brief = make(f, "brief", ROLE_UPLOADER, 1000);
    struct token t;
    struct err e;

    assert_int_equal(token_find(f->db, ever.hash, INT64_MAX, &t, &e), 0);
    assert_int_equal(t.id, ever.t.id);
    assert_string_equal(t.name, "ever");
    assert_int_equal(t.role, ROLE_ADMIN);
    assert_int_equal(t.created_at_ms, 5);
    assert_int_equal(token_find(f->db, brief.hash, 999, &t, &e), 0);
    assert_int_equal(t.role, ROLE_UPLOADER);
    assert_int_equal(t.expires_at_ms, 1000);
    assert_int_equal(token_find(f->db, brief.hash, 1000, &t, &e), -ERR_NOT_FOUND);
    ever.hash[SHA256_BYTES - 1] ^= 1;
    assert_int_equal(token_find(f->db, ever.hash, 1, &t, &e), -ERR_NOT_FOUND);
}

static void test_deleted_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct new_token one = make(f, "one", ROLE_VIEWER, 0), two;
    struct token page[2];
    struct err e;
    size_t n = 9;

    assert_int_equal(delete (f, &one, &e), 0);
    assert_int_equal(delete (f, &one, &e), -ERR_NOT_FOUND);
    assert_int_equal(token_find(f->db, one.hash, 1, page, &e), -ERR_NOT_FOUND);
    two = make(f, "two", ROLE_VIEWER, 0);
    assert_true(two.t.id > one.t.id);
    make(f, "three", ROLE_OPERATOR, 0);
    assert_int_equal(token_list(f->db, 0, page, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(page[1].name, "three");
    assert_int_equal(token_list(f->db, two.t.id, page, 2, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(page[0].name, "three");
}

static void test_reply_is_remembered_for_its_caller_and_request(void **state)
{
    struct fixture *f = *state;
    struct memory m = {
        .caller = 3,
        .key = "k",
        .request = {9, 8, 7},
        .reply = {.status = 201, .location = "/api/v1/products/a", .reply = (char *)"{\"id\":1}"},
        .at_ms = 100};
    unsigned char other[SHA256_BYTES] = {9, 8, 6};
    struct remembered r;
    bool found = true;
    struct err e;

    assert_int_equal(idempotency_find(f->db, 3, "k", m.request, &found, &r, &e), 0);
    assert_false(found);
    assert_int_equal(add(f, &m, &e), 0);
    assert_int_equal(idempotency_find(f->db, 3, "k", m.request, &found, &r, &e), 0);
    assert_true(found);
    assert_int_equal(r.status, 201);
    assert_string_equal(r.location, "/api/v1/products/a");
    assert_string_equal(r.reply, "{\"id\":1}");
    free(r.reply);
    assert_int_equal(idempotency_find(f->db, 3, "k", other, &found, &r, &e), -ERR_INVALID);
    assert_string_equal(e.field, "Idempotency-Key");
    assert_int_equal(idempotency_find(f->db, 4, "k", m.request, &found, &r, &e), 0);
    assert_false(found);
    assert_int_equal(idempotency_find(f->db, 3, "K", m.request, &found, &r, &e), 0);
    assert_false(found);
}

static void test_old_replies_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct memory m = {.key = "k", .reply = {.status = 201, .reply = (char *)"{}"}, .at_ms = 100};
    struct remembered r;
    bool found = false;
    struct err e;

    assert_int_equal(add(f, &m, &e), 0);
    assert_int_equal(forget(f, &m, &e), 0);
    assert_int_equal(idempotency_find(f->db, 0, "k", m.request, &found, &r, &e), 0);
    assert_true(found);
    free(r.reply);
    m.at_ms = 101;
    assert_int_equal(forget(f, &m, &e), 0);
    assert_int_equal(idempotency_find(f->db, 0, "k", m.request, &found, &r, &e), 0);
    assert_false(found);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_tokens),
        IN_STORE(test_found_until_it_expires),
        IN_STORE(test_deleted_is_not_found),
        IN_STORE(test_reply_is_remembered_for_its_caller_and_request),
        IN_STORE(test_old_replies_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
