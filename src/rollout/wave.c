#include "rollout/wave.h"

#include "base/json.h"
#include "store/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading */

static int read_tags(const json_t *object, struct wave *out, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!str_is_name(key, TAG_KEY_SIZE) || !json_is_string(value))
            return err_field(e, ERR_INVALID, "waves", "the tags of a wave are keys with texts: %.64s is none",
                             key);
    }
    if (json_object_size(object) == 0)
        return err_field(e, ERR_INVALID, "waves", "the tags of a wave name no tag");
    out->tags = json_text(object);
    return 0;
}

static int read_wave(const json_t *object, int64_t target_percent, int64_t *percent, struct wave *out,
                     struct err *e)
{
    const json_t *tags = NULL;
    const struct json_field fields[] = {
        {.key = "count", .kind = JSON_KIND_INT, .out = &out->devices, .min = 1, .max = 100000000},
        {.key = "percent", .kind = JSON_KIND_INT, .out = percent, .min = 1, .max = 100},
        {.key = "tags", .kind = JSON_KIND_OBJECT, .out = &tags},
        {.key = "success_pct", .kind = JSON_KIND_INT, .out = &out->success_pct, .min = 0, .max = 100},
        {.key = "soak", .kind = JSON_KIND_SPAN, .out = &out->soak_ms},
    };
    *percent = 0;
    if (!json_is_object(object))
        return err_field(e, ERR_INVALID, "waves", "waves must be a list of objects");
    if (json_read(object, fields, ARRAY_SIZE(fields), true, e) < 0)
        return err_under(e, "waves");
    if ((out->devices > 0) + (*percent > 0) + (tags != NULL) != 1)
        return err_field(e, ERR_INVALID, "waves", "a wave has one of count, percent and tags");
    out->upto = hash_below(*percent * target_percent);
    return tags ? read_tags(tags, out, e) : 0;
}

static int check_sum(size_t i, int64_t percent, int64_t *before, struct err *e)
{
    if (percent && percent <= *before)
        return err_field(
            e, ERR_INVALID, "waves",
            "the waves do not add up: wave %zu goes to %lld %%, which the one before it reached: "
            "percents are of the whole target, and rise",
            i, (long long)percent);
    *before = percent ? percent : *before;
    return 0;
}

int waves_parse(const struct json_t *list, int64_t target_percent, struct waves *out, struct err *e)
{
    int64_t percent = 100, reached = 0;
    size_t n = json_array_size(list);
    int rc = 0;
    *out = (struct waves){.n = 1, .at = {{.upto = INT64_MAX}}};
    if (!list)
        return 0;
    if (n == 0 || n > WAVES_MAX)
        return err_field(e, ERR_INVALID, "waves", "waves must be a list of 1 to %d", WAVES_MAX);
    out->n = n;
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool last = i + 1 == n;
        out->at[i] = (struct wave){.success_pct = last ? 0 : 100};
        rc = read_wave(json_array_get(list, i), target_percent, &percent, &out->at[i], e);
        if (rc == 0)
            rc = check_sum(i, percent, &reached, e);
    }
    if (rc == 0 && percent != 100)
        rc =
            err_field(e, ERR_INVALID, "waves",
                      "the waves do not add up: the last one must take all that are left, {\"percent\":100}");
    out->at[n - 1].upto = INT64_MAX;
    return rc;
}

void waves_copy(struct waves *out, const struct waves *w)
{
    *out = *w;
    for (size_t i = 0; i < WAVES_MAX; i++)
        if (w->at[i].tags && !(out->at[i].tags = strdup(w->at[i].tags)))
            abort();
}

int waves_check(struct db *db, const struct waves *w, struct err *e)
{
    for (size_t i = 0; i < w->n; i++) {
        if (!w->at[i].tags)
            continue;
        struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_UNKNOWN_VALUE);
        bind_text(q, ":tags", w->at[i].tags);
        int rc = stmt_step(q, e);
        if (rc > 0)
            return err_field(e, ERR_INVALID, "waves", "no device has the tag %.64s=%.128s of wave %zu",
                             col_ptr(q, 0), col_ptr(q, 1), i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void waves_clear(struct waves *w)
{
    for (size_t i = 0; i < WAVES_MAX; i++)
        free(w->at[i].tags);
    *w = (struct waves){0};
}

bool waves_need_survey(const struct waves *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->at[i].devices > 0 && w->at[i].upto == 0)
            return true;
    return false;
}

/* ---- in the store */

int waves_insert(struct db *w, int64_t campaign_id, const struct waves *waves, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < waves->n && rc == 0; i++) {
        const struct wave *wave = &waves->at[i];
        struct stmt *s = db_stmt(w, Q_WAVE_INSERT);
        bind_int(s, ":campaign_id", campaign_id);
        bind_int(s, ":wave", (int64_t)i);
        bind_int(s, ":devices", wave->devices);
        if (wave->upto)
            bind_int(s, ":upto", wave->upto);
        bind_text(s, ":tags", wave->tags);
        bind_int(s, ":success_pct", wave->success_pct);
        bind_int(s, ":soak_ms", wave->soak_ms);
        rc = stmt_run(s, NULL, e);
    }
    return rc;
}

