#pragma once
#include "ha/core/event.h"

/*
 * Where events go: the log, as a line for people, and the file of decisions, as JSON. Written by a
 * thread of its own: a manager must not wait for a disk.
 */
typedef struct HaJournal HaJournal;

/**
 * ha_journal_new:
 * @by: "node1/crm"
 * @decisions: (nullable): path; grows to 32 MiB, then becomes "PATH.1" and is begun anew
 */
HaJournal *ha_journal_new(const char *by, const char *decisions);
void ha_journal_free(HaJournal *journal); /* writes what is left */

void ha_journal_event(HaJournal *journal, const HaEvent *event);

/** ha_journal_line: a remark for the log alone. */
void ha_journal_line(HaJournal *journal, HaLevel level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
