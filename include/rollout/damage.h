/* damage.h: files whose bytes are not what their name says any more (image/blob finds them, and takes them
 * out of their place). While a file is listed here nobody gets it, no campaign that brings it runs or is
 * made. It ends when the same bytes are uploaded again, or the last firmware that names them is deleted; what
 * was paused is resumed by an operator. */
#ifndef OTAD_ROLLOUT_DAMAGE_H
#define OTAD_ROLLOUT_DAMAGE_H

#include "base/digest.h"
#include "store/db.h"

/* ---- on the writer */

/* Lists the file, and pauses the campaigns that bring it; *paused counts them. found: one sentence. Nothing
 * is done for bytes that no firmware names. */
int damage_record(struct db *w, const char *sha256, const char *found, int64_t now_ms, size_t *paused,
                  struct err *e);
/* The bytes are in their place, or nobody names them; where they are not listed nothing is done. */
int damage_forget(struct db *w, const char *sha256, struct err *e);

/* ---- over any connection */

/* ERR_CONFLICT, with what was found, while the file is listed. */
int damage_check_file(struct db *db, const char *sha256, struct err *e);
/* ERR_CONFLICT while a file of the firmware is; of what the campaign brings, or its devices are at. */
int damage_check_firmware(struct db *db, int64_t firmware_id, struct err *e);
int damage_check_campaign(struct db *db, int64_t campaign_id, struct err *e);

/* The file to be checked after this one, in the order of digests: 1, 0 none. */
int damage_next_file(struct db *db, const char *after, char sha256[SHA256_TEXT_SIZE], uint64_t *size,
                     struct err *e);

/* Says on the board what is listed. */
int damage_tell(struct db *db, struct err *e);

#endif
