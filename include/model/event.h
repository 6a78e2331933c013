/* event.h: what a device said and what otad answers, as plain values, the same for every protocol. A protocol
 * turns bytes into a device_event and an outgoing into bytes; the rollout turns one into the other.
 *
 * Values are copied. What few of them have hangs on a pointer that the value owns: copying such a value hands
 * it over, and device_event_clear and outgoing_clear free it. */
#ifndef OTAD_MODEL_EVENT_H
#define OTAD_MODEL_EVENT_H

#include "base/digest.h"
#include "base/sign.h"
#include "base/str.h"
#include "model/words.h"

#include <stdbool.h>
#include <stdint.h>

#define DETAIL_SIZE 257
#define URL_SIZE    600 /* the longest that rollout/offer makes fits */
#define TOKEN_SIZE  65

enum event_kind {
    EVENT_LOGIN,    /* the broker's plugin: a session began or ended; sessions says how many there are now */
    EVENT_READY,    /* the device has subscribed: it can hear an offer */
    EVENT_INFORM,   /* it reports the version of a module */
    EVENT_PROGRESS, /* it downloads (percent), or is in a later state */
    EVENT_ERROR,    /* this attempt failed: reason, detail */
    EVENT_REQUEST,  /* is anything due? Answered in any case */
    EVENT_JOB,      /* it asks for its job, or updates it: job. Answered in any case */
    EVENT_FILE,     /* it wants a file in blocks: file. mqtt/files answers; the rollout never sees it */
    EVENT_HEARD,    /* understood, and of no consequence but that the device is there */
    EVENT_ECHO, /* no device said it: a broker brought back what otad published. Nobody but mqtt/inbox sees it
                 */
};

/* How an answer finds its way back: a protocol writes it and reads it again, to all others it is opaque. */
struct reply_to {
    int form;               /* which of the protocol's answers; 0: none is wanted */
    char name[TOKEN_SIZE];  /* a level of the topic that the answer's repeats: a job, a stream, a format */
    char token[TOKEN_SIZE]; /* what the device wants to hear again: an id, a client token */
};

/* Jobs as AWS IoT has them: an execution with a version counter and details of the device's own. */
enum job_op { JOB_LIST, JOB_DESCRIBE, JOB_START_NEXT, JOB_UPDATE };

struct job_request {
    enum job_op op;
    int64_t number;           /* of the attempt that it speaks of; 0: the one that is */
    int64_t expected_version; /* 0: whatever it is */
    int64_t step_timeout_ms;  /* 0 not given; -1: none from now on */
    bool with_state, with_document;
    char *details; /* owned: JSON object of texts; NULL: not given, what is stored stays */
};

enum file_op { FILE_BLOCKS, FILE_DESCRIBE };

struct file_request {
    enum file_op op;
    bool by_execution; /* stream is an execution, file counts all its files from 0; else stream is a firmware,
                          file one of its files from 1 */
    int64_t stream, file;
    uint64_t offset;        /* bytes, of block 0 */
    uint32_t block_bytes;   /* the last block of a file is shorter */
    uint32_t count;         /* blocks from offset on; with a bitmap: at most so many */
    size_t bitmap_len;      /* 0: no bitmap */
    unsigned char bitmap[]; /* least bit of byte 0 is block 0 */
};

struct device_event {
    enum event_kind kind;
    bool over_session;          /* it came by the broker, so a session of the device is there */
    char product[PRODUCT_SIZE]; /* "": a thing of AWS, whose name alone says who it is */
    char device[DEVICE_SIZE];
    char module[MODULE_SIZE];   /* INFORM; "default" when the device names none */
    char version[VERSION_SIZE]; /* INFORM */
    bool more_follows;          /* INFORM: of another module at once; nothing is offered before that */
    bool full_only;             /* its client takes whole files, whatever its product's protocol can say */
    int64_t execution_id;       /* PROGRESS, ERROR: the offer's id it echoes; 0 when it echoes none.
                                   JOB: the job; 0 the next one, -1 one that cannot be */
    enum execution_state state; /* PROGRESS: DOWNLOADING .. INSTALLING, or SUCCEEDED: its own word.
                                   JOB update: these, FAILED or REJECTED */
    int percent;                /* PROGRESS, JOB: 0..100, -1 when it says none */
    enum reason reason;         /* ERROR, JOB */
    char detail[DETAIL_SIZE];   /* the device's own words */
    unsigned sessions;          /* LOGIN */
    struct reply_to reply;      /* REQUEST, JOB, FILE */
    struct job_request *job;    /* owned; JOB */
    struct file_request *file;  /* owned; FILE */
};

enum transfer { TRANSFER_AUTO, TRANSFER_HTTPS, TRANSFER_MQTT };

struct offer_file {
    int64_t firmware_id;
    int number; /* of the firmware's files, from 1 */
    int index;  /* of all files of the execution, from 0 */
    char module[MODULE_SIZE];
    char version[VERSION_SIZE];
    char filename[FILENAME_SIZE];
    uint64_t size;
    struct digests digests;
    char signature[SIGNATURE_TEXT_SIZE];
    char url[URL_SIZE];
    char delta_from[VERSION_SIZE]; /* "" for a full file */
};

/* What an offer has beside its first file. Texts are owned; NULL is none. */
struct offer_more {
    char *ext_data;                     /* the campaign's: JSON object of texts */
    char *job_document;                 /* the product's: JSON object laid over what the protocol makes */
    char *job_details;                  /* the device's own: JSON object of texts */
    char product_name[129], group[129]; /* display name; the device's tag "group" */
    size_t n;
    struct offer_file file[]; /* every file that is left to do, in order; offer.file is the first */
};

struct offer {
    int64_t id; /* the execution */
    int64_t campaign_id;
    int64_t expires_at_ms;
    enum transfer transfer;
    bool sha256_sign, digest_sign; /* Aliyun: sign is the SHA-256; with our signature beside it */
    struct offer_file file;        /* what is to be done next: the firmware's first file */
    struct offer_more *more;       /* owned; NULL in an outgoing without an offer */
};

/* The job that a device has; id 0: it has none. */
struct device_job {
    int64_t id;
    enum execution_state state;
    int64_t queued_at_ms, started_at_ms, updated_at_ms;
    int64_t number, version; /* from 1 */
};

enum job_verdict { JOB_ACCEPTED, JOB_UNKNOWN, JOB_TERMINAL, JOB_BAD_STATE, JOB_OTHER_VERSION };

enum outgoing_kind {
    OUTGOING_OFFER,
    OUTGOING_NOTHING, /* nothing is due (any more) */
    OUTGOING_JOB,     /* the answer to an EVENT_JOB: verdict, job, and where it was asked for the offer */
};

struct outgoing {
    enum outgoing_kind kind;
    char protocol[16];
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
    int64_t now_ms;
    struct reply_to reply;    /* form 0: nobody asked */
    struct offer offer;       /* OFFER, and JOB: id 0 without a document; more->job_details */
    struct device_job job;    /* where the product keeps jobs */
    enum job_verdict verdict; /* JOB */
    bool with_state;          /* JOB: the answer shows the job */
};

void device_event_clear(struct device_event *ev);
void outgoing_clear(struct outgoing *out);

#endif
