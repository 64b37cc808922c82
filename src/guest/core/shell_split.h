#pragma once
#include "base/error.h"

/** guest_shell_split: words as a shell splits them: quotes ' and ", backslash; nothing is expanded
 * and
 *  '#' begins no comment. Errors: Q_ERROR_INVALID (a quote that does not end).
 *  Returns: (transfer full) (element-type utf8) */
GPtrArray *guest_shell_split(const char *text, GError **error);
