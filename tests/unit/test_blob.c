#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "image/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE  512
#define FULL_BYTES 54321 /* a write of this length finds the disk full, where the filter says so */

struct env {
    char dir[PATH_SIZE / 2];
    struct blobs *blobs;
};

static int setup(void **state)
{
    struct env *env = calloc(1, sizeof *env);
    const char *tmp = getenv("TMPDIR");
    struct err e = {0};
    snprintf(env->dir, sizeof env->dir, "%s/otad-blob-XXXXXX", tmp ? tmp : P_tmpdir);
    assert_non_null(mkdtemp(env->dir));
    if (blobs_open(env->dir, &env->blobs, &e) != 0)
        fail_msg("%s", e.text);
    *state = env;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct env *env = *state;
    blobs_close(env->blobs);
    nftw(env->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(env);
    return 0;
}

static void path_of(const struct env *env, const char *sha256, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/blobs/%.2s/%.64s", env->dir, sha256, sha256);
}

static size_t count_in(const struct env *env, const char *folder)
{
    char path[PATH_SIZE];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", env->dir, folder);
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static unsigned char *make_bytes(size_t len, unsigned seed)
{
    unsigned char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 257 + i / 65521 + seed);
    return bytes;
}

static struct blob_upload *upload(const struct env *env, const void *bytes, size_t len, size_t piece)
{
    struct blob_upload *up;
    struct err e = {0};
    assert_int_equal(blob_upload_begin(env->blobs, &up, &e), 0);
    for (size_t at = 0; at < len; at += piece)
        assert_int_equal(
            blob_upload_write(up, (const char *)bytes + at, len - at < piece ? len - at : piece, &e), 0);
    assert_int_equal(blob_upload_size(up), len);
    return up;
}

/* Uploads and keeps; the name is in sha256. */
static void put(const struct env *env, const void *bytes, size_t len, char sha256_text[SHA256_TEXT_SIZE])
{
    struct blob_upload *up = upload(env, bytes, len, 16384);
    struct digests digests;
    struct err e = {0};
    blob_upload_digests(up, &digests);
    if (blob_upload_keep(up, &e) != 0)
        fail_msg("%s", e.text);
    memcpy(sha256_text, digests.sha256, SHA256_TEXT_SIZE);
}

static int open_code(const struct env *env, const char *sha256_text, uint64_t size)
{
    struct err e = {0};
    int fd = -1, rc = blob_open(env->blobs, sha256_text, size, &fd, &e);
    if (rc == 0)
        close(fd);
    else
        assert_int_equal(fd, -1);
    return -rc;
}

static void kept_blob_is_its_bytes(void **state)
{
    const struct env *env = *state;
    static const struct {
        size_t len, piece;
    } rows[] = {{0, 1}, {1, 1}, {4096, 4096}, {100001, 7919}, {(17 << 20) + 1, 16384 - 3}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned char *bytes = make_bytes(rows[i].len, (unsigned)i), *back = malloc(rows[i].len + 1),
                      digest[32];
        char expected[SHA256_TEXT_SIZE], path[PATH_SIZE];
        struct digests digests;
        struct err e = {0};
        struct stat st;
        int fd;
        sha256(bytes, rows[i].len, digest);
        hex_format(digest, sizeof digest, expected);
        struct blob_upload *up = upload(env, bytes, rows[i].len, rows[i].piece);
        blob_upload_digests(up, &digests);
        assert_string_equal(digests.sha256, expected);
        assert_int_equal(open_code(env, expected, rows[i].len), ERR_NOT_FOUND);
        assert_int_equal(blob_upload_keep(up, &e), 0);
        assert_int_equal(blob_open(env->blobs, expected, rows[i].len, &fd, &e), 0);
        assert_int_equal(read(fd, back, rows[i].len + 1), rows[i].len);
        assert_memory_equal(back, bytes, rows[i].len);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0444);
        assert_int_equal(st.st_nlink, 1);
        close(fd);
        path_of(env, expected, path);
        assert_int_equal(access(path, R_OK), 0);
        free(bytes);
        free(back);
    }
    assert_int_equal(count_in(env, "tmp"), 0);
}

