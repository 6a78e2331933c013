/* A campaign's target as JSON: as the store keeps it, it reads as the same target, and so does a copy. */
#include "fuzz.h"

#include "rollout/target.h"

static void check_target(const struct target *t, const char *product)
{
    struct target loaded, copied;
    struct err e;
    assert(t->percent >= 1 && t->percent <= 100 && t->source_id >= 0 && t->source_states);
    assert(!*product || str_is_name(product, PRODUCT_SIZE));
    assert(!*t->lead_key || t->equal);
    json_t *made = target_json(t);
    char *text = json_text(made);
    assert(target_load(text, &loaded, &e) == 0);
    target_copy(&copied, &loaded);
    fuzz_same_json(json_incref(made), target_json(&copied));
    assert(strcmp(copied.lead_key, t->lead_key) == 0 && strcmp(copied.lead_value, t->lead_value) == 0);
    target_clear(&copied);
    target_clear(&loaded);
    free(text);
    json_decref(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *object = fuzz_object(data, size);
    struct target t = {0};
    char product[PRODUCT_SIZE] = "";
    struct err e = {0};
    if (!object)
        return 0;
    int rc = target_parse(object, &t, product, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    else
        check_target(&t, product);
    target_clear(&t);
    json_decref(object);
    return 0;
}
