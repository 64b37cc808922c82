#pragma once
#include "base/error.h"

/*
 * This node's settings: the key file /etc/quorate/quorate.conf. Every key has a default; a missing
 * file is an empty one. A file that does not parse is said once in the log and counts as empty.
 */
char *q_conf_string(const char *group, const char *key, const char *fallback); /* (transfer full) */
int64_t q_conf_int(const char *group, const char *key, int64_t fallback);
bool q_conf_bool(const char *group, const char *key, bool fallback);
