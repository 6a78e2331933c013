/* import.h: the rows of POST /devices:import out of text: CSV (RFC 4180) with a head line of product, name,
 * secret and tag.KEY columns in any order, or one JSON object a line. Pure; reads in place and changes the
 * text. */
#ifndef OTAD_HTTP_IMPORT_H
#define OTAD_HTTP_IMPORT_H

#include "base/seal.h"
#include "base/str.h"
#include "store/device.h"

#define IMPORT_ROWS_MAX    100000
#define IMPORT_COLUMNS_MAX (3 + TAGS_MAX)

enum import_kind { IMPORT_CSV, IMPORT_NDJSON };

struct import_reader {
    enum import_kind kind;
    char *at, *end;
    size_t line; /* of at, from 1 */
    size_t rows;
    size_t columns;
    char *column[IMPORT_COLUMNS_MAX]; /* CSV: the head line */
};

struct import_row {
    size_t line; /* where it begins */
    char product[PRODUCT_SIZE];
    char name[DEVICE_SIZE];
    char secret[SECRET_SIZE]; /* "" none given */
    bool has_tags;            /* false: its tags stay as they are */
    struct device_tag tags[TAGS_MAX];
    size_t tag_count;
};

/* By the content type when it tells, else by the first byte. */
enum import_kind import_kind_of(const char *content_type, const char *text);

/* text has len bytes and a zero behind them, and outlives the reader. CSV: takes the head line. */
int import_open(struct import_reader *in, enum import_kind kind, char *text, size_t len, struct err *e);

/* 1 a row, 0 no more, <0 an error whose sentence begins with the line's number. */
int import_next(struct import_reader *in, struct import_row *out, struct err *e);

#endif
