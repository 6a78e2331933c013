/* csv.h: lines of a CSV file (RFC 4180), for programs, and for the spreadsheets of people: a text in which
 * those would see a formula gets an apostrophe before it. Pure; no allocation. */
#ifndef OTAD_HTTP_CSV_H
#define OTAD_HTTP_CSV_H

#include <stddef.h>
#include <stdint.h>

/* Room for a cell with the comma before it: of the text of a char[size], and of anything else. */
#define CSV_TEXT_SIZE(size) (2 * (size) + 2)
#define CSV_PLAIN_SIZE      26
#define CSV_END_SIZE        2

struct csv { /* a line; size must be enough for it */
    char *at;
    size_t size, len;
    size_t cells;
};

void csv_text(struct csv *line, const char *text);
void csv_int(struct csv *line, int64_t value);
void csv_moment(struct csv *line, int64_t at_ms); /* RFC 3339; 0 is an empty cell */
void csv_end(struct csv *line);

#endif
