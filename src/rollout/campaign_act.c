/* What operators do to campaigns. */
#include "rollout/campaign.h"
#include "rollout/damage.h"
#include "rollout/pace.h"

#include "store/firmware.h"

#include <stdio.h>

#define BIT(state) (1u << (state))

/* The next wave, now: its success need not be met. */
static int advance(struct db *w, const struct campaign *c, int64_t now_ms, struct err *e)
{
    struct waves waves = {0};
    struct pace pace;
    int rc = pace_get(w, c->id, &pace, e);
    if (rc == 0)
        rc = waves_load(w, c->id, &waves, e);
    int last = (int)waves.n - 1;
    waves_clear(&waves);
    if (rc == 0 && pace.wave >= last)
        rc = err_set(e, ERR_CONFLICT, "campaign %lld is in its last wave", (long long)c->id);
    return rc < 0 ? rc : wave_begin(w, c->id, pace.wave + 1, now_ms, e);
}

/* A draft may be older than the keys that its product holds now. */
static int check_signers(struct db *w, int64_t id, struct err *e)
{
    int64_t ids[CAMPAIGN_FIRMWARE_MAX];
    struct firmware f;
    size_t n = 0;
    int rc = campaign_firmware_ids(w, id, ids, &n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = firmware_get(w, ids[i], &f, e);
        if (rc == 0)
            rc = firmware_check_signer(w, &f, e);
    }
    return rc;
}

int campaign_act(struct rollout *r, struct db *w, int64_t id, enum campaign_action action, const char *who,
                 int64_t now_ms, struct err *e)
{
    static const struct {
        enum campaign_state to;
        bool forced;
        const char *verb;
        unsigned from;
    } acts[] = {
        [CAMPAIGN_START] = {CAMPAIGN_SCHEDULED, false, "started", BIT(CAMPAIGN_DRAFT)},
        [CAMPAIGN_PAUSE] = {CAMPAIGN_PAUSED, false, "paused", BIT(CAMPAIGN_RUNNING)},
        [CAMPAIGN_RESUME] = {CAMPAIGN_RUNNING, false, "resumed", BIT(CAMPAIGN_PAUSED)},
        [CAMPAIGN_ADVANCE] = {CAMPAIGN_RUNNING, false, "advanced",
                              BIT(CAMPAIGN_RUNNING) | BIT(CAMPAIGN_PAUSED)},
        [CAMPAIGN_CANCEL] = {CAMPAIGN_CANCELLED, false, "cancelled", ~0u},
        [CAMPAIGN_CANCEL_FORCE] = {CAMPAIGN_CANCELLED, true, "cancelled", ~0u},
    };
    struct campaign c;
    char reason[64];
    int rc = campaign_get(w, id, &c, e);
    if (rc < 0)
        return rc;
    bool nothing_new = c.state == CAMPAIGN_CANCELLED && (c.forced || !acts[action].forced);
    if (!(acts[action].from & BIT(c.state)) || nothing_new)
        return err_set(e, ERR_CONFLICT, "campaign %lld is %s and cannot be %s", (long long)id,
                       campaign_state_word(c.state), acts[action].verb);
    if (acts[action].to == CAMPAIGN_RUNNING && (rc = damage_check_campaign(w, id, e)) < 0)
        return rc;
    if (action == CAMPAIGN_ADVANCE && (rc = advance(w, &c, now_ms, e)) < 0)
        return rc;
    if (action == CAMPAIGN_START && (rc = check_signers(w, id, e)) < 0)
        return rc;
    snprintf(reason, sizeof reason, "%s by %.40s", acts[action].verb, who);
    bool ends = acts[action].to == CAMPAIGN_PAUSED || acts[action].to == CAMPAIGN_CANCELLED;
    struct campaign_change change = {
        .cause = ends ? "operator" : "", .reason = reason, .forced = acts[action].forced};
    if (c.state != acts[action].to || action == CAMPAIGN_CANCEL_FORCE)
        rc = campaign_move(w, &c, acts[action].to, &change, now_ms, e);
    if (rc == 0 && acts[action].to == CAMPAIGN_RUNNING)
        scan_campaign(r, id);
    return rc;
}
