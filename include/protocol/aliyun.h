/* aliyun.h: the OTA of Aliyun's IoT Platform as its devices speak it: Link SDK for C 3 and 4,
 * iotkit-embedded, and firmware that reads the platform's messages by sscanf. What devices say is read
 * liberally; what they are told has the shape that the platform sends, down to the order of members and the
 * kind of each number, which is not everywhere the shape that its documents show.
 *
 *   /ota/device/inform/{pk}/{dn}                  a module's version; the only proof of success
 *   /ota/device/progress/{pk}/{dn}                0..100, or -1..-4 for a failure
 *   /ota/device/upgrade/{pk}/{dn}                 the offer: a push
 *   /ota/device/request/{pk}/{dn}                 asked and answered on one topic, by old devices
 *   /sys/{pk}/{dn}/thing/ota/firmware/get         asked, answered on .../get_reply
 *   /sys/{pk}/{dn}/thing/file/download            a block of a file, answered on .../download_reply
 *
 * A stream is a firmware: streamId is its id, streamFileId counts its files from 1. */
#ifndef OTAD_PROTOCOL_ALIYUN_H
#define OTAD_PROTOCOL_ALIYUN_H

#include "protocol/protocol.h"

/* Bytes of the largest file that devices can have in blocks. */
#define ALIYUN_BLOCKS_FILE_MAX (16 * 1024 * 1024)
/* Bytes of the longest URL: Link SDK 4.1 counts it in 8 bits. */
#define ALIYUN_URL_MAX 254

extern const struct protocol aliyun_protocol;

/* Whether text is the name of a member of a push: Link SDK takes the first place where it stands in quotes
 * for the member, so no text of ours in a push may be one. */
bool aliyun_is_member(const char *text);

/* Whether every client can fetch from the URL: Link SDK asks its resolver for host and port in one, so there
 * is no port in it; and it is short enough. */
bool aliyun_url_suits(const char *url);

#endif
