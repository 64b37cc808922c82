#pragma once
#include "sim/story.h"

/*
 * The simulated cluster that the reference stories speak of: rounds of 20 s, locks of 120 s,
 * watchdogs of 60 s, guests that start at once (ha.md 2, 3). Its managers are those of ha/core.
 */
typedef void (*ClassicEvent)(int64_t t, const char *by, const HaEvent *event, gpointer data);

/** classic_run: Errors: Q_ERROR_INVALID: a command that cannot be; it names it */
bool classic_run(const Story *story, ClassicEvent tell, gpointer data, GError **error);
