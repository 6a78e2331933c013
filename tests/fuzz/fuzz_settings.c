/* A file of settings. What is refused changes nothing; what is taken lies within its limits, and the same
 * again as -o changes nothing either. */
#include "memory_file.h"

#include "config/settings.h"

static bool is_port(int64_t value, bool may_be_off)
{
    return value >= (may_be_off ? 0 : 1) && value <= 65535;
}

static void check_taken(const struct settings *s)
{
    assert(is_port(s->https_port, false) && is_port(s->http_port, true) && is_port(s->mqtt_port, false));
    assert(s->mqtt_port != s->mqtt_plain_port && s->mqtt_port != s->mqtt_cert_port);
    assert(s->broker == BROKER_MANAGED || (s->broker == BROKER_EXTERNAL && *s->mqtt_host));
    assert(*s->data_dir && !*s->cert_file == !*s->key_file);
    assert(s->max_upload_bytes >= 1024 && s->max_connections >= 16 && s->http_threads <= 256);
    assert(s->presence_timeout_ms >= 1000 && s->presence_timeout_ms <= 86400000);
}

static void check_overrides(const char *file, const struct settings *s)
{
    char port[32], host[300];
    char *overrides[] = {port, host};
    struct settings again;
    struct err e;
    snprintf(port, sizeof port, "https_port=%lld", (long long)s->https_port);
    snprintf(host, sizeof host, "mqtt_host=%s", s->mqtt_host);
    assert(settings_load(file, overrides, ARRAY_SIZE(overrides), &again, &e) == 0);
    /* but for where they came from */
    again.overrides = s->overrides;
    again.override_count = s->override_count;
    assert(memcmp(&again, s, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_file file = memory_file_make(data, size);
    struct settings s, before;
    struct err e = {0};
    memset(&s, 0x5a, sizeof s);
    before = s;
    int rc = settings_load(file.path, NULL, 0, &s, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        assert(memcmp(&s, &before, sizeof s) == 0);
    } else {
        check_taken(&s);
        check_overrides(file.path, &s);
    }
    close(file.fd);
    return 0;
}
