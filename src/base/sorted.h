#pragma once
#include <glib.h>

/**
 * q_sorted_keys:
 * @table: keys are strings
 *
 * Cores iterate hash tables only through this: the order of a hash table differs from run to run,
 * and a decision must not.
 *
 * Returns: (transfer container): the keys, borrowed from @table, in byte order
 */
GPtrArray *q_sorted_keys(GHashTable *table);

/** q_strcmp_ptr: compares two `const char **`, for g_ptr_array_sort() and qsort(). */
int q_strcmp_ptr(gconstpointer a, gconstpointer b);
