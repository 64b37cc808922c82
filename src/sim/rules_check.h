#pragma once
#include "base/error.h"

/** rules_check: a rule check file (input, and the rules dropped, left and compiled that must come
 * of it). Returns: (transfer full): the first difference; NULL: none; @name (out) (transfer full)
 */
char *rules_check(const char *path, char **name);

/** fence_check: the same for a file of fence devices: command lines by try and node, or problems */
char *fence_check(const char *path, char **name);
