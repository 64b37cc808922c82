#pragma once
#include "cfs/core/tree.h"
#include "cfs/core/update.h"

/*
 * What was written to a file and not flushed yet, as a value: the content as its writers see it,
 * and which parts of it are new. A flush turns the new parts into one patch, so that two nodes that
 * write different parts of a file lose nothing.
 */
typedef struct WriteBuffer WriteBuffer;

/** write_buffer_new: @base: (nullable): content to begin with */
WriteBuffer *write_buffer_new(GBytes *base);
void write_buffer_free(WriteBuffer *buffer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WriteBuffer, write_buffer_free)

/* Offsets and lengths must stay within TREE_FILE_MAX: the caller checks. */
void write_buffer_write(WriteBuffer *buffer, size_t offset, const void *data, size_t length);
void write_buffer_truncate(WriteBuffer *buffer, size_t length);

size_t write_buffer_length(const WriteBuffer *buffer);
const void *write_buffer_data(const WriteBuffer *buffer);
bool write_buffer_dirty(const WriteBuffer *buffer);
bool write_buffer_equals(const WriteBuffer *buffer, GBytes *content);

/** write_buffer_flush: adds the patch of @path to @update; afterwards nothing is new. */
void write_buffer_flush(WriteBuffer *buffer, const char *path, Update *update);