static void keep_without_asking_for_digests(void **state)
{
    const struct env *env = *state;
    struct err e = {0};
    assert_int_equal(blob_upload_keep(upload(env, "abc", 3, 1), &e), 0);
    assert_int_equal(open_code(env, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3),
                     0);
}

static void dropped_upload_leaves_nothing(void **state)
{
    const struct env *env = *state;
    struct digests digests;
    blob_upload_drop(NULL);
    blob_upload_drop(upload(env, "", 0, 1));
    blob_upload_drop(upload(env, "abcdef", 6, 2));
    struct blob_upload *up = upload(env, "abc", 3, 3);
    blob_upload_digests(up, &digests);
    assert_string_equal(digests.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(digests.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    blob_upload_drop(up);
    assert_int_equal(count_in(env, "tmp"), 0);
    assert_int_equal(count_in(env, "blobs"), 0);
}

static void same_bytes_twice_are_one_blob(void **state)
{
    const struct env *env = *state;
    char first[SHA256_TEXT_SIZE], second[SHA256_TEXT_SIZE], path[PATH_SIZE], folder[16];
    struct stat before, after;
    put(env, "firmware", 8, first);
    path_of(env, first, path);
    assert_int_equal(stat(path, &before), 0);
    put(env, "firmware", 8, second);
    assert_string_equal(first, second);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(after.st_nlink, 1);
    snprintf(folder, sizeof folder, "blobs/%.2s", first);
    assert_int_equal(count_in(env, folder), 1);
    assert_int_equal(count_in(env, "tmp"), 0);
}

static void *keep_one(void *arg)
{
    const struct env *env = arg;
    struct blob_upload *up;
    struct err e = {0};
    if (blob_upload_begin(env->blobs, &up, &e) != 0)
        return arg;
    for (int i = 0; i < 100; i++)
        if (blob_upload_write(up, "0123456789abcdefg", 17, &e) != 0) {
            blob_upload_drop(up);
            return arg;
        }
    return blob_upload_keep(up, &e) == 0 ? NULL : arg;
}

static void same_bytes_at_once_are_one_blob(void **state)
{
    struct env *env = *state;
    pthread_t threads[8];
    void *failed = NULL, *one;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_one, env), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        pthread_join(threads[i], &one);
        failed = one ? one : failed;
    }
    assert_null(failed);
    assert_int_equal(count_in(env, "blobs"), 1);
    assert_int_equal(count_in(env, "tmp"), 0);
}

static void wrong_size_is_refused_and_heals(void **state)
{
    const struct env *env = *state;
    char name[SHA256_TEXT_SIZE], path[PATH_SIZE];
    put(env, "0123456789", 10, name);
    assert_int_equal(open_code(env, name, 10), 0);
    assert_int_equal(open_code(env, name, 9), ERR_CONFLICT);
    assert_int_equal(open_code(env, name, 11), ERR_CONFLICT);
    path_of(env, name, path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(truncate(path, 9), 0);
    assert_int_equal(open_code(env, name, 10), ERR_CONFLICT);
    put(env, "0123456789", 10, name);
    assert_int_equal(open_code(env, name, 10), 0);
}

static void wrong_bytes_heal(void **state)
{
    const struct env *env = *state;
    char name[SHA256_TEXT_SIZE], path[PATH_SIZE], there[16] = "";
    put(env, "0123456789", 10, name);
    path_of(env, name, path);
    unsigned before = blobs_generation(env->blobs);
    put(env, "0123456789", 10, name);
    assert_int_equal(blobs_generation(env->blobs), before);
    assert_int_equal(chmod(path, 0644), 0);
    write_file(path, "0123456788");
    put(env, "0123456789", 10, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, there, sizeof there - 1), 10);
    close(fd);
    assert_string_equal(there, "0123456789");
    assert_true(blobs_generation(env->blobs) !=
                before); /* descriptors of the damaged one are kept no longer */
}

