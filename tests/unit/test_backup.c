/* Backups: whole or not there, listed, kept in number, verified to the byte, and put back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backup/backup.h"
#include "base/digest.h"
#include "base/str.h"
#include "folder.h"
#include "store/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT_MS 1795744500123

/* In the place of libc's: a stick may know no links, and a disk cannot read a file any more. */
static bool no_links;
static ino_t unreadable;

ssize_t read(int fd, void *buf, size_t size)
{
    struct stat st;
    if (!unreadable || fstat(fd, &st) < 0 || st.st_ino != unreadable)
        return syscall(SYS_read, fd, buf, size);
    errno = EIO;
    return -1;
}

int link(const char *from, const char *to)
{
    if (!no_links)
        return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = EPERM;
    return -1;
}

struct world {
    struct folder root;
    char data[512], dir[512];
    struct store *store;
};

static void write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
    char path[FILE_PATH_SIZE], *slash;
    struct err e;
    assert_int_equal(file_path(path, dir, name, &e), 0);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(file_make_dir(path, 0700, &e), 0);
    *slash = '/';
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static bool reads(const char *dir, const char *name, const char *text)
{
    char path[FILE_PATH_SIZE], buf[4096];
    struct err e;
    size_t len;
    return file_path(path, dir, name, &e) == 0 && file_read(path, buf, sizeof buf, &len, &e) == 0 &&
           strcmp(buf, text) == 0;
}

static void blob_of(const char *bytes, char place[96], char hex[SHA256_TEXT_SIZE])
{
    unsigned char digest[SHA256_BYTES];
    sha256(bytes, strlen(bytes), digest);
    hex_format(digest, sizeof digest, hex);
    snprintf(place, 96, "blobs/%.2s/%s", hex, hex);
}

struct row {
    const char *bytes, *version;
};

static int insert(struct db *w, void *arg, struct err *e)
{
    const struct row *row = arg;
    struct firmware f = {.product_id = 1, .size = strlen(row->bytes), .created_at_ms = 1};
    char place[96];
    bool existed;
    str_copy(f.module, sizeof f.module, "default");
    str_copy(f.version, sizeof f.version, row->version);
    str_copy(f.filename, sizeof f.filename, "app.bin");
    blob_of(row->bytes, place, f.digests.sha256);
    return firmware_insert(w, &f, &existed, e);
}

