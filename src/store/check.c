#include "base/str.h"
#include "db_private.h"

#include <string.h>

static int damaged(const char *path, const char *said, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "%.120s is damaged: %s", path, said);
}

/* The first row of a quick_check: "ok", or what it found first, in lines of which the first is a title. */
static int quick_check(struct stmt *s, const char *path, struct err *e)
{
    char said[240] = "";
    int rc = stmt_step(s, e);
    if (rc < 0)
        return err_wrap(e, "%.120s", path);
    if (rc > 0)
        col_text(s, 0, said, sizeof said);
    if (strcmp(said, "ok") == 0)
        return 0;
    char *found = strchr(said, '\n');
    found = found ? found + 1 : said;
    found[strcspn(found, "\n")] = '\0';
    return damaged(path, found, e);
}

/* Foreign keys are held statement by statement: only a migration, which may rebuild a table, or damage can
 * leave a row without its parent. */
static int references(struct stmt *s, struct err *e)
{
    char table[64];
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    col_text(s, 0, table, sizeof table);
    return err_set(e, ERR_DAMAGED, "a row of %s refers to nothing", table);
}

int check_references(struct db *db, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_STORE_FOREIGN_KEY_CHECK);
    return references(s, e);
}

int check_file(struct db *db, const char *path, struct err *e)
{
    struct err why;
    STMT_AUTO struct stmt *s = db_stmt(db, Q_STORE_QUICK_CHECK);
    int rc = quick_check(s, path, e);
    if (rc == 0 && (rc = check_references(db, &why)) < 0)
        rc = why.code == ERR_DAMAGED ? damaged(path, why.text, e) : err_set(e, why.code, "%s", why.text);
    return rc;
}

/* *name becomes the table after it; "" when there is none. */
static int next_table(struct db *db, char name[64], struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_STORE_NEXT_TABLE);
    bind_text(s, ":after", name);
    int rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    if (rc > 0)
        col_text(s, 0, name, 64);
    else
        *name = '\0';
    return 0;
}

static int check_table(struct db *db, const char *path, const char *table, struct err *e)
{
    STMT_AUTO struct stmt *pages = db_stmt(db, Q_STORE_QUICK_CHECK_TABLE);
    STMT_AUTO struct stmt *rows = db_stmt(db, Q_STORE_FOREIGN_KEY_CHECK_TABLE);
    bind_text(pages, ":table", table);
    int rc = quick_check(pages, path, e);
    stmt_end(pages); /* its snapshot with it */
    bind_text(rows, ":table", table);
    if (rc == 0 && (rc = references(rows, e)) == -ERR_DAMAGED) {
        struct err why = *e;
        rc = damaged(path, why.text, e);
    }
    return rc;
}

int check_tables(struct db *db, const char *path, struct err *e)
{
    char table[64] = "";
    int rc;
    while ((rc = next_table(db, table, e)) == 0 && *table)
        if ((rc = check_table(db, path, table, e)) < 0)
            return rc;
    return rc;
}
