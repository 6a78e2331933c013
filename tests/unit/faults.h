/* faults.h: a store that fails where a test wants it to: the nth step of a statement on this thread, from
 * faults_arm on, meets an I/O error. Programs that include it are linked with --wrap=sqlite3_step, so that
 * all of otad's calls come by here and its own code has no hook for it. */
#ifndef OTAD_TESTS_UNIT_FAULTS_H
#define OTAD_TESTS_UNIT_FAULTS_H

#include <sqlite3.h>
#include <stdbool.h>

static _Thread_local long faults_left; /* 0: none is to come */
static _Thread_local bool faults_hit;

int __real_sqlite3_step(sqlite3_stmt *s);
int __wrap_sqlite3_step(sqlite3_stmt *s);

int __wrap_sqlite3_step(sqlite3_stmt *s)
{
    if (faults_left == 0 || --faults_left > 0)
        return __real_sqlite3_step(s);
    faults_hit = true;
    return SQLITE_IOERR;
}

/* nth from 1; 0 lets all pass. */
static inline void faults_arm(long nth)
{
    faults_left = nth;
    faults_hit = false;
}

/* Whether the fault has come; none comes after. */
static inline bool faults_disarm(void)
{
    faults_left = 0;
    return faults_hit;
}

#endif
