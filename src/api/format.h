#pragma once
#include "base/error.h"

/*
 * Named formats of strings. A format "X-list" is checked for each element. Some stand here only to
 * be named: what they allow is checked where it is parsed.
 */
bool api_format_is_known(const char *format);

/** api_format_check: @why (out) (transfer full): the reason if false */
bool api_format_check(const char *format, const char *value, char **why);
