#include "rollout/choose.h"

#include "base/version_range.h"
#include "store/firmware.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 32 /* of a way: stepping stones rise, so it ends; this ends a damaged store too */

static int find_delta(struct db *db, const struct firmware *g, const char *has, struct chosen *out,
                      struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CHOOSE_DELTA);
    bind_int(s, ":product_id", g->product_id);
    bind_text(s, ":module", g->module);
    bind_text(s, ":version", g->version);
    bind_text(s, ":has", has);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    out->firmware_id = col_int(s, 0);
    out->bytes = col_int(s, 1);
    out->is_delta = true;
    snprintf(out->text, sizeof out->text, "the delta from %s", has);
    return 0;
}

static bool is_above(enum version_scheme scheme, const char *a, const char *b)
{
    int order;
    return version_compare(scheme, a, b, &order) && order > 0;
}

/* The newest between what it has and the goal that may be put over what it has; first of all one that the
 * goal may be put over. */
static int find_stone(struct db *db, const struct firmware *g, enum version_scheme scheme, const char *has,
                      struct chosen *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CHOOSE_STONES);
    bind_int(s, ":product_id", g->product_id);
    bind_text(s, ":module", g->module);
    bool leads = false;
    int rc;
    while ((rc = stmt_step(s, e)) > 0) {
        const char *version = col_ptr(s, 1);
        bool to_goal = version_range_has(scheme, g->requires, version);
        if (!is_above(scheme, version, has) || !is_above(scheme, g->version, version) ||
            !version_range_has(scheme, col_ptr(s, 2), has))
            continue;
        if (out->firmware_id && (to_goal != leads ? leads : !is_above(scheme, version, out->version)))
            continue;
        leads = to_goal;
        out->firmware_id = col_int(s, 0);
        col_text(s, 1, out->version, sizeof out->version);
        out->bytes = col_int(s, 3);
        out->is_stone = true;
    }
    if (rc == 0 && out->firmware_id)
        snprintf(out->text, sizeof out->text, "%.40s first, since %.40s requires %.40s", out->version,
                 g->version, g->requires);
    return rc;
}

int choose_file(struct db *db, int64_t goal_id, enum version_scheme scheme, const char *has, bool deltas,
                struct chosen *out, struct err *e)
{
    struct firmware g;
    struct chosen c = {0};
    int rc = firmware_get(db, goal_id, &g, e);
    if (rc < 0)
        return rc;
    str_copy(c.version, sizeof c.version, g.version);
    if (!*g.requires || (*has && version_range_has(scheme, g.requires, has))) {
        c.firmware_id = goal_id;
        c.bytes = (int64_t)g.size;
        rc = deltas && *has ? find_delta(db, &g, has, &c, e) : 0;
    } else if (!*has) {
        snprintf(c.text, sizeof c.text, "%.40s requires %.60s, and what it has is not known", g.version,
                 g.requires);
    } else if ((rc = find_stone(db, &g, scheme, has, &c, e)) == 0 && !c.firmware_id) {
        snprintf(c.text, sizeof c.text, "%.40s requires %.60s, and no firmware leads there from %.40s",
                 g.version, g.requires, has);
    }
    if (rc == 0)
        *out = c;
    return rc;
}

/* ---- whole ways */

static int walk(struct db *db, struct way *way, enum version_scheme scheme, bool deltas, struct err *e)
{
    char at[VERSION_SIZE];
    str_copy(at, sizeof at, way->has);
    for (int step = 0; step < STEPS_MAX; step++) {
        struct chosen c = {0};
        int rc = choose_file(db, way->goal_id, scheme, at, deltas, &c, e);
        if (rc < 0)
            return rc;
        if (!c.firmware_id) {
            str_copy(way->text, sizeof way->text, c.text);
            way->open = !*at; /* it may say what it has */
            return 0;
        }
        way->bytes += c.bytes;
        way->open = !c.is_stone;
        if (way->open)
            return 0;
        str_copy(at, sizeof at, c.version);
    }
    return 0;
}

int way_find(struct db *db, struct ways *ways, int64_t goal_id, enum version_scheme scheme, const char *has,
             bool deltas, const struct way **out, struct err *e)
{
    for (size_t i = 0; i < ways->n; i++)
        if (ways->at[i].goal_id == goal_id && strcmp(ways->at[i].has, has) == 0) {
            *out = &ways->at[i];
            return 0;
        }
    struct way way = {.goal_id = goal_id};
    str_copy(way.has, sizeof way.has, has);
    int rc = walk(db, &way, scheme, deltas, e);
    if (rc < 0)
        return rc;
    size_t slot = ways->next++ % WAYS_MAX;
    ways->n = ways->next < WAYS_MAX ? ways->next : WAYS_MAX;
    ways->at[slot] = way;
    *out = &ways->at[slot];
    return 0;
}
