# embed.awk: turns sql/*.sql into sql_table.h: one enum member and one string for each named statement
# ("-- name: device_get" up to the next name), and the migrations (files that start with a number) in order.
# Lines that are only a comment do not reach the binary.
function base(path) { sub(/.*\//, "", path); sub(/\.sql$/, "", path); return path }
function quote(line) { gsub(/\\/, "\\\\", line); gsub(/"/, "\\\"", line); return "    \"" line "\\n\"\n" }
FNR == 1 {
    migration = base(FILENAME) ~ /^[0-9]/
    if (migration) { number[++m] = base(FILENAME) + 0; body[m] = "" }
    current = 0
}
/^-- name: / {
    if (migration) { print FILENAME ": a migration has no named statements" > "/dev/stderr"; exit 1 }
    name = $3
    if (name in seen) { print FILENAME ": " name " is named twice" > "/dev/stderr"; exit 1 }
    seen[name] = 1; names[++n] = name; text[n] = ""; current = n
    next
}
/^[ \t]*--/ || /^[ \t]*$/ { next }
migration { body[m] = body[m] quote($0); next }
current { text[current] = text[current] quote($0); next }
{ print FILENAME ": SQL before the first name: " $0 > "/dev/stderr"; exit 1 }
END {
    print "/* Generated from sql/ by sql/embed.awk. */"
    print "#ifndef OTAD_SQL_TABLE_H\n#define OTAD_SQL_TABLE_H\n"
    print "enum query {"
    for (i = 1; i <= n; i++) print "    Q_" toupper(names[i]) ","
    print "    QUERIES\n};\n"
    print "#ifdef SQL_TABLE_STRINGS"
    print "static const struct {\n    const char *name;\n    const char *sql;\n} query_table[QUERIES + 1] = {"
    for (i = 1; i <= n; i++) printf "    [Q_%s] = {\"%s\",\n%s    },\n", toupper(names[i]), names[i], text[i]
    print "};\n"
    print "static const struct {\n    int number;\n    const char *sql;\n} migration_table[] = {"
    for (i = 1; i <= m; i++) printf "    {%d,\n%s    },\n", number[i], body[i]
    print "};\n#endif\n\n#endif"
}
