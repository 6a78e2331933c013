/* Which devices a campaign is for: every kind of term, alone and together, against a second reading of the
 * same target by the test. */
#include "rollout/plan.h"
#include "rollout_devices.h"

#define DEVICES 200

/* What the test knows of a device: its own copy, not the store's. */
struct known {
    char name[8], site[4], rack[4], version[8];
    bool beta, other_product;
    int64_t id;
    int state; /* of its execution in the source campaign; -1 none */
};
static struct known fleet[DEVICES];
static int64_t source_id;
static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 11) % sides);
}

/* ---- a world of random devices */

static int add_other_product(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct product *p = arg;
    *p = w->product;
    p->id = 0;
    strcpy(p->key, "other");
    return product_insert(db, p, e);
}

static int add_known(struct world *w, struct db *db, void *arg, struct err *e)
{
    const struct product *other = arg;
    static const char *const sites[] = {"", "A", "B", "C"}, *const racks[] = {"", "1", "2"};
    int rc = 0;
    for (int i = 0; i < DEVICES && rc == 0; i++) {
        struct known *k = &fleet[i];
        struct device d = {.enabled = true, .registered_at_ms = START_MS};
        struct device_tag tags[3];
        size_t n = 0;
        bool changed;
        *k = (struct known){.beta = roll(3) == 0, .other_product = roll(5) == 0, .state = -1};
        snprintf(k->name, sizeof k->name, "d%d", i);
        snprintf(k->site, sizeof k->site, "%s", sites[roll(4)]);
        snprintf(k->rack, sizeof k->rack, "%s", racks[roll(3)]);
        if (roll(6))
            snprintf(k->version, sizeof k->version, "1.%u", roll(6));
        d.product_id = k->other_product ? other->id : w->product.id;
        snprintf(d.name, sizeof d.name, "%s", k->name);
        rc = device_insert(db, &d, e);
        k->id = d.id;
        if (*k->site)
            tags[n++] = (struct device_tag){.key = "site"}, strcpy(tags[n - 1].value, k->site);
        if (*k->rack)
            tags[n++] = (struct device_tag){.key = "rack"}, strcpy(tags[n - 1].value, k->rack);
        if (k->beta)
            tags[n++] = (struct device_tag){.key = "beta", .value = "yes"};
        if (rc == 0)
            rc = device_tags_set(db, d.id, tags, n, e);
        if (rc == 0 && *k->version)
            rc = device_version_set(db, d.id, "default", k->version, false, START_MS, &changed, e);
    }
    return rc;
}

/* Whose rows are queued, already installed, and beyond it. */
static void make_source(struct world *w)
{
    source_id = campaign(w, firmware(w, "1.3"));
    for (int i = 0; i < DEVICES; i++) {
        struct execution x;
        struct err e;
        if (execution_of_device(reader(w), source_id, fleet[i].id, &x, &e) > 0)
            fleet[i].state = (int)x.state;
    }
}