static void names_are_hashes_only(void **state)
{
    const struct env *env = *state;
    char name[SHA256_TEXT_SIZE], spoiled[SHA256_TEXT_SIZE + 1];
    struct err e = {0};
    put(env, "abc", 3, name);
    static const char *const names[] = {
        "",
        "ba",
        "../../etc/passwd",
        "ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015",
        "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015add",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ae",
        "../816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(open_code(env, names[i], 3), ERR_NOT_FOUND);
    snprintf(spoiled, sizeof spoiled, "%s/", name);
    assert_int_equal(open_code(env, spoiled, 3), ERR_NOT_FOUND);
    assert_int_equal(blob_remove(env->blobs, spoiled, &e), -ERR_NOT_FOUND);
    assert_int_equal(open_code(env, name, 3), 0);
}

static void only_plain_files_are_blobs(void **state)
{
    const struct env *env = *state;
    char name[SHA256_TEXT_SIZE], path[PATH_SIZE], aside[PATH_SIZE], folder[PATH_SIZE],
        folder_aside[PATH_SIZE];
    put(env, "abc", 3, name);
    path_of(env, name, path);
    snprintf(aside, sizeof aside, "%s/aside", env->dir);
    snprintf(folder, sizeof folder, "%s/blobs/%.2s", env->dir, name);
    snprintf(folder_aside, sizeof folder_aside, "%s/blobs/aside", env->dir);

    assert_int_equal(rename(folder, folder_aside), 0);
    assert_int_equal(symlink("aside", folder), 0); /* stays beneath blobs/, and is a link all the same */
    assert_int_equal(open_code(env, name, 3), ERR_CONFLICT);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rename(folder_aside, folder), 0);
    assert_int_equal(open_code(env, name, 3), 0);

    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(open_code(env, name, 3), ERR_NOT_FOUND);
    assert_int_equal(symlink(aside, path), 0);
    assert_int_equal(open_code(env, name, 3), ERR_CONFLICT);
    put(env, "abc", 3, name); /* the same bytes take the place of the link */
    assert_int_equal(open_code(env, name, 3), 0);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_int_equal(open_code(env, name, 0), ERR_CONFLICT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(open_code(env, name, 0), ERR_CONFLICT);
}

static void removed_blob_is_gone(void **state)
{
    const struct env *env = *state;
    char name[SHA256_TEXT_SIZE], other[SHA256_TEXT_SIZE];
    struct err e = {0};
    put(env, "abc", 3, name);
    put(env, "abd", 3, other);
    assert_int_equal(blob_remove(env->blobs, name, &e), 0);
    assert_int_equal(open_code(env, name, 3), ERR_NOT_FOUND);
    assert_int_equal(open_code(env, other, 3), 0);
    assert_int_equal(blob_remove(env->blobs, name, &e), 0);
}

/* Knows the blobs whose last digit is even; counts the questions. */
static bool is_even(void *arg, const char *name)
{
    ++*(unsigned *)arg;
    return strchr("02468ace", name[63]) != NULL;
}

static void sweep_removes_what_is_unknown(void **state)
{
    const struct env *env = *state;
    char names[40][SHA256_TEXT_SIZE], path[PATH_SIZE];
    unsigned asked = 0, odd = 0;
    uint64_t removed = 99;
    struct err e = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        put(env, &i, sizeof i, names[i]);
    snprintf(path, sizeof path, "%s/blobs/README", env->dir);
    write_file(path, "not a blob");
    snprintf(path, sizeof path, "%s/blobs/%.2s/notes", env->dir, names[0]);
    write_file(path, "not a blob either");
    snprintf(path, sizeof path, "%s/blobs/zz", env->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    char astray[PATH_SIZE]; /* a hash in another's folder */
    snprintf(astray, sizeof astray, "%s/blobs/%.2s/%c%s", env->dir, names[0], names[0][0] == 'a' ? 'b' : 'a',
             "0000000000000000000000000000000000000000000000000000000000000bd");
    assert_int_equal(strlen(strrchr(astray, '/')), SHA256_TEXT_SIZE);
    write_file(astray, "not where it belongs");
    assert_int_equal(blobs_sweep(env->blobs, is_even, &asked, &removed, &e), 0);
    assert_int_equal(asked, ARRAY_SIZE(names));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        bool even = strchr("02468ace", names[i][63]) != NULL;
        assert_int_equal(open_code(env, names[i], sizeof(unsigned)), even ? 0 : ERR_NOT_FOUND);
        odd += !even;
    }
    assert_true(odd > 0 && odd < ARRAY_SIZE(names));
    assert_int_equal(removed, odd);
    snprintf(path, sizeof path, "%s/blobs/%.2s/notes", env->dir, names[0]);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(astray, F_OK), 0);
    assert_int_equal(blobs_sweep(env->blobs, is_even, &asked, &removed, &e), 0);
    assert_int_equal(removed, 0);
}

