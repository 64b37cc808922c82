#pragma once
#include <glib.h>
#include <stdbool.h>

/**
 * storage_within:
 * @work: run in a thread of its own with @data
 * @release: frees @data, if @work comes back only after the deadline
 *
 * For system calls that a dead server can hold for ever. After the deadline the thread is left
 * alone: it owns @data from then on.
 *
 * Returns: true if @work was done within @wait_ms; @data is the caller's again
 */
bool storage_within(int wait_ms, void (*work)(gpointer data), gpointer data,
                    GDestroyNotify release);
