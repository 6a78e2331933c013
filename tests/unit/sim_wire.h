/* sim_wire.h: what the tests of otad-sim's protocols share: saying and hearing in one line each. */
#ifndef OTAD_TESTS_SIM_WIRE_H
#define OTAD_TESTS_SIM_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SIM_MD5 "0123456789abcdef0123456789abcdef"

struct said {
    struct wire_report report;
    const char *topic, *body;
    int qos;
};

static inline void check_said(const struct wire *wire, const struct wire_identity *who,
                              const struct said rows[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct wire_message message;
        struct err e;
        assert_int_equal(wire->say(who, &rows[i].report, &message, &e), 0);
        assert_string_equal(message.topic, rows[i].topic);
        assert_string_equal(message.body, rows[i].body);
        assert_int_equal(message.len, strlen(message.body));
        assert_int_equal(message.qos, rows[i].qos);
        free(message.body);
    }
}

static inline int hear(const struct wire *wire, const struct wire_identity *who, const char *topic,
                       const void *body, size_t len, struct wire_heard *out)
{
    static unsigned char scratch[WIRE_BLOCK_MAX];
    struct wire_heard_from from = {topic, body, len, scratch};
    struct err e;
    return wire->hear(who, &from, out, &e);
}

static inline int hear_text(const struct wire *wire, const struct wire_identity *who, const char *topic,
                            const char *body, struct wire_heard *out)
{
    return hear(wire, who, topic, body, strlen(body), out);
}

struct spoiled {
    const char *good, *bad;
};

/* Each row spoils one piece of the message, which is then refused and leaves *out as it was. */
static inline void check_spoiled(const struct wire *wire, const struct wire_identity *who, const char *topic,
                                 const char *message, const struct spoiled rows[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char body[4096];
        struct wire_heard heard = {.kind = WIRE_TAKEN};
        const char *at = strstr(message, rows[i].good);
        assert_non_null(at);
        snprintf(body, sizeof body, "%.*s%s%s", (int)(at - message), message, rows[i].bad,
                 at + strlen(rows[i].good));
        if (hear_text(wire, who, topic, body, &heard) == 0)
            fail_msg("taken: %s", body);
        assert_int_equal(heard.kind, WIRE_TAKEN);
    }
}

#endif