static int setup(void **state)
{
    struct world *w = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    struct product other = {0};
    dice = 0x9e3779b97f4a7c15u;
    must(w, add_other_product, &other);
    must(w, add_known, &other);
    make_source(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

/* ---- a target as terms, its JSON, and its meaning */

struct terms {
    bool names, site, rack_not, no_beta, has_beta, version, percent, source, states, any_rack;
};

static bool is_named(int i)
{
    return i % 3 == 0;
}

static json_t *json_of_terms(const struct terms *t)
{
    json_t *object = json_object(), *tags = json_object(), *list = json_array();
    for (int i = 0; i < DEVICES && t->names; i++)
        if (is_named(i) && !fleet[i].other_product)
            json_array_append_new(list, json_string(fleet[i].name));
    if (t->names)
        json_object_set(object, "devices", list);
    if (t->site)
        json_object_set_new(tags, "site", json_string("A"));
    if (t->rack_not)
        json_object_set_new(tags, "rack!", json_string("2"));
    if (t->any_rack)
        json_object_set_new(tags, "rack", json_true());
    if (t->no_beta)
        json_object_set_new(tags, "beta", json_false());
    if (t->has_beta)
        json_object_set_new(tags, "beta", json_true());
    if (json_object_size(tags))
        json_object_set(object, "tags", tags);
    if (t->version)
        json_object_set_new(object, "version", json_string(">=1.2 <1.5"));
    if (t->percent)
        json_object_set_new(object, "percent", json_integer(37));
    if (t->source)
        json_object_set_new(object, "campaign", json_integer(source_id));
    if (t->source && t->states)
        json_object_set_new(object, "states", json_pack("[s,s]", "queued", "superseded"));
    json_decref(tags);
    json_decref(list);
    return object;
}

static bool in_range(const char *version)
{
    return *version && version[2] >= '2' && version[2] < '5';
}

static bool means(const struct terms *t, int i, uint64_t salt)
{
    const struct known *k = &fleet[i];
    bool in = !k->other_product;
    in &= !t->names || is_named(i);
    in &= !t->site || strcmp(k->site, "A") == 0;
    in &= !t->rack_not || strcmp(k->rack, "2") != 0;
    in &= !t->any_rack || *k->rack;
    in &= !t->no_beta || !k->beta;
    in &= !t->has_beta || k->beta;
    in &= !t->version || in_range(k->version);
    in &= !t->percent || (double)device_hash(salt, k->id) / (double)INT64_MAX < 0.37;
    in &= !t->source || k->state >= 0;
    in &= !t->source || !t->states || k->state == EXECUTION_QUEUED || k->state == EXECUTION_SUPERSEDED;
    return in;
}

static struct terms terms_of(unsigned bits)
{
    return (struct terms){.names = bits & 1,
                          .site = bits & 2,
                          .rack_not = bits & 4,
                          .no_beta = bits & 8,
                          .version = bits & 16,
                          .percent = bits & 32,
                          .source = bits & 64,
                          .states = bits & 128,
                          .any_rack = bits & 256,
                          .has_beta = (bits & 512) && !(bits & 8)};
}

static void read_target(json_t *object, struct target *out)
{
    char product[PRODUCT_SIZE];
    struct err e;
    if (target_parse(object, out, product, &e) < 0)
        fail_msg("%s: %s", e.field, e.text);
}

/* Who the lead finds, and of them who is in; in pages of a few, as the planner goes. */
static void members(struct world *w, const struct target *t, bool in[DEVICES], uint64_t salt)
{
    struct seeker s = {.target = t, .product_id = w->product.id, .module = "default", .salt = salt};
    struct db *db = reader(w);
    int64_t ids[7], after = 0;
    size_t n = ARRAY_SIZE(ids);
    struct err e;
    assert_int_equal(target_check(db, &s, &e), 0);
    while (n == ARRAY_SIZE(ids)) {
        assert_int_equal(target_next(db, &s, after, INT64_MAX, ids, ARRAY_SIZE(ids), &n, &e), 0);
        for (size_t i = 0; i < n; i++) {
            enum membership m;
            int k = 0;
            assert_true(ids[i] > after); /* each once, in order */
            after = ids[i];
            while (fleet[k].id != ids[i])
                k++;
            assert_int_equal(target_has(db, &s, ids[i], fleet[k].version, &m, &e), 0);
            in[k] = m == IS_MEMBER;
        }
    }
}

static void check_terms(struct world *w, unsigned bits)
{
    struct terms terms = terms_of(bits);
    json_t *object = json_of_terms(&terms);
    struct target t;
    bool in[DEVICES] = {false};
    uint64_t salt = 1 + bits;
    read_target(object, &t);
    members(w, &t, in, salt);
    for (int i = 0; i < DEVICES; i++)
        if (in[i] != means(&terms, i, salt))
            fail_msg("terms %x: %s is %s", bits, fleet[i].name, in[i] ? "in" : "not in");
    target_clear(&t);
    json_decref(object);
}

/* ---- tests */

static void test_every_term_with_every_lead(void **state)
{
    for (unsigned bits = 0; bits < 1024; bits++)
        check_terms(*state, bits);
}

/* Rows are made for whom the target is, and for nobody else. */
static void test_rows_are_the_target(void **state)
{
    struct world *w = *state;
    static const unsigned samples[] = {0, 2, 1 | 16, 64 | 128, 2 | 8 | 32, 4 | 256, 512 | 16};
    for (size_t n = 0; n < ARRAY_SIZE(samples); n++) {
        struct terms terms = terms_of(samples[n]);
        json_t *object = json_of_terms(&terms);
        char version[8];
        snprintf(version, sizeof version, "3.%zu", n);
        struct campaign_spec spec = spec_for(firmware(w, version));
        read_target(object, &spec.target);
        json_decref(object);
        uint64_t salt = campaign_salt(&spec);
        int64_t id = campaign_of(w, &spec);
        for (int i = 0; i < DEVICES; i++) {
            struct execution x;
            struct err e;
            int has = execution_of_device(reader(w), id, fleet[i].id, &x, &e);
            assert_int_equal(has, means(&terms, i, salt));
        }
    }
}

static void test_back_to_json(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1024; bits++) {
        struct terms terms = terms_of(bits);
        json_t *object = json_of_terms(&terms);
        struct target t, again;
        struct err e;
        read_target(object, &t);
        json_t *made = target_json(&t);
        assert_true(json_equal(object, made));
        char *text = json_text(made);
        assert_int_equal(target_load(text, &again, &e), 0);
        json_t *twice = target_json(&again);
        assert_true(json_equal(made, twice));
        free(text);
        target_clear(&t);
        target_clear(&again);
        json_decref(object);
        json_decref(made);
        json_decref(twice);
    }
}

/* A tag may be asked for one value and, in vain, not for another. */
static void test_terms_of_one_tag(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *text;
        const char *site; /* "" none has to have it */
    } table[] = {
        {"{\"tags\":{\"site\":\"A\",\"site!\":\"B\"}}", "A"},
        {"{\"tags\":{\"site\":\"A\",\"site!\":\"A\"}}", "none"},
        {"{\"tags\":{\"site\":false}}", ""},
    };
    for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
        json_t *object = json_of(table[n].text);
        struct target t;
        bool in[DEVICES] = {false};
        read_target(object, &t);
        members(w, &t, in, 1);
        for (int i = 0; i < DEVICES; i++)
            assert_int_equal(in[i], !fleet[i].other_product && strcmp(fleet[i].site, table[n].site) == 0);
        target_clear(&t);
        json_decref(object);
    }
}

