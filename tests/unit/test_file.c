#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

static int count_files(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir));)
        n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void paths_that_fit_and_that_do_not(void **state)
{
    (void)state;
    char dir[FILE_PATH_SIZE], out[FILE_PATH_SIZE];
    struct err e;
    assert_int_equal(file_path(out, "data", "otad.db", &e), 0);
    assert_string_equal(out, "data/otad.db");
    for (size_t dir_len = FILE_PATH_SIZE - 8; dir_len <= FILE_PATH_SIZE - 5; dir_len++) {
        memset(dir, 'd', dir_len);
        dir[dir_len] = '\0';
        int want = dir_len + 1 + 5 < FILE_PATH_SIZE ? 0 : -ERR_INTERNAL;
        assert_int_equal(file_path(out, dir, "name5", &e), want);
        if (want == 0)
            assert_int_equal(strlen(out), dir_len + 6);
    }
}

static void replace_then_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        unsigned mode;
    } rows[] = {
        {"first", 5, 0600},     {"", 0, 0644},  {"a longer one\n", 13, 0444},
        {"\0zero\0s", 7, 0666}, {"x", 1, 0600},
    };
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file file = folder_file(&f, "x.txt");
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char buf[64];
        size_t len;
        assert_int_equal(file_replace(file.path, rows[i].text, rows[i].len, rows[i].mode, &e), 0);
        assert_int_equal(mode_of(file.path), rows[i].mode);
        assert_int_equal(count_files(f.path), 1);
        assert_int_equal(file_read(file.path, buf, sizeof buf, &len, &e), 0);
        assert_int_equal(len, rows[i].len);
        assert_memory_equal(buf, rows[i].text, len);
        assert_int_equal(buf[len], 0);
    }
}

static void create_never_replaces(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file file = folder_file(&f, "key");
    char buf[16];
    size_t len;
    struct err e;
    assert_int_equal(file_create(file.path, "one", 3, 0600, &e), 0);
    assert_int_equal(mode_of(file.path), 0600);
    assert_int_equal(file_create(file.path, "two", 3, 0600, &e), -ERR_CONFLICT);
    assert_int_equal(file_read(file.path, buf, sizeof buf, &len, &e), 0);
    assert_string_equal(buf, "one");
    assert_int_equal(count_files(f.path), 1);
}