static int product(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    struct stmt *s = db_stmt(w, Q_PRODUCT_INSERT);
    static const char *const texts[] = {
        ":key",     ":name",     ":protocol",    ":enrolment",    ":version_scheme", ":chip",
        ":success", ":transfer", ":sign_method", ":job_document", ":public_keys"};
    static const char *const values[] = {"p",       "p",    "native", "closed", "dotted", "",
                                         "version", "auto", "Md5",    "",       ""};
    static const char *const numbers[] = {":public",          ":enabled",     ":strict_version",
                                          ":max_image_bytes", ":digest_sign", ":created_at_ms"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        bind_text(s, texts[i], values[i]);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        bind_int(s, numbers[i], 0);
    return stmt_run(s, NULL, e);
}

static void open_store(struct world *w)
{
    char path[FILE_PATH_SIZE];
    struct err e;
    assert_int_equal(file_path(path, w->data, "otad.db", &e), 0);
    assert_int_equal(store_open(path, &w->store, &e), 0);
}

static void firmware(struct world *w, const char *bytes, const char *version)
{
    struct row row = {bytes, version};
    char place[96], hex[SHA256_TEXT_SIZE];
    struct err e;
    blob_of(bytes, place, hex);
    write_file(w->data, place, bytes, 0444);
    assert_int_equal(store_write(w->store, insert, &row, &e), 0);
}

static int enter(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err e;
    assert_non_null(w);
    w->root = folder_make();
    snprintf(w->data, sizeof w->data, "%s/data", w->root.path);
    snprintf(w->dir, sizeof w->dir, "%s/backups", w->root.path);
    write_file(w->data, "keys/secret.key", "the secret", 0600);
    write_file(w->data, "keys/signing.pem", "the signing key", 0600);
    write_file(w->data, "certs/ca.pem", "the CA", 0644);
    write_file(w->data, "admin.token", "the token", 0600);
    open_store(w);
    assert_int_equal(store_write(w->store, product, NULL, &e), 0);
    firmware(w, "one", "1");
    firmware(w, "two two", "2");
    *state = w;
    return 0;
}

static int leave(void **state)
{
    struct world *w = *state;
    if (w->store)
        store_close(w->store);
    folder_cleanup(&w->root);
    free(w);
    return 0;
}

static struct backup make(struct world *w, int64_t at_ms)
{
    struct backup made;
    struct err e = {0};
    int rc = backup_make(w->store, w->data, w->dir, at_ms, NULL, &made, &e);
    if (rc)
        fail_msg("%s", e.text);
    return made;
}

static char *folder_of(const struct world *w, const struct backup *b, char out[FILE_PATH_SIZE])
{
    struct err e;
    assert_int_equal(file_path(out, w->dir, b->name, &e), 0);
    return out;
}

static size_t count(const struct world *w, size_t *ok)
{
    struct backup *all;
    struct err e;
    size_t n;
    assert_int_equal(backup_list(w->dir, &all, &n, &e), 0);
    *ok = 0;
    for (size_t i = 0; i < n; i++) {
        *ok += all[i].ok;
        if (i)
            assert_true(strcmp(all[i - 1].name, all[i].name) > 0);
    }
    free(all);
    return n;
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[FILE_PATH_SIZE];
    struct stat st;
    struct err e;
    assert_int_equal(file_path(path, dir, name, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void test_holds_all_and_only_for_its_owner(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct backup made = make(w, AT_MS), verified;
    struct err e;
    folder_of(w, &made, folder);
    assert_int_equal(made.files, 7); /* two keys, a certificate, the token, two blobs, the store */
    assert_int_equal(made.missing, 0);
    assert_true(made.ok);
    assert_int_equal(made.at_ms, AT_MS);
    assert_true(reads(folder, "keys/secret.key", "the secret"));
    assert_true(reads(folder, "admin.token", "the token"));
    blob_of("two two", place, hex);
    assert_true(reads(folder, place, "two two"));
    assert_int_equal(mode_of(folder, "."), 0700);
    assert_int_equal(mode_of(folder, "keys/secret.key"), 0600);
    assert_int_equal(mode_of(folder, "otad.db"), 0600);
    assert_int_equal(mode_of(folder, "certs/ca.pem"), 0644);
    assert_int_equal(backup_verify(folder, &verified, &e), 0);
    assert_string_equal(verified.name, made.name);
    assert_int_equal(verified.bytes, made.bytes);
}

/* What lies beside is no part of it. */
static void test_takes_what_rows_name(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE];
    write_file(w->data, "blobs/aa/aaaa", "nobody's", 0444);
    write_file(w->data, "keys/secret.key.before-20260101T000000Z", "an old one", 0600);
    struct backup made = make(w, AT_MS);
    folder_of(w, &made, folder);
    assert_int_equal(made.files, 7);
    assert_false(reads(folder, "blobs/aa/aaaa", "nobody's"));
    assert_false(reads(folder, "keys/secret.key.before-20260101T000000Z", "an old one"));
}

static void test_a_blob_that_is_not_whole_is_counted(void **state)
{
    struct world *w = *state;
    char place[96], hex[SHA256_TEXT_SIZE];
    blob_of("one", place, hex);
    write_file(w->data, place, "on", 0444);
    struct backup made = make(w, AT_MS);
    assert_int_equal(made.missing, 1);
    assert_int_equal(made.files, 6);
    write_file(w->data, place, "one", 0444);
    assert_int_equal(make(w, AT_MS + 1000).missing, 0);
}

static ino_t inode_of(const char *dir, const char *name)
{
    char path[FILE_PATH_SIZE];
    struct stat st;
    struct err e;
    assert_int_equal(file_path(path, dir, name, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* A blob that is gone meanwhile from the data directory is still in the backup before. */
static void test_blobs_are_links(void **state)
{
    struct world *w = *state;
    char first[FILE_PATH_SIZE], second[FILE_PATH_SIZE], place[96], path[FILE_PATH_SIZE],
        hex[SHA256_TEXT_SIZE];
    struct err e;
    struct backup made = make(w, AT_MS);
    folder_of(w, &made, first);
    blob_of("one", place, hex);
    assert_int_equal(inode_of(first, place), inode_of(w->data, place));
    assert_int_equal(file_path(path, w->data, place, &e), 0);
    assert_int_equal(unlink(path), 0);
    made = make(w, AT_MS + 1000);
    folder_of(w, &made, second);
    assert_int_equal(made.missing, 0);
    assert_int_equal(inode_of(second, place), inode_of(first, place));
}

/* On another file system: bytes are copied once, compared with their name, and from then on linked from
 * backup to backup. */
static void test_another_file_system(void **state)
{
    struct world *w = *state;
    char first[FILE_PATH_SIZE], second[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct stat here, there;
    struct backup made;
    snprintf(w->dir, sizeof w->dir, "/dev/shm/otad-unit-XXXXXX");
    if (stat(w->root.path, &here) < 0 || stat("/dev/shm", &there) < 0 || here.st_dev == there.st_dev ||
        !mkdtemp(w->dir))
        skip();
    struct folder other;
    str_copy(other.path, sizeof other.path, w->dir);
    blob_of("two two", place, hex);
    write_file(w->data, place, "owt two", 0444); /* rotten, in its size */
    made = make(w, AT_MS);
    folder_of(w, &made, first);
    assert_int_equal(made.missing, 1);
    assert_false(reads(first, place, "owt two"));
    write_file(w->data, place, "two two", 0444);
    made = make(w, AT_MS + 1000);
    folder_of(w, &made, second);
    assert_int_equal(made.missing, 0);
    assert_true(reads(second, place, "two two"));
    assert_int_equal(mode_of(second, place), 0444);
    blob_of("one", place, hex);
    assert_true(reads(second, place, "one"));
    assert_int_equal(inode_of(second, place), inode_of(first, place));
    folder_cleanup(&other);
}

static void test_a_file_system_without_links(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct backup out;
    struct err e;
    no_links = true;
    struct backup made = make(w, AT_MS);
    no_links = false;
    folder_of(w, &made, folder);
    assert_int_equal(made.missing, 0);
    assert_int_equal(backup_verify(folder, &out, &e), 0);
    blob_of("one", place, hex);
    assert_true(inode_of(folder, place) != inode_of(w->data, place));
}

static void test_a_file_that_cannot_be_read_is_counted(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct backup out;
    struct err e;
    blob_of("one", place, hex);
    no_links = true;
    unreadable = inode_of(w->data, place);
    struct backup made = make(w, AT_MS);
    no_links = false;
    assert_int_equal(made.missing, 1);
    assert_int_equal(backup_verify(folder_of(w, &made, folder), &out, &e), 0);
    made = make(w, AT_MS + 1000); /* a link, which nobody has read */
    assert_int_equal(backup_verify(folder_of(w, &made, folder), &out, &e), 0);
    assert_int_equal(out.damaged, 1);
    unreadable = 0;
}

static void test_two_of_one_moment_have_two_names(void **state)
{
    struct world *w = *state;
    struct backup one = make(w, AT_MS), two = make(w, AT_MS);
    size_t ok;
    assert_string_not_equal(one.name, two.name);
    assert_int_equal(count(w, &ok), 2);
    assert_int_equal(ok, 2);
}

static void test_keeps_the_newest_and_nothing_foreign_goes(void **state)
{
    struct world *w = *state;
    struct backup made[5];
    char folder[FILE_PATH_SIZE];
    size_t removed, ok;
    struct err e;
    write_file(w->dir, "20200101T000000.000Z/notes", "somebody's", 0600);
    write_file(w->dir, "holiday/manifest.json", "{}", 0600);
    for (int i = 0; i < 5; i++)
        made[i] = make(w, AT_MS + i * 1000);
    folder_of(w, &made[3], folder);
    write_file(folder, "keys/secret.key", "shorter", 0600);
    assert_int_equal(count(w, &ok), 5);
    assert_int_equal(ok, 4);
    assert_int_equal(backup_prune(w->dir, 2, NULL, AT_MS + 4000, &removed, &e), 0);
    assert_int_equal(removed, 2); /* 4 and 2 are kept, and 3, which is not whole, lies between them */
    assert_int_equal(count(w, &ok), 3);
    assert_int_equal(ok, 2);
    assert_int_equal(access(folder_of(w, &made[2], folder), F_OK), 0);
    assert_int_equal(access(folder_of(w, &made[1], folder), F_OK), -1);
    assert_true(reads(w->dir, "20200101T000000.000Z/notes", "somebody's"));
    assert_true(reads(w->dir, "holiday/manifest.json", "{}"));
    assert_int_equal(backup_prune(w->dir, 2, NULL, AT_MS + 4000, &removed, &e), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(backup_prune(w->dir, 1, made[2].name, AT_MS + 4000, &removed, &e), 0);
    assert_int_equal(removed, 1); /* the one that is not whole */
    assert_int_equal(access(folder_of(w, &made[2], folder), F_OK), 0);
}

/* Of a clock that was a year ahead for three backups; of one that is behind now. */
static void test_those_of_the_future_make_none_go(void **state)
{
    struct world *w = *state;
    size_t removed, ok;
    struct err e;
    for (int i = 0; i < 3; i++)
        make(w, AT_MS + i * 1000);
    for (int i = 0; i < 3; i++)
        make(w, AT_MS + 365 * 86400000LL + i * 1000);
    assert_int_equal(backup_prune(w->dir, 3, NULL, AT_MS + 5000, &removed, &e), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(backup_prune(w->dir, 3, NULL, AT_MS - 5000, &removed, &e), 0);
    assert_int_equal(removed, 3); /* the oldest, as ever */
    assert_int_equal(count(w, &ok), 3);
    assert_int_equal(backup_prune(w->dir, 2, NULL, AT_MS, &removed, &e), 0);
    assert_int_equal(removed, 1);
}

static void test_unfinished_ones_are_none_and_swept(void **state)
{
    struct world *w = *state;
    char path[FILE_PATH_SIZE];
    size_t ok;
    struct err e;
    write_file(w->dir, ".making-20200101T000000.000Z/keys/secret.key", "half", 0600);
    write_file(w->dir, ".gone-20200101T000000.000Z-2/otad.db", "half", 0600);
    write_file(w->dir, ".making-something", "not ours", 0600);
    assert_int_equal(count(w, &ok), 0);
    assert_int_equal(backup_sweep(w->dir, &e), 0);
    assert_int_equal(file_path(path, w->dir, ".making-20200101T000000.000Z", &e), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(file_path(path, w->dir, ".gone-20200101T000000.000Z-2", &e), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(reads(w->dir, ".making-something", "not ours"));
    write_file(w->dir, ".making-20200101T000000.000Z/otad.db", "under way", 0600);
    assert_int_equal(file_path(path, w->dir, ".making-20200101T000000.000Z", &e), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0); /* as another otad has it */
    assert_int_equal(backup_sweep(w->dir, &e), 0);
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    assert_int_equal(backup_sweep(w->dir, &e), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_given_up_leaves_nothing(void **state)
{
    struct world *w = *state;
    atomic_bool halt = true;
    struct backup made;
    struct err e;
    size_t ok;
    assert_int_equal(backup_make(w->store, w->data, w->dir, AT_MS, &halt, &made, &e), -ERR_BUSY);
    assert_int_equal(count(w, &ok), 0);
    assert_int_equal(rmdir(w->dir), 0);
}

/* Every file of a backup, one byte wrong at a time. */
static void test_verify_finds_every_byte(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], path[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct backup made = make(w, AT_MS), out;
    struct err e;
    folder_of(w, &made, folder);
    blob_of("one", place, hex);
    const char *const names[] = {"otad.db", "keys/signing.pem", "admin.token", place};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        unsigned char byte;
        assert_int_equal(file_path(path, folder, names[i], &e), 0);
        assert_int_equal(chmod(path, 0600), 0);
        int fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, 1), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 1), 1);
        if (strcmp(names[i], place) == 0) {
            assert_int_equal(backup_verify(folder, &out, &e), 0);
            assert_int_equal(out.damaged, 1);
        } else
            assert_int_equal(backup_verify(folder, &out, &e), -ERR_DAMAGED);
        assert_non_null(strstr(e.text, names[i]));
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 1), 1);
        close(fd);
        assert_int_equal(backup_verify(folder, &out, &e), 0);
        assert_int_equal(out.damaged, 0);
    }
}

static void test_a_manifest_never_leads_out(void **state)
{
    static const char *const paths[] = {"../evil", "/etc/passwd", "keys/../../evil", "keys//x", "a/b/c/d",
                                        "",        "keys/"};
    struct world *w = *state;
    struct backup out;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        char text[512], folder[FILE_PATH_SIZE];
        snprintf(
            text, sizeof text,
            "{\"format\":\"otad-backup-1\",\"otad\":\"0\",\"made_at\":\"2026-11-27T02:35:00Z\",\"missing\":0,"
            "\"files\":[{\"path\":\"%s\",\"size\":0,\"mode\":384,\"sha256\":"
            "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]}",
            paths[i]);
        write_file(w->dir, "20200101T000000.000Z/manifest.json", text, 0600);
        assert_int_equal(file_path(folder, w->dir, "20200101T000000.000Z", &e), 0);
        assert_int_equal(backup_verify(folder, &out, &e), -ERR_DAMAGED);
    }
}

static int64_t firmware_count(struct world *w)
{
    struct firmware rows[8];
    struct db *db;
    struct err e;
    size_t n;
    assert_int_equal(store_reader(w->store, &db, &e), 0);
    assert_int_equal(firmware_list(db, NULL, 0, rows, 8, &n, &e), 0);
    return (int64_t)n;
}

static void test_restores_into_nothing(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE];
    struct backup made = make(w, AT_MS);
    struct restored done;
    struct err e;
    store_close(w->store);
    w->store = NULL;
    snprintf(w->data, sizeof w->data, "%s/new", w->root.path);
    assert_int_equal(file_make_dir(w->data, 0700, &e), 0);
    assert_int_equal(backup_restore(folder_of(w, &made, folder), w->data, AT_MS, &done, &e), 0);
    assert_int_equal(done.blobs, 2);
    assert_int_equal(done.files, 4);
    assert_string_equal(done.aside, "");
    blob_of("one", place, hex);
    assert_true(reads(w->data, place, "one"));
    assert_int_equal(mode_of(w->data, place), 0444);
    assert_true(reads(w->data, "keys/secret.key", "the secret"));
    assert_int_equal(mode_of(w->data, "keys/secret.key"), 0600);
    open_store(w);
    assert_int_equal(firmware_count(w), 2);
}

/* Over a data directory in use: what differs is kept, the WAL of the old store does not reach the new one,
 * and a second time is as good as the first. */
static void test_restores_over_what_is_there(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], place[96], hex[SHA256_TEXT_SIZE], name[64], wal[FILE_PATH_SIZE];
    struct backup made = make(w, AT_MS);
    struct restored done;
    struct err e;
    blob_of("one", place, hex);
    firmware(w, "three", "3");
    store_close(w->store);
    w->store = NULL;
    write_file(w->data, "otad.db-wal", "of the old one", 0600);
    write_file(w->data, "keys/secret.key", "another", 0600);
    write_file(w->data, place, "eno", 0444);
    folder_of(w, &made, folder);
    assert_int_equal(backup_restore(folder, w->data, AT_MS, &done, &e), 0);
    assert_int_equal(done.blobs, 1);
    assert_int_equal(done.files, 1);
    assert_true(reads(w->data, place, "one"));
    snprintf(name, sizeof name, "keys/secret.key%s", done.aside);
    assert_true(reads(w->data, name, "another"));
    assert_true(reads(w->data, "keys/secret.key", "the secret"));
    snprintf(name, sizeof name, "otad.db-wal%s", done.aside);
    assert_true(reads(w->data, name, "of the old one"));
    assert_int_equal(file_path(wal, w->data, "otad.db-wal", &e), 0);
    assert_int_equal(access(wal, F_OK), -1);
    assert_int_equal(backup_restore(folder, w->data, AT_MS + 1000, &done, &e), 0);
    assert_int_equal(done.blobs + done.files, 0);
    open_store(w);
    assert_int_equal(firmware_count(w), 2);
    struct backup out;
    assert_int_equal(backup_verify(folder, &out, &e), 0); /* which nothing of this has touched */
}

/* A key that tokens are looked up with, of another server or of a later time, would shut out all of the
 * backup's. */
static void test_later_keys_are_put_aside(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], name[64], path[FILE_PATH_SIZE];
    struct backup made = make(w, AT_MS);
    struct restored done;
    struct err e;
    store_close(w->store);
    w->store = NULL;
    write_file(w->data, "keys/token.key", "of another", 0600);
    assert_int_equal(backup_restore(folder_of(w, &made, folder), w->data, AT_MS, &done, &e), 0);
    assert_int_equal(file_path(path, w->data, "keys/token.key", &e), 0);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(name, sizeof name, "keys/token.key%s", done.aside);
    assert_true(reads(w->data, name, "of another"));
    open_store(w);
    write_file(w->data, "keys/token.key", "its own", 0600);
    made = make(w, AT_MS + 1000);
    store_close(w->store);
    w->store = NULL;
    assert_int_equal(backup_restore(folder_of(w, &made, folder), w->data, AT_MS + 2000, &done, &e), 0);
    assert_true(reads(w->data, "keys/token.key", "its own"));
    open_store(w);
}

/* The file that has rotten is the backup's as well: the store, the keys and all other files are put back, and
 * nothing takes the damaged bytes along. */
static void test_a_rotten_file_does_not_hold_up_the_store(void **state)
{
    struct world *w = *state;
    char folder[FILE_PATH_SIZE], one[96], two[96], path[FILE_PATH_SIZE], hex[SHA256_TEXT_SIZE];
    struct backup made = make(w, AT_MS), out;
    struct restored done;
    struct err e;
    blob_of("one", one, hex);
    blob_of("two two", two, hex);
    assert_int_equal(file_path(path, w->data, one, &e), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_WRONLY);
    assert_int_equal(write(fd, "eno", 3), 3);
    close(fd);
    folder_of(w, &made, folder);
    assert_int_equal(backup_verify(folder, &out, &e), 0);
    assert_int_equal(out.damaged, 1);
    store_close(w->store);
    w->store = NULL;
    snprintf(w->data, sizeof w->data, "%s/new", w->root.path);
    assert_int_equal(file_make_dir(w->data, 0700, &e), 0);
    assert_int_equal(backup_restore(folder, w->data, AT_MS, &done, &e), 0);
    assert_int_equal(done.damaged, 1);
    assert_int_equal(done.blobs, 1);
    assert_false(reads(w->data, one, "eno"));
    assert_true(reads(w->data, two, "two two"));
    assert_true(reads(w->data, "keys/secret.key", "the secret"));
    open_store(w);
    assert_int_equal(firmware_count(w), 2);
}

static int list_damage(struct db *w, void *arg, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DAMAGE_INSERT);
    bind_text(s, ":sha256", arg);
    bind_text(s, ":found", "it is damaged");
    bind_int(s, ":now_ms", 1);
    return stmt_run(s, NULL, e);
}

/* Once a file is known to be damaged no backup takes its bytes from the one before; a copy that is good it
 * does. */
static void test_what_is_listed_as_damaged_is_looked_at(void **state)
{
    struct world *w = *state;
    char first[FILE_PATH_SIZE], folder[FILE_PATH_SIZE], path[FILE_PATH_SIZE], place[96],
        hex[SHA256_TEXT_SIZE];
    struct err e;
    struct backup made = make(w, AT_MS);
    folder_of(w, &made, first);
    blob_of("one", place, hex);
    assert_int_equal(store_write(w->store, list_damage, hex, &e), 0);
    assert_int_equal(file_path(path, w->data, place, &e), 0);
    assert_int_equal(unlink(path), 0); /* in quarantine */
    made = make(w, AT_MS + 1000);
    assert_int_equal(made.missing, 0);
    folder_of(w, &made, folder);
    assert_true(reads(folder, place, "one"));
    write_file(first, place, "eno", 0444);
    write_file(folder, place, "eno", 0444);
    made = make(w, AT_MS + 2000);
    assert_int_equal(made.missing, 1);
    folder_of(w, &made, folder);
    assert_false(reads(folder, place, "eno"));
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, enter, leave)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_holds_all_and_only_for_its_owner),
        IN_WORLD(test_takes_what_rows_name),
        IN_WORLD(test_a_blob_that_is_not_whole_is_counted),
        IN_WORLD(test_blobs_are_links),
        IN_WORLD(test_another_file_system),
        IN_WORLD(test_a_file_system_without_links),
        IN_WORLD(test_a_file_that_cannot_be_read_is_counted),
        IN_WORLD(test_two_of_one_moment_have_two_names),
        IN_WORLD(test_keeps_the_newest_and_nothing_foreign_goes),
        IN_WORLD(test_those_of_the_future_make_none_go),
        IN_WORLD(test_unfinished_ones_are_none_and_swept),
        IN_WORLD(test_given_up_leaves_nothing),
        IN_WORLD(test_verify_finds_every_byte),
        IN_WORLD(test_a_manifest_never_leads_out),
        IN_WORLD(test_restores_into_nothing),
        IN_WORLD(test_restores_over_what_is_there),
        IN_WORLD(test_later_keys_are_put_aside),
        IN_WORLD(test_a_rotten_file_does_not_hold_up_the_store),
        IN_WORLD(test_what_is_listed_as_damaged_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