static void test_a_name_given_twice_is_one_device(void **state)
{
    struct world *w = *state;
    char target[64];
    int i = 0;
    while (fleet[i].other_product)
        i++;
    snprintf(target, sizeof target, "{\"devices\":[\"d%d\",\"d%d\"]}", i, i);
    struct campaign_spec spec = spec_with(firmware(w, "2.0"), target, NULL, NULL);
    int64_t id = campaign_of(w, &spec);
    assert_int_equal(query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?", id), 1);
}

/* A larger percentage takes the same devices and more; another firmware takes others. */
static void test_percent_grows(void **state)
{
    struct world *w = *state;
    bool small[DEVICES] = {false}, large[DEVICES] = {false}, other[DEVICES] = {false};
    struct target t = {.percent = 20, .source_states = ~0u};
    int taken = 0, differs = 0, of = 0;
    members(w, &t, small, 5);
    members(w, &t, other, 6);
    t.percent = 60;
    members(w, &t, large, 5);
    for (int i = 0; i < DEVICES; i++) {
        assert_true(large[i] || !small[i]);
        taken += small[i];
        differs += small[i] != other[i];
        of += !fleet[i].other_product;
    }
    assert_in_range(taken, of / 10, of * 3 / 10);
    assert_true(differs > 0);
}

static void test_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *target, *field, *text;
    } table[] = {
        {"{\"devices\":[]}", "target.devices", "target.devices must name at least one device"},
        {"{\"devices\":[\"nobody\"]}", "target.devices", "there is no device \"nobody\" of this product"},
        {"{\"tags\":{\"site\":\"Z\"}}", "target.tags", "no device has the tag site=Z"},
        {"{\"tags\":{\"hall!\":\"1\"}}", "target.tags", "no device has a tag hall"},
        {"{\"tags\":{\"hall\":true}}", "target.tags", "no device has a tag hall"},
        {"{\"tags\":{\"hall\":false}}", "target.tags", "no device has a tag hall"},
        {"{\"tags\":{\"site\":7}}", "target.tags", NULL},
        {"{\"tags\":{\"site!\":true}}", "target.tags", NULL},
        {"{\"version\":\">=\"}", "target.version", NULL},
        {"{\"percent\":0}", "target.percent", NULL},
        {"{\"percent\":101}", "target.percent", NULL},
        {"{\"campaign\":99}", "target.campaign", "there is no campaign 99 of this product"},
        {"{\"states\":[\"failed\"]}", "target.states", NULL},
        {"{\"campaign\":1,\"states\":[]}", "target.states", NULL},
        {"{\"campaign\":1,\"states\":[\"lost\"]}", "target.states", NULL},
        {"{\"colour\":\"red\"}", "target.colour", NULL},
    };
    int64_t id = firmware(w, "2.0");
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct creation c = {.spec = spec_for(id)};
        json_t *object = json_of(table[i].target);
        struct err e = {0};
        int rc = target_parse(object, &c.spec.target, c.spec.product, &e);
        if (rc == 0)
            rc = try_it(w, create, &c, &e);
        if (rc != -ERR_INVALID)
            fail_msg("%s is not refused", table[i].target);
        assert_string_equal(e.field, table[i].field);
        if (table[i].text)
            assert_string_equal(e.text, table[i].text);
        campaign_spec_clear(&c.spec);
        json_decref(object);
    }
}

