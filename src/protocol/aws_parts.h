/* aws_parts.h: what the files of AWS's protocol share. */
#ifndef OTAD_SRC_PROTOCOL_AWS_PARTS_H
#define OTAD_SRC_PROTOCOL_AWS_PARTS_H

#include "protocol/aws.h"

#define AWS_PREFIX        "$aws/things/"
#define AWS_STREAM_PREFIX "otad-" /* and the execution's id: the name of a stream */

/* Error codes of Jobs and of MQTT file streams: word, and what is said where there is nothing better. */
#define AWS_FAULT_TABLE(X)                                                                                  \
    X(AWS_INVALID_TOPIC, "InvalidTopic", "the topic maps to no request")                                    \
    X(AWS_INVALID_JSON, "InvalidJson", "the request is not valid JSON")                                     \
    X(AWS_INVALID_CBOR, "InvalidCbor", "the request is not valid CBOR")                                     \
    X(AWS_INVALID_REQUEST, "InvalidRequest", "the request is not valid")                                    \
    X(AWS_INVALID_STATE, "InvalidStateTransition", "the job execution is over and takes no updates")        \
    X(AWS_NOT_FOUND, "ResourceNotFound", "there is no such thing, job, stream or file for this device now") \
    X(AWS_VERSION, "VersionMismatch", "the version is another than the one expected")                       \
    X(AWS_TERMINAL, "TerminalStateReached", "the job execution is over")                                    \
    X(AWS_BLOCK_SIZE, "BlockSizeOutOfBounds", "a block has 256 to 131072 bytes")                            \
    X(AWS_OFFSET, "OffsetOutOfBounds", "the file has no such blocks")                                       \
    X(AWS_BLOCK_COUNT, "BlockCountLimitExceeded", "at most 98304 blocks may be asked for")                  \
    X(AWS_BITMAP, "BlockBitmapLimitExceeded", "the bitmap may have 12288 bytes")                            \
    X(AWS_INTERNAL, "InternalError", "the file cannot be read now")

#define X(id, word, sentence) id,
enum aws_fault { AWS_FAULT_TABLE(X) AWS_FAULTS };
#undef X

/* ---- aws_words.c */
const char *aws_fault_word(enum aws_fault fault);
const char *aws_fault_sentence(enum aws_fault fault);
/* "$aws/things/{thing}/{rest}"; fails when it does not fit. */
int aws_topic(struct message *m, struct err *e, const char *thing, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What a device asks. Job requests first; reply.form is one of these. */
enum aws_form {
    AWS_NONE,
    AWS_LIST,          /* jobs/get */
    AWS_START_NEXT,    /* jobs/start-next */
    AWS_DESCRIBE,      /* jobs/{job}/get */
    AWS_UPDATE,        /* jobs/{job}/update */
    AWS_DOCUMENT,      /* job/{job}/get */
    AWS_PLAIN_UPDATE,  /* job/{job}/update */
    AWS_DESCRIBE_JSON, /* streams/{stream}/describe/json, and so on */
    AWS_DESCRIBE_CBOR,
    AWS_GET_JSON,
    AWS_GET_CBOR,
    AWS_FORMS
};

/* A request on its way in; what reading it finds out stays here even where it fails, for the refusal. */
struct aws_request {
    enum aws_form form; /* NONE: the topic maps to none */
    bool echo;          /* it is no request but an answer of ours */
    char thing[DEVICE_SIZE];
    char name[TOKEN_SIZE];  /* job or stream; "" where the topic has none */
    char token[TOKEN_SIZE]; /* "" none */
    enum aws_fault fault;   /* when it was refused */
};

/* Notes the fault and fails with the sentence. */
#define aws_refuse(request, code, e, ...) ((request)->fault = (code), err_set(e, ERR_INVALID, __VA_ARGS__))

/* ---- aws_job.c: requests */
int aws_job_read(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e);
/* ---- aws_answer.c */
int aws_job_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n, struct err *e);
/* The body of a refusal; state may be NULL, else it is taken over. */
json_t *aws_job_rejection(const char *token, int64_t now_ms, enum aws_fault fault, const char *sentence,
                          json_t *state);

/* ---- aws_document.c: the document of the job that brings the offer; the caller owns it. */
json_t *aws_document(const struct offer *o);

/* ---- aws_stream.c */
bool aws_is_cbor(enum aws_form form); /* what it says and what it hears */
int aws_stream_read(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e);
int aws_stream_block(const struct device_event *ev, const struct file_block *b, struct message *out,
                     struct err *e);
int aws_stream_describe(const struct device_event *ev, const uint64_t sizes[], size_t n, struct message *out,
                        struct err *e);
int aws_stream_no_file(const struct device_event *ev, enum file_fault fault, struct message *out,
                       struct err *e);
int aws_stream_rejection(const struct aws_request *r, const char *sentence, struct message *out,
                         struct err *e);

#endif
