#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/otad-settings-XXXXXX";

static int setup(void **state)
{
    (void)state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_defaults(void **state)
{
    (void)state;
    struct settings s;
    struct err e;
    assert_int_equal(settings_load(NULL, NULL, 0, &s, &e), 0);
    assert_string_equal(s.data_dir, "data");
    assert_int_equal(s.https_port, 8443);
    assert_int_equal(s.mqtt_port, 8883);
    assert_int_equal(s.mqtt_plain_port, 0);
    assert_int_equal(s.http_port, 0);
    assert_int_equal(s.broker, BROKER_MANAGED);
    assert_int_equal(s.log_level, LOG_LEVEL_INFO);
    assert_int_equal(s.tls_profile, TLS_MODERN);
    assert_int_equal(s.max_upload_bytes, 4LL << 30);
    assert_int_equal(s.presence_timeout_ms, 300000);
    assert_string_equal(s.trusted_nets, "127.0.0.0/8, ::1");
    assert_int_equal(s.header_timeout_ms, 10000);
    assert_int_equal(s.min_rate, 1024);
}

static void test_trusted_nets_are_read(void **state)
{
    (void)state;
    struct settings s;
    struct err e;
    char *good[] = {"trusted_nets=10.0.0.0/8"}, *none[] = {"trusted_nets="},
         *bad[] = {"trusted_nets=10.0.0.1/8"};
    assert_int_equal(settings_load(NULL, good, 1, &s, &e), 0);
    assert_int_equal(settings_load(NULL, none, 1, &s, &e), 0);
    assert_string_equal(s.trusted_nets, "");
    assert_int_equal(settings_load(NULL, bad, 1, &s, &e), -ERR_INVALID);
    assert_string_equal(e.field, "trusted_nets");
    assert_non_null(strstr(e.text, "10.0.0.1/8"));
}

static void test_precedence(void **state)
{
    (void)state;
    struct settings s;
    struct err e;
    char *overrides[] = {"https_port=3"};
    write_file("# words\nhttps_port = 1\nmqtt_port = 11\nlog_level = warn\n");
    setenv("OTAD_HTTPS_PORT", "2", 1);
    setenv("OTAD_MQTT_PORT", "12", 1);
    assert_int_equal(settings_load(path, overrides, 1, &s, &e), 0);
    unsetenv("OTAD_HTTPS_PORT");
    unsetenv("OTAD_MQTT_PORT");
    assert_int_equal(s.https_port, 3);
    assert_int_equal(s.mqtt_port, 12);
    assert_int_equal(s.log_level, LOG_LEVEL_WARN);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        char *override;
        const char *field;
    } table[] = {
        {"https_port=0", "https_port"},
        {"https_port=65536", "https_port"},
        {"https_port=+1", "https_port"},
        {"https_port=", "https_port"},
        {"https_port=80x", "https_port"},
        {"broker=none", "broker"},
        {"broker=", "broker"},
        {"log_level=loud", "log_level"},
        {"tls_profile=old", "tls_profile"},
        {"public_url=ota.lan", "public_url"},
        {"broker=external", "mqtt_host"},
        {"cert_file=/x.pem", "cert_file"},
        {"key_file=/x.key", "cert_file"},
        {"presence_timeout=5", "presence_timeout"},
        {"mqtt_plain_port=8883", "mqtt_port"},
        {"mqtt_cert_port=8883", "mqtt_port"},
        {"mqtt_psk_port=8883", "mqtt_port"},
        {"data_dir=", "data_dir"},
        {"data_dir=a\nb", "data_dir"},
        {"colour=red", "settings"},
        {"=3", ""},
        {"https_port", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct settings s = {.https_port = 4711};
        struct err e = {0};
        assert_int_equal(settings_load(NULL, &table[i].override, 1, &s, &e), -ERR_INVALID);
        assert_string_equal(e.field, table[i].field);
        assert_int_equal(s.https_port, 4711); /* nothing is written on failure */
    }
}

static void test_file_refused(void **state)
{
    (void)state;
    struct settings s;
    struct err e;
    static const char *const texts[] = {"https_port = 1\nhttps_prot = 2\n", "\n[section]\nhttps_port = 1\n",
                                        "\nnonsense\n"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        write_file(texts[i]);
        assert_true(settings_load(path, NULL, 0, &s, &e) < 0);
        assert_non_null(strstr(e.text, "line"));
    }
    assert_true(settings_load("/nowhere/otad.conf", NULL, 0, &s, &e) < 0);
    assert_non_null(strstr(e.text, "/nowhere/otad.conf"));
}

static void test_slash_at_the_end_of_public_url(void **state)
{
    (void)state;
    struct settings s;
    struct err e;
    char *overrides[] = {"public_url=https://ota.lan:8443//"};
    assert_int_equal(settings_load(NULL, overrides, 1, &s, &e), 0);
    assert_string_equal(s.public_url, "https://ota.lan:8443");
}

/* What otad -D prints is a settings file that gives the defaults. */
static void test_printed_file_is_the_defaults(void **state)
{
    (void)state;
    struct settings defaults, read;
    struct err e;
    FILE *f = fopen(path, "w");
    settings_print(f);
    fclose(f);
    memset(&defaults, 0, sizeof defaults);
    memset(&read, 0, sizeof read);
    assert_int_equal(settings_load(NULL, NULL, 0, &defaults, &e), 0);
    assert_int_equal(settings_load(path, NULL, 0, &read, &e), 0);
    size_t at = 0;
    assert_null(settings_differ(&defaults, &read, &at));
}

/* As at the start: the command line still wins. */
static void test_read_again(void **state)
{
    (void)state;
    struct settings first, again;
    struct err e;
    char *overrides[] = {"https_port=3"};
    size_t at = 0;
    write_file("https_port = 1\nmqtt_port = 11\nlog_level = warn\n");
    assert_int_equal(settings_load(path, overrides, 1, &first, &e), 0);
    write_file("https_port = 2\nmqtt_port = 12\nlog_level = debug\npublic_url = https://x\n");
    assert_int_equal(settings_again(&first, &again, &e), 0);
    assert_int_equal(again.https_port, 3);
    assert_int_equal(again.log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(settings_differ(&first, &again, &at), "public_url");
    assert_string_equal(settings_differ(&first, &again, &at), "mqtt_port");
    assert_string_equal(settings_differ(&first, &again, &at), "log_level");
    assert_null(settings_differ(&first, &again, &at));
    write_file("log_level = loudly\n");
    assert_true(settings_again(&first, &again, &e) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_trusted_nets_are_read),
        cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_file_refused, setup, teardown),
        cmocka_unit_test(test_slash_at_the_end_of_public_url),
        cmocka_unit_test_setup_teardown(test_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_printed_file_is_the_defaults, setup, teardown),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
