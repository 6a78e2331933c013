/* threshold.h: what stops a campaign by itself: its stop rules, and waves that cannot succeed (invariant 7 of
 * execution.h). Looked at where an execution ends, in the transaction of that end, from the counts by wave
 * and state. On the writer's thread. */
#ifndef OTAD_ROLLOUT_THRESHOLD_H
#define OTAD_ROLLOUT_THRESHOLD_H

#include "rollout/campaign.h"

/* An execution of the wave has come to this final state, and is counted. The campaign, which stands at
 * *campaign_state, is paused or cancelled where its policy says so, and *campaign_state with it. */
int threshold_check(struct db *w, int64_t campaign_id, int wave, enum execution_state state,
                    const struct policy *policy, enum campaign_state *campaign_state, int64_t now_ms,
                    struct err *e);
/* The same for executions that were withdrawn together, which may have left the wave too few. */
int threshold_withdrawn(struct db *w, int64_t campaign_id, int wave, enum execution_state to, int64_t now_ms,
                        struct err *e);

/* Stops the campaign where nobody is left in the wave who could meet its success. */
int wave_ended(struct db *w, int64_t campaign_id, int wave, int64_t success_pct, int64_t now_ms,
               struct err *e);
/* Whether a wave's success is met. */
int wave_success(struct db *db, int64_t campaign_id, int wave, int64_t success_pct, bool *met, struct err *e);

#endif