/* A process that dies in the middle of an upload, and leftovers of any other: gone with the next start. */
static void start_empties_tmp(void **state)
{
    struct env *env = *state;
    char path[PATH_SIZE], kept[SHA256_TEXT_SIZE];
    struct err e = {0};
    put(env, "abc", 3, kept);
    pid_t pid = fork();
    if (pid == 0) {
        struct blob_upload *up;
        _exit(blob_upload_begin(env->blobs, &up, &e) || blob_upload_write(up, "abcdef", 6, &e));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(path, sizeof path, "%s/tmp/leftover", env->dir);
    write_file(path, "half an upload");
    blobs_close(env->blobs);
    assert_int_equal(blobs_open(env->dir, &env->blobs, &e), 0);
    assert_int_equal(count_in(env, "tmp"), 0);
    assert_int_equal(open_code(env, kept, 3), 0);
}

static void upload_is_read_in_place(void **state)
{
    const struct env *env = *state;
    static const size_t lens[] = {0, 1, 70001, (9 << 20) + 1};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        unsigned char *bytes = make_bytes(lens[i], (unsigned)i), *back = calloc(1, lens[i] + 1);
        struct blob_upload *up = upload(env, bytes, lens[i], 16384);
        struct err e = {0};
        assert_int_equal(blob_upload_read(up, back, &e), 0);
        assert_memory_equal(back, bytes, lens[i]);
        assert_int_equal(back[lens[i]], 0);
        blob_upload_drop(up);
        free(bytes);
        free(back);
    }
}

