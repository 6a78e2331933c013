#include "progress.h"

#include "base/json.h"
#include "base/str.h"
#include "device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERMINAL_MS 200
#define LOG_MS      5000
#define BAR         24

static int64_t in_work(struct tally *t, enum work work)
{
    return atomic_load_explicit(&t->in_work[work], memory_order_relaxed);
}

void progress_begin(struct progress *p, bool quiet)
{
    *p = (struct progress){.quiet = quiet, .terminal = isatty(STDERR_FILENO)};
}

/* States that nobody is in are left out: the line must fit beside the bar. */
static void format_states(struct tally *t, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (enum work w = 0; w < WORKS && used < size; w++) {
        int64_t n = in_work(t, w);
        int more = n > 0 ? snprintf(out + used, size - used, "  %s %" PRId64, work_word(w), n) : 0;
        used += more > 0 ? (size_t)more : 0;
    }
}

void progress_draw(struct progress *p, struct tally *t, int64_t now_ms)
{
    char bar[BAR + 1], states[200];
    if (p->quiet || now_ms < p->next_ms)
        return;
    p->next_ms = now_ms + (p->terminal ? TERMINAL_MS : LOG_MS);
    uint64_t devices = tally_get(t, TALLY_DEVICES);
    uint64_t done = (uint64_t)in_work(t, WORK_DONE);
    size_t full = devices ? (size_t)(done * BAR / devices) : 0;
    memset(bar, '.', BAR);
    memset(bar, '#', full);
    bar[BAR] = '\0';
    format_states(t, states, sizeof states);
    fprintf(stderr, "%s[%s] %" PRIu64 "/%" PRIu64 "  online %" PRId64 "%s%s", p->terminal ? "\r\033[K" : "",
            bar, done, devices, atomic_load_explicit(&t->online, memory_order_relaxed), states,
            p->terminal ? "" : "\n");
}

void progress_end(struct progress *p)
{
    if (!p->quiet && p->terminal)
        fputc('\n', stderr);
}

/* ---- the summary */

static const struct {
    const char *key, *words;
} TALLY_ROWS[] = {
#define TALLY_ROW(id, key, words) [id] = {key, words},
    TALLY_TABLE(TALLY_ROW)
#undef TALLY_ROW
};

static const int PERCENTILES[] = {50, 90, 99, 100};

/* The smallest span that so many percent of the devices did not exceed. */
static int64_t percentile(const struct summary *s, int pct)
{
    size_t rank = (s->spans * (size_t)pct + 99) / 100;
    return s->spans ? s->spans_ms[rank ? rank - 1 : 0] : 0;
}

static double mb_per_s(const struct summary *s)
{
    int64_t from_ms = atomic_load(&s->tally->first_byte_at_ms),
            to_ms = atomic_load(&s->tally->last_byte_at_ms);
    double span_s = (double)(to_ms - from_ms) / 1000;
    return span_s > 0 ? (double)tally_get(s->tally, TALLY_BYTES) / 1e6 / span_s : 0;
}

void summary_print(const struct summary *s)
{
    for (size_t i = 0; i < TALLY_KEYS; i++) {
        uint64_t n = tally_get(s->tally, (enum tally_key)i);
        if (n > 0 || i == TALLY_SUCCEEDED || i == TALLY_DIGEST_ERRORS)
            printf("%14" PRIu64 "  %s\n", n, TALLY_ROWS[i].words);
    }
    printf("%14.1f  seconds\n", (double)s->took_ms / 1000);
    printf("%14.1f  MB/s from the first byte to the last\n", mb_per_s(s));
    for (size_t i = 0; i < ARRAY_SIZE(PERCENTILES) && s->spans; i++)
        printf("%14.1f  seconds from offer to success for %d %% of the devices\n",
               (double)percentile(s, PERCENTILES[i]) / 1000, PERCENTILES[i]);
}

void summary_print_json(const struct summary *s)
{
    json_auto_t *object = json_object();
    json_t *spans = json_object();
    char key[8];
    for (size_t i = 0; i < TALLY_KEYS; i++)
        json_put_int(object, TALLY_ROWS[i].key, (int64_t)tally_get(s->tally, (enum tally_key)i));
    json_put(object, "seconds", json_real((double)s->took_ms / 1000));
    json_put(object, "mb_per_s", json_real(mb_per_s(s)));
    json_put_bool(object, "goal_reached", s->goal_reached);
    for (size_t i = 0; i < ARRAY_SIZE(PERCENTILES); i++) {
        snprintf(key, sizeof key, "p%d", PERCENTILES[i]);
        json_put_int(spans, key, percentile(s, PERCENTILES[i]));
    }
    json_put(object, "offer_to_done_ms", spans);
    char *text = json_text(object);
    puts(text);
    free(text);
}
