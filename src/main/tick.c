#include "main/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/board.h"

#define TICK_OFFERS 512

struct tick {
    struct rollout *rollout;
    int64_t now_ms;
    size_t cap, n;
    bool again;
    struct rollout_marks before; /* the writer's */
    bool undone;                 /* the last one was */
    struct outgoing out[TICK_OFFERS];
};

static int run_tick(struct db *w, void *arg, struct err *e)
{
    struct tick *t = arg;
    int rc = t->undone ? rollout_untick(t->rollout, w, &t->before, e) : 0;
    if (rc)
        return rc;
    t->undone = false;
    t->before = rollout_marks(t->rollout);
    return rollout_tick(t->rollout, w, t->now_ms, t->out, t->cap, &t->n, &t->again, e);
}

/* Offers leave after the commit; where it failed, none does. */
bool rollout_turn(struct otad *o)
{
    static struct tick turn = {0}; /* its offers are too large for a stack */
    struct tick *t = &turn;
    struct err e;
    size_t room = mqtt_room(o->mqtt);
    bool failed = t->undone;
    t->rollout = &o->rollout;
    t->now_ms = clock_wall_ms();
    t->cap = room < TICK_OFFERS ? room : TICK_OFFERS;
    t->n = 0;
    t->again = false;
    if (store_write(o->store, run_tick, t, &e) < 0) {
        t->undone = true;
        board_set(BOARD_STORE, false, "the rollout's tick failed: %.100s", e.text);
        if (!failed) /* what fails tends to fail every second */
            log_error("the rollout's tick failed: %s", e.text);
        for (size_t i = 0; i < t->n; i++)
            outgoing_clear(&t->out[i]);
        return false;
    }
    if (failed)
        board_set(BOARD_STORE, true, "ok");
    mqtt_send(o->mqtt, t->out, t->n);
    if (!t->again)
        o->rollout.done_to_ms = t->now_ms;
    return t->again && room > 0;
}