static void upload_is_inspected_in_place(void **state)
{
    const struct env *env = *state;
    struct image_info info = {.kind = IMAGE_ESP};
    struct err e = {0};
    struct blob_upload *up = upload(env, "plain bytes", 11, 4);
    assert_int_equal(blob_upload_inspect(up, &info, &e), 0);
    assert_int_equal(info.kind, IMAGE_OPAQUE);
    blob_upload_drop(up);
    unsigned char broken[40] = {0xE9, 1};
    broken[28] = 9; /* a segment of 9 bytes, and 8 are there */
    up = upload(env, broken, sizeof broken, 7);
    assert_int_equal(blob_upload_inspect(up, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "segment 1 of 1 has 9 bytes at offset 32, the file ends after 8 of them");
    blob_upload_drop(up);
    assert_int_equal(count_in(env, "tmp"), 0);
    assert_int_equal(count_in(env, "blobs"), 0);
}

static void folder_that_cannot_be_made_is_named(void **state)
{
    const struct env *env = *state;
    char path[PATH_SIZE];
    struct blobs *blobs = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/plain", env->dir);
    write_file(path, "");
    assert_int_equal(blobs_open(path, &blobs, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "plain"));
    assert_null(blobs);
    blobs_close(NULL);
}

/* Only where the filter has taken O_TMPFILE away. */
static void upload_under_way_has_a_name(void **state)
{
    const struct env *env = *state;
    struct blob_upload *up = upload(env, "abc", 3, 1);
    assert_int_equal(count_in(env, "tmp"), 1);
    blob_upload_drop(up);
    assert_int_equal(count_in(env, "tmp"), 0);
}

static void full_disk_is_told(void **state)
{
    const struct env *env = *state;
    unsigned char *bytes = make_bytes(FULL_BYTES, 0);
    struct blob_upload *up = upload(env, bytes, 100, 100);
    struct err e = {0};
    assert_int_equal(blob_upload_write(up, bytes, FULL_BYTES, &e), -ERR_NO_SPACE);
    assert_int_equal(blob_upload_size(up), 100);
    blob_upload_drop(up);
    /* fdatasync is where delayed allocation shows */
    assert_int_equal(blob_upload_keep(upload(env, bytes, 100, 100), &e), -ERR_NO_SPACE);
    assert_int_equal(count_in(env, "tmp"), 0);
    assert_int_equal(count_in(env, "blobs"), 0);
    free(bytes);
}

/* A system call that fails, when (argument & mask) == value. */
struct fault {
    unsigned call, argument, mask, value, error;
};

static bool inject(const struct fault faults[], size_t n)
{
    struct sock_filter code[64];
    unsigned short len = 0;
    for (size_t i = 0; i < n; i++) {
        const struct fault *f = &faults[i];
        unsigned argument = (unsigned)(offsetof(struct seccomp_data, args) + f->argument * sizeof(uint64_t));
        const struct sock_filter rule[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, f->call, 0, 4),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, f->mask),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, f->value, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | f->error),
        };
        memcpy(code + len, rule, sizeof rule);
        len = (unsigned short)(len + ARRAY_SIZE(rule));
    }
    code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = len, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#define BLOB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    BLOB_TEST(kept_blob_is_its_bytes),
    BLOB_TEST(keep_without_asking_for_digests),
    BLOB_TEST(dropped_upload_leaves_nothing),
    BLOB_TEST(same_bytes_twice_are_one_blob),
    BLOB_TEST(same_bytes_at_once_are_one_blob),
    BLOB_TEST(wrong_size_is_refused_and_heals),
    BLOB_TEST(wrong_bytes_heal),
    BLOB_TEST(names_are_hashes_only),
    BLOB_TEST(only_plain_files_are_blobs),
    BLOB_TEST(removed_blob_is_gone),
    BLOB_TEST(sweep_removes_what_is_unknown),
    BLOB_TEST(start_empties_tmp),
    BLOB_TEST(upload_is_read_in_place),
    BLOB_TEST(upload_is_inspected_in_place),
    BLOB_TEST(folder_that_cannot_be_made_is_named),
};

static const struct CMUnitTest named_tests[] = {BLOB_TEST(upload_under_way_has_a_name)};
static const struct CMUnitTest full_tests[] = {BLOB_TEST(full_disk_is_told)};

static int without_new_calls(void)
{
    static const struct fault faults[] = {
        {SYS_openat2, 0, 0, 0, ENOSYS},
        {SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP},
    };
    if (!inject(faults, ARRAY_SIZE(faults)))
        return 0; /* a machine without filters has the calls */
    return cmocka_run_group_tests_name("named uploads", named_tests, NULL, NULL) +
           cmocka_run_group_tests_name("without O_TMPFILE and openat2", tests, NULL, NULL);
}

static int on_a_full_disk(void)
{
    static const struct fault faults[] = {
        {SYS_write, 2, UINT32_MAX, FULL_BYTES, ENOSPC},
        {SYS_fdatasync, 0, 0, 0, ENOSPC},
    };
    if (!inject(faults, ARRAY_SIZE(faults)))
        return 0;
    return cmocka_run_group_tests_name("on a full disk", full_tests, NULL, NULL);
}

/* A filter stays for the rest of a process's life. */
static int in_child(int (*run)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(run() != 0);
    int status;
    return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

int main(void)
{
    int failed = cmocka_run_group_tests_name("blobs", tests, NULL, NULL);
    failed += in_child(without_new_calls) + in_child(on_a_full_disk);
    return failed != 0;
}
