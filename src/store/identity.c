#include "db_private.h"

int identify(struct db *w, const char *path, int newest, int64_t *version, struct err *e)
{
    int64_t application = 0, tables = 0;
    int rc = db_number(w, Q_STORE_APPLICATION_ID, &application, e);

    if (rc == 0)
        rc = db_number(w, Q_STORE_VERSION, version, e);
    if (rc == 0)
        rc = db_number(w, Q_STORE_TABLES, &tables, e);
    if (rc < 0)
        return err_wrap(e, "%s", path);
    if (application == 0 && *version == 0 && tables == 0)
        return 0;
    if (application != STORE_APPLICATION_ID)
        return err_set(e, ERR_CONFLICT, "%s is a database, but not a store of otad", path);
    if (*version > newest)
        return err_set(e, ERR_CONFLICT,
                       "%s was written by a newer otad: its schema is %lld, this one knows schemas up to %d",
                       path, (long long)*version, newest);
    return 0;
}