static void a_link_is_replaced_and_its_target_kept(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file target = folder_file(&f, "target"), file = folder_file(&f, "link");
    char buf[16];
    size_t len;
    struct err e;
    assert_int_equal(file_replace(target.path, "kept", 4, 0600, &e), 0);
    assert_int_equal(symlink(target.path, file.path), 0);
    assert_int_equal(file_create(file.path, "new", 3, 0600, &e), -ERR_CONFLICT);
    assert_int_equal(file_replace(file.path, "new", 3, 0600, &e), 0);
    assert_int_equal(file_read(target.path, buf, sizeof buf, &len, &e), 0);
    assert_string_equal(buf, "kept");
    assert_int_equal(file_read(file.path, buf, sizeof buf, &len, &e), 0);
    assert_string_equal(buf, "new");
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file dir = folder_file(&f, "dir"), inside = folder_file(&f, "dir/file");
    char long_path[FILE_PATH_SIZE + 8];
    struct err e;
    assert_int_equal(file_replace(inside.path, "x", 1, 0600, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, inside.path));
    assert_int_equal(file_make_dir(dir.path, 0700, &e), 0);
    assert_int_equal(file_replace(inside.path, "x", 1, 0600, &e), 0);
    /* a folder with something in it cannot be replaced by a file */
    assert_int_equal(file_replace(dir.path, "x", 1, 0600, &e), -ERR_INTERNAL);
    assert_int_equal(count_files(f.path), 1);
    memset(long_path, 'p', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(file_replace(long_path, "x", 1, 0600, &e), -ERR_INTERNAL);
    assert_int_equal(file_make_dir(long_path, 0700, &e), -ERR_INTERNAL);
}

static void what_a_crash_left_is_swept(void **state)
{
    static const struct {
        const char *name;
        bool stays;
    } rows[] = {
        {"server.pem.k47RsZ.new", false}, {"x.000000.new", false},         {"a.b.c.AbCdEf.new", false},
        {"mosquitto.db.new", true},       {"server.pem.k47RsZ", true},     {"server.pem.k47Rs.new", true},
        {"server.pemk47RsZ.new", true},   {"server.pem.k47RsZ0new", true}, {".k47RsZ.new", true},
        {"server.pem.k47.sZ.new", true},
    };
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    const char *dir = f.path;
    char path[FILE_PATH_SIZE];
    struct err e;
    int stay = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(file_path(path, dir, rows[i].name, &e), 0);
        assert_int_equal(file_create(path, "x", 1, 0600, &e), 0);
    }
    assert_int_equal(file_sweep(dir, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(file_path(path, dir, rows[i].name, &e), 0);
        assert_int_equal(access(path, F_OK) == 0, rows[i].stays);
        stay += rows[i].stays;
    }
    assert_int_equal(count_files(dir), stay);
    assert_int_equal(file_path(path, dir, "nothing", &e), 0);
    assert_int_equal(file_sweep(path, &e), 0);
}

static void reading_says_what_is_wrong(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file file = folder_file(&f, "five");
    char buf[16] = "";
    size_t len = 99;
    struct err e;
    assert_int_equal(file_replace(file.path, "12345", 5, 0600, &e), 0);
    assert_int_equal(file_read(file.path, buf, 6, &len, &e), 0);
    assert_int_equal(len, 5);
    assert_string_equal(buf, "12345");
    len = 99;
    assert_int_equal(file_read(file.path, buf, 5, &len, &e), -ERR_TOO_LARGE);
    assert_int_equal(file_read(file.path, buf, 1, &len, &e), -ERR_TOO_LARGE);
    assert_int_equal(file_read(folder_file(&f, "none").path, buf, 6, &len, &e), -ERR_NOT_FOUND);
    assert_int_equal(file_read(folder_file(&f, "five/none").path, buf, 6, &len, &e), -ERR_NOT_FOUND);
    assert_int_equal(file_read(f.path, buf, 6, &len, &e), -ERR_INTERNAL);
    assert_int_equal(len, 99);
}

static void folders_are_made_with_their_parents(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "a/b/c", "a/b/c/", "a//d/e", "a/b"};
    FOLDER_AUTO struct folder f = folder_make();
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(file_make_dir(folder_file(&f, names[i]).path, 0700, &e), 0);
        assert_int_equal(mode_of(folder_file(&f, names[i]).path), 0700);
    }
    assert_int_equal(file_make_dir("/", 0700, &e), 0);
    assert_int_equal(file_replace(folder_file(&f, "file").path, "x", 1, 0600, &e), 0);
    assert_int_equal(file_make_dir(folder_file(&f, "file").path, 0700, &e), -ERR_INTERNAL);
    assert_int_equal(file_make_dir(folder_file(&f, "file/sub").path, 0700, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "Not a directory"));
    assert_int_equal(file_sync_dir(f.path, &e), 0);
    assert_int_equal(file_sync_dir(folder_file(&f, "none").path, &e), -ERR_INTERNAL);
}

struct writer {
    const char *path;
    char letter;
};

static void *write_often(void *arg)
{
    const struct writer *w = arg;
    char bytes[4096];
    struct err e;
    memset(bytes, w->letter, sizeof bytes);
    for (int i = 0; i < 50; i++)
        if (file_replace(w->path, bytes, sizeof bytes, 0600, &e) != 0)
            return "cannot replace";
    return NULL;
}

static void two_writers_never_mix(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file file = folder_file(&f, "shared");
    struct writer writers[] = {{file.path, 'a'}, {file.path, 'b'}};
    pthread_t threads[2];
    struct err e;
    assert_int_equal(file_replace(file.path, "", 0, 0600, &e), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &writers[i]), 0);
    for (int i = 0; i < 200; i++) {
        char buf[4097], whole[4096];
        size_t len;
        assert_int_equal(file_read(file.path, buf, sizeof buf, &len, &e), 0);
        assert_true(len == 0 || len == sizeof whole);
        memset(whole, buf[0], sizeof whole);
        assert_memory_equal(buf, whole, len);
    }
    for (int i = 0; i < 2; i++) {
        void *said;
        assert_int_equal(pthread_join(threads[i], &said), 0);
        assert_null(said);
    }
    assert_int_equal(count_files(f.path), 1);
}

static void a_descriptor_closes_at_the_end_of_its_block(void **state)
{
    (void)state;
    int number;
    {
        FD_AUTO int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        FD_AUTO int none = -1;
        assert_true(fd >= 0 && none == -1);
        number = fd;
    }
    assert_int_equal(fcntl(number, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_that_fit_and_that_do_not),
        cmocka_unit_test(replace_then_read),
        cmocka_unit_test(create_never_replaces),
        cmocka_unit_test(a_link_is_replaced_and_its_target_kept),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(what_a_crash_left_is_swept),
        cmocka_unit_test(reading_says_what_is_wrong),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(two_writers_never_mix),
        cmocka_unit_test(a_descriptor_closes_at_the_end_of_its_block),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
