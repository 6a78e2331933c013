/* Blobs that are read again: any byte that is another one is found, what is found leaves its place, and what
 * an upload has put there meanwhile stays. */
#include "image/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"

#include <fcntl.h>
#include <string.h>

#define SIZE 600001 /* more than two readings, and no multiple of anything */

struct env {
    struct folder folder;
    struct blobs *blobs;
    char sha256[SHA256_TEXT_SIZE], path[512];
    size_t left; /* that may still be read */
};

static bool go(void *arg, size_t n)
{
    struct env *env = arg;
    assert_in_range(n, 1, 256 * 1024);
    env->left -= n < env->left ? n : env->left;
    return env->left > 0;
}

static void put(struct env *env)
{
    static unsigned char bytes[SIZE];
    struct blob_upload *up;
    struct digests digests;
    struct err e;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 257);
    assert_int_equal(blob_upload_begin(env->blobs, &up, &e), 0);
    assert_int_equal(blob_upload_write(up, bytes, SIZE, &e), 0);
    blob_upload_digests(up, &digests);
    memcpy(env->sha256, digests.sha256, SHA256_TEXT_SIZE);
    assert_int_equal(blob_upload_keep(up, &e), 0);
    snprintf(env->path, sizeof env->path, "%.200s/blobs/%.2s/%s", env->folder.path, env->sha256, env->sha256);
    assert_int_equal(chmod(env->path, 0600), 0);
}

static int enter(void **state)
{
    struct env *env = calloc(1, sizeof *env);
    struct err e;
    env->folder = folder_make();
    env->left = SIZE_MAX;
    assert_int_equal(blobs_open(env->folder.path, &env->blobs, &e), 0);
    put(env);
    *state = env;
    return 0;
}

static int leave(void **state)
{
    struct env *env = *state;
    blobs_close(env->blobs);
    folder_cleanup(&env->folder);
    free(env);
    return 0;
}

static struct blob_finding check(struct env *env)
{
    struct blob_pace pace = {go, env};
    struct blob_finding found;
    struct err e;
    if (blob_check(env->blobs, env->sha256, SIZE, &pace, &found, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(found.damaged, *found.text != '\0');
    return found;
}

static void flip(const struct env *env, off_t at)
{
    unsigned char byte;
    int fd = open(env->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static int quarantine(struct env *env, const struct blob_finding *found)
{
    struct err e;
    return -blob_quarantine(env->blobs, env->sha256, SIZE, found, &e);
}

static bool in_quarantine(const struct env *env)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%.200s/quarantine/%s", env->folder.path, env->sha256);
    return lstat(path, &st) == 0;
}

static void one_bit_is_found(void **state)
{
    struct env *env = *state;
    static const off_t at[] = {0, 1, 262143, 262144, 524288, SIZE - 1};
    assert_false(check(env).damaged);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        flip(env, at[i]);
        assert_true(check(env).damaged);
        flip(env, at[i]);
        assert_false(check(env).damaged);
    }
}

static void leaves_its_place(void **state)
{
    struct env *env = *state;
    unsigned before = blobs_generation(env->blobs);
    flip(env, 300000);
    struct blob_finding found = check(env);
    assert_int_equal(quarantine(env, &found), 0);
    assert_true(in_quarantine(env));
    assert_int_not_equal(blobs_generation(env->blobs), before);
    found = check(env);
    assert_true(found.damaged);
    assert_non_null(strstr(found.text, "not there"));
    assert_int_equal(quarantine(env, &found), 0);
    put(env);
    assert_false(check(env).damaged);
}

static void what_was_uploaded_meanwhile_stays(void **state)
{
    struct env *env = *state;
    flip(env, 5);
    struct blob_finding bytes = check(env);
    assert_int_equal(rename(env->path, folder_file(&env->folder, "aside").path), 0);
    struct blob_finding missing = check(env);
    put(env);
    assert_int_equal(quarantine(env, &bytes), ERR_CONFLICT);
    assert_int_equal(quarantine(env, &missing), ERR_CONFLICT);
    assert_false(in_quarantine(env));
    assert_false(check(env).damaged);
}

static void no_plain_file(void **state)
{
    struct env *env = *state;
    char aside[512];
    snprintf(aside, sizeof aside, "%s", folder_file(&env->folder, "aside").path);
    assert_int_equal(rename(env->path, aside), 0);
    assert_int_equal(symlink(aside, env->path), 0); /* the bytes are right, and it is a link all the same */
    struct blob_finding found = check(env);
    assert_true(found.damaged);
    assert_int_equal(quarantine(env, &found), 0);
    assert_true(in_quarantine(env));
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(access(env->path, F_OK), -1);
}

static void another_size(void **state)
{
    struct env *env = *state;
    assert_int_equal(truncate(env->path, SIZE - 1), 0);
    struct blob_finding found = check(env);
    assert_true(found.damaged);
    assert_non_null(strstr(found.text, "600000 bytes instead of 600001"));
    assert_int_equal(quarantine(env, &found), 0);
    assert_true(in_quarantine(env));
}

static void cut_while_it_is_read(void **state)
{
    struct env *env = *state;
    struct blob_pace pace = {go, env};
    struct blob_finding found;
    struct err e;
    env->left = 300000;
    assert_int_equal(blob_check(env->blobs, env->sha256, SIZE, &pace, &found, &e), -ERR_BUSY);
}

/* A folder of somebody else's in the place of ours: nothing there is touched. */
static void folder_is_a_link(void **state)
{
    struct env *env = *state;
    char folder[512], aside[512];
    snprintf(folder, sizeof folder, "%.200s/blobs/%.2s", env->folder.path, env->sha256);
    snprintf(aside, sizeof aside, "%s", folder_file(&env->folder, "aside").path);
    assert_int_equal(rename(folder, aside), 0);
    assert_int_equal(symlink(aside, folder), 0);
    struct blob_finding found = check(env);
    assert_true(found.damaged);
    assert_int_equal(quarantine(env, &found), ERR_INTERNAL);
    assert_int_equal(access(env->path, F_OK), 0);
}

#define BLOB_TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOB_TEST(one_bit_is_found),
        BLOB_TEST(leaves_its_place),
        BLOB_TEST(what_was_uploaded_meanwhile_stays),
        BLOB_TEST(no_plain_file),
        BLOB_TEST(another_size),
        BLOB_TEST(cut_while_it_is_read),
        BLOB_TEST(folder_is_a_link),
    };
    return cmocka_run_group_tests_name("blob_check", tests, NULL, NULL);
}
