/* A campaign's policy as JSON: as the store keeps it, it reads as the same policy; and its window opens and
 * closes when it says. */
#include "fuzz.h"

#include "rollout/policy.h"

static void check_window(const struct window *w)
{
    static const int64_t moments[] = {0, 951782399999, 1800000000000, 4102444800000};
    struct err e;
    const struct zone *z = zone_get(window_by_device(w) ? "UTC" : w->tz, &e);
    assert(w->days && w->days <= WINDOW_ALL_DAYS && w->from_min >= 0 && w->to_min <= 1440);
    for (size_t i = 0; i < ARRAY_SIZE(moments) && z; i++) {
        int64_t opens = window_next_open(w, z, moments[i]), closes = window_next_close(w, z, moments[i]);
        assert(opens >= moments[i] && closes >= moments[i]);
        assert((opens == moments[i]) == window_open(w, z, moments[i]));
        assert((closes == moments[i]) == !window_open(w, z, moments[i]));
        assert(opens == INT64_MAX || window_open(w, z, opens));
        assert(closes == INT64_MAX || !window_open(w, z, closes));
    }
}

static void check_policy(const struct policy *p)
{
    struct policy loaded;
    struct err e;
    assert(p->stop_count <= STOP_RULES_MAX && p->max_attempts >= 1);
    assert(!p->end_at_ms || p->end_at_ms > p->start_at_ms);
    json_t *made = policy_json(p);
    char *text = json_text(made);
    assert(policy_load(text, &loaded, &e) == 0);
    fuzz_same_json(made, policy_json(&loaded));
    free(text);
    if (p->window.given)
        check_window(&p->window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *object = fuzz_object(data, size);
    struct policy p, before;
    struct err e = {0};
    if (!object)
        return 0;
    memset(&p, 0x5a, sizeof p);
    before = p;
    int rc = policy_parse(object, &p, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        assert(memcmp(&p, &before, sizeof p) == 0);
    } else {
        check_policy(&p);
    }
    json_decref(object);
    return 0;
}
