/* Included before every file that clang-tidy and cppcheck look at, and by nothing else: tells them what they
 * cannot see across files. A function that sets an error never answers 0, so what is written only on success
 * is written when 0 came back. */
#ifndef OTAD_LINT_ANALYSIS_H
#define OTAD_LINT_ANALYSIS_H

#include "base/err.h"

#define err_set(e, code, ...)          ((void)err_set(e, code, __VA_ARGS__), -(int)(code))
#define err_field(e, code, field, ...) ((void)err_field(e, code, field, __VA_ARGS__), -(int)(code))
#define err_errno(e, ...)              ((void)err_errno(e, __VA_ARGS__), -1)
#define err_wrap(e, ...)               ((void)err_wrap(e, __VA_ARGS__), -1)

#endif