/* ---- a plan is what comes of it */

static void check_plan(struct world *w, struct campaign_spec *spec)
{
    struct campaign_counts counts;
    struct plan plan;
    struct err e = {0};
    int64_t sum = 0;
    if (campaign_plan(reader(w), spec, w->now_ms, &plan, &e) < 0)
        fail_msg("%s", e.text);
    size_t waves = spec->waves.n;
    int64_t id = campaign_of(w, spec);
    assert_int_equal(query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?", id), plan.devices);
    static const struct {
        enum verdict verdict;
        enum execution_state state;
        const char *reason;
    } table[] = {
        {VERDICT_THERE, EXECUTION_SUCCEEDED, "already_installed"},
        {VERDICT_ABOVE, EXECUTION_SUPERSEDED, "newer_installed"},
        {VERDICT_NO_WAY, EXECUTION_FAILED, "incompatible"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM execution WHERE campaign_id = ? AND wave = -1 AND state = %d AND "
                 "reason = '%s'",
                 (int)table[i].state, table[i].reason);
        assert_int_equal(query(w, sql, id), plan.verdicts[table[i].verdict]);
    }
    assert_int_equal(plan.wave_count, waves);
    for (int i = 0; i < (int)waves; i++) {
        assert_int_equal(campaign_counts(reader(w), id, i, &counts, &e), 0);
        assert_int_equal(counts.total, plan.waves[i]);
        sum += plan.waves[i];
    }
    assert_int_equal(sum, plan.verdicts[VERDICT_QUEUED]);
    check_world(w);
}

static void test_plan_is_what_comes_of_it(void **state)
{
    struct world *w = *state;
    static const char *const targets[] = {NULL, "{\"tags\":{\"site\":\"A\"}}", "{\"percent\":50}",
                                          "{\"version\":\">=1.1\",\"tags\":{\"beta\":false}}"};
    static const char *const waves[] = {
        NULL, "[{\"count\":7},{\"percent\":40},{\"percent\":100}]",
        "[{\"tags\":{\"rack\":\"1\"}},{\"count\":5},{\"count\":5},{\"percent\":100}]"};
    firmware_with(w, "default", "1.3", "", "1.2");
    firmware_with(w, "default", "1.4", ">=1.1", "");
    int64_t goals[] = {firmware_with(w, "default", "1.3.1", "", ""),
                       firmware_with(w, "default", "2.0", ">=1.4", "")};
    for (size_t g = 0; g < ARRAY_SIZE(goals); g++)
        for (size_t t = 0; t < ARRAY_SIZE(targets); t++)
            for (size_t v = 0; v < ARRAY_SIZE(waves); v++) {
                struct campaign_spec spec = spec_with(goals[g], targets[t], waves[v], NULL);
                check_plan(w, &spec);
            }
}

static void test_plan_counts_who_is_left_out(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec =
        spec_with(firmware(w, "3.0"), "{\"version\":\">=1.2 <1.5\",\"percent\":37}", NULL, NULL);
    uint64_t salt = campaign_salt(&spec);
    struct plan plan;
    struct err e;
    int64_t by_version = 0, by_percent = 0;
    for (int i = 0; i < DEVICES; i++) {
        by_version += !fleet[i].other_product && !in_range(fleet[i].version);
        by_percent += !fleet[i].other_product && in_range(fleet[i].version) &&
                      (double)device_hash(salt, fleet[i].id) / (double)INT64_MAX >= 0.37;
    }
    assert_int_equal(campaign_plan(reader(w), &spec, w->now_ms, &plan, &e), 0);
    assert_int_equal(plan.verdicts[VERDICT_VERSION], by_version);
    assert_int_equal(plan.verdicts[VERDICT_PERCENT], by_percent);
    assert_int_equal(plan.verdicts[VERDICT_OUTSIDE], 0);
    campaign_spec_clear(&spec);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_term_with_every_lead),
        T(test_rows_are_the_target),
        T(test_back_to_json),
        T(test_terms_of_one_tag),
        T(test_a_name_given_twice_is_one_device),
        T(test_percent_grows),
        T(test_refused),
        T(test_plan_is_what_comes_of_it),
        T(test_plan_counts_who_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
