#pragma once
#include "ha/core/rules.h"

/* Groups of overlapping positive rules, as ha.md 9.3 has them: (element-type GPtrArray of HaRule),
 * borrowed rules, by lowest resource and id. */
GPtrArray *ha_rules_positive_groups(GPtrArray *rules);