int waves_load(struct db *db, int64_t campaign_id, struct waves *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_WAVES_GET);
    bind_int(s, ":campaign_id", campaign_id);
    int rc = 0;
    *out = (struct waves){0};
    for (; out->n < WAVES_MAX && (rc = stmt_step(s, e)) > 0; out->n++) {
        const char *tags = col_ptr(s, 2);
        out->at[out->n] = (struct wave){.devices = col_int(s, 0),
                                        .upto = col_int(s, 1),
                                        .tags = tags ? strdup(tags) : NULL,
                                        .success_pct = col_int(s, 3),
                                        .soak_ms = col_int(s, 4),
                                        .started_at_ms = col_int(s, 5),
                                        .met_at_ms = col_int(s, 6)};
    }
    return rc < 0 ? rc : 0;
}

int wave_get(struct db *db, int64_t campaign_id, int wave, struct wave *out, int *last, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_WAVE_GET);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_INTERNAL, "campaign %lld has no wave %d", (long long)campaign_id, wave);
    if (rc < 0)
        return rc;
    *out = (struct wave){.success_pct = col_int(s, 0),
                         .soak_ms = col_int(s, 1),
                         .started_at_ms = col_int(s, 2),
                         .met_at_ms = col_int(s, 3)};
    *last = (int)col_int(s, 4);
    return 0;
}

int wave_of(struct db *db, const struct waves *waves, int64_t device_id, int64_t hash, int *wave,
            struct err *e)
{
    int rc = 0;
    bool in = false;
    for (size_t i = 0; i < waves->n && rc == 0 && !in; i++) {
        if (waves->at[i].tags)
            rc = device_has_tags(db, device_id, waves->at[i].tags, &in, e);
        else
            in = hash < waves->at[i].upto;
        *wave = (int)i;
    }
    return rc;
}

/* ---- the survey */

int survey_add(struct db *db, struct survey *s, const struct waves *waves, int64_t device_id, int64_t hash,
               struct err *e)
{
    struct surveyed one = {.hash = hash};
    int rc = 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        struct surveyed *at = realloc(s->at, cap * sizeof *at);
        if (!at)
            return err_set(e, ERR_INTERNAL, "out of memory");
        s->at = at;
        s->cap = cap;
    }
    for (size_t i = 0; i < waves->n && rc == 0; i++) {
        bool has = false;
        if (waves->at[i].tags)
            rc = device_has_tags(db, device_id, waves->at[i].tags, &has, e);
        one.tagged |= (uint32_t)has << i;
    }
    if (rc == 0)
        s->at[s->n++] = one;
    return rc;
}

/* One element of a merge of runs: the pair of runs that `to` is in. */
static void merge_one(struct survey *s)
{
    size_t first = s->to / (2 * s->run) * 2 * s->run;
    size_t middle = first + s->run < s->n ? first + s->run : s->n;
    size_t end = middle + s->run < s->n ? middle + s->run : s->n;
    if (s->to == first) {
        s->left = first;
        s->right = middle;
    }
    bool from_left = s->left < middle && (s->right == end || s->at[s->left].hash <= s->at[s->right].hash);
    s->other[s->to++] = s->at[from_left ? s->left++ : s->right++];
}

/* From the bottom up; true: all is one run. */
static bool sort_step(struct survey *s)
{
    for (size_t i = 0; i < SURVEY_STEP && s->run < s->n; i++) {
        merge_one(s);
        if (s->to < s->n)
            continue;
        struct surveyed *sorted = s->other;
        s->other = s->at;
        s->at = sorted;
        s->run *= 2;
        s->to = 0;
    }
    return s->run >= s->n;
}

#define UNLIMITED (-1)

static int begin_settling(struct survey *s, const struct waves *waves, struct err *e)
{
    s->run = 1;
    for (size_t i = 0; i < waves->n; i++) {
        bool asks = waves->at[i].devices > 0 && waves->at[i].upto == 0;
        s->room[i] = asks ? waves->at[i].devices : UNLIMITED;
        s->upto[i] = asks ? INT64_MAX : waves->at[i].upto;
    }
    s->other = malloc((s->n + 1) * sizeof *s->other);
    return s->other ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* The first wave that takes it; a wave by number takes the first so many that come by it, and its limit is
 * the next one. */
static void take_one(struct survey *s, const struct surveyed *one, const struct waves *waves)
{
    for (size_t i = 0; i < waves->n; i++) {
        bool in = waves->at[i].tags ? one->tagged >> i & 1 : one->hash < s->upto[i];
        if (in && s->room[i] == 0) {
            s->upto[i] = one->hash;
            in = false;
        }
        if (!in)
            continue;
        s->room[i] -= s->room[i] > 0;
        return;
    }
}

int survey_settle(struct survey *s, struct waves *waves, bool *done, struct err *e)
{
    int rc = s->other ? 0 : begin_settling(s, waves, e);
    *done = false;
    if (rc < 0 || !sort_step(s))
        return rc;
    for (size_t i = 0; i < SURVEY_STEP && s->taken < s->n; i++)
        take_one(s, &s->at[s->taken++], waves);
    *done = s->taken == s->n;
    for (size_t i = 0; i < waves->n && *done; i++)
        waves->at[i].upto = s->upto[i];
    return 0;
}

void survey_clear(struct survey *s)
{
    free(s->at);
    free(s->other);
    *s = (struct survey){0};
}
