/* Which campaigns have yet to be walked for devices that are there: anyone notes one, rollout/scan.c walks.
 */
#include "rollout/rollout.h"

void scan_campaign(struct rollout *r, int64_t campaign_id)
{
    size_t i = 0;
    while (i < r->scans.n && r->scans.at[i].campaign_id != campaign_id)
        i++;
    if (i == SCANS_MAX)
        return; /* that only delays: a device gets its offer when it comes back or asks */
    if (i == r->scans.n) {
        r->scans.n++;
        r->scans.at[i] = (struct scan){.campaign_id = campaign_id};
    }
    r->scans.at[i].left = UINT64_MAX; /* all of them, from where it stands */
}
