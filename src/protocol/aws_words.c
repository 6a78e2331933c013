/* Error codes and topics. */
#include "aws_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define X(id, word, sentence) [id] = {word, sentence},
static const struct {
    const char *word, *sentence;
} faults[] = {AWS_FAULT_TABLE(X)};
#undef X

const char *aws_fault_word(enum aws_fault fault)
{
    return faults[fault].word;
}

const char *aws_fault_sentence(enum aws_fault fault)
{
    return faults[fault].sentence;
}

int aws_topic(struct message *m, struct err *e, const char *thing, const char *format, ...)
{
    snprintf(m->topic, sizeof m->topic, AWS_PREFIX "%s/", thing); /* a thing's name leaves room */
    size_t head = strlen(m->topic), room = sizeof m->topic - head;
    va_list args;
    va_start(args, format);
    int tail = vsnprintf(m->topic + head, room, format, args);
    va_end(args);
    if (tail < 0 || (size_t)tail >= room)
        return err_set(e, ERR_INTERNAL, "a topic of %s is too long", thing);
    return 0;
}
