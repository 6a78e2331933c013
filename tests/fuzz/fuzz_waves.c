/* A campaign's waves as {"waves": [..]}: what is taken adds up, for a target of all devices and of some. */
#include "fuzz.h"

#include "rollout/wave.h"

static void check_waves(const struct waves *w)
{
    struct waves copied;
    int64_t reached = 0;
    bool counted = false;
    assert(w->n >= 1 && w->n <= WAVES_MAX && w->at[w->n - 1].upto == INT64_MAX);
    for (size_t i = 0; i < w->n; i++) {
        const struct wave *one = &w->at[i];
        assert(one->success_pct >= 0 && one->success_pct <= 100 && one->soak_ms >= 0);
        assert(one->devices >= 0 && !(one->devices && one->tags));
        assert(!one->upto || one->upto > reached);
        reached = one->upto ? one->upto : reached;
        counted = counted || one->devices > 0;
    }
    assert(waves_need_survey(w) == counted);
    waves_copy(&copied, w);
    for (size_t i = 0; i < w->n; i++)
        assert(w->at[i].tags ? strcmp(w->at[i].tags, copied.at[i].tags) == 0 : !copied.at[i].tags);
    waves_clear(&copied);
}

static int try_waves(const json_t *list, int64_t percent)
{
    struct waves w = {0};
    struct err e = {0};
    int rc = waves_parse(list, percent, &w, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    else
        check_waves(&w);
    waves_clear(&w);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *object = fuzz_object(data, size), *list = json_object_get(object, "waves");
    if (json_is_array(list)) {
        int rc = try_waves(list, 100); /* waves are of the target, however much of all it is */
        assert(try_waves(list, 1) == rc);
    }
    json_decref(object);
    return 0;
}
