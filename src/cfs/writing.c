#include "cfs/writing.h"
#include <string.h>

typedef struct {
    size_t start, end;
} Range;

struct WriteBuffer {
    GByteArray *content;
    int64_t cut;    /* of the base at most so much is left, or zeros up to it; -1: all of it */
    GArray *ranges; /* Range: new parts, sorted, apart from each other */
};

WriteBuffer *
write_buffer_new(GBytes *base)
{
    WriteBuffer *buffer = g_new0(WriteBuffer, 1);

    buffer->content = g_byte_array_new();
    if (base != NULL) {
        gsize length;
        const void *data = g_bytes_get_data(base, &length);
        g_byte_array_append(buffer->content, data, length);
    }
    buffer->cut = -1;
    buffer->ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    return buffer;
}

void
write_buffer_free(WriteBuffer *buffer)
{
    if (buffer != NULL) {
        g_byte_array_unref(buffer->content);
        g_array_unref(buffer->ranges);
        g_free(buffer);
    }
}

static Range *
range_at(WriteBuffer *buffer, guint index)
{
    return &g_array_index(buffer->ranges, Range, index);
}

/* Joins [start, end) with what it touches. */
static void
add_range(WriteBuffer *buffer, size_t start, size_t end)
{
    guint first = 0;

    while (first < buffer->ranges->len && range_at(buffer, first)->end < start) {
        first++;
    }
    guint last = first;
    while (last < buffer->ranges->len && range_at(buffer, last)->start <= end) {
        start = MIN(start, range_at(buffer, last)->start);
        end = MAX(end, range_at(buffer, last)->end);
        last++;
    }
    if (last > first) {
        g_array_remove_range(buffer->ranges, first, last - first);
    }
    Range range = { start, end };
    g_array_insert_val(buffer->ranges, first, range);
}

static void
set_length(WriteBuffer *buffer, size_t length)
{
    size_t old = buffer->content->len;

    g_byte_array_set_size(buffer->content, length);
    if (length > old) {
        memset(buffer->content->data + old, 0, length - old);
    }
}

void
write_buffer_write(WriteBuffer *buffer, size_t offset, const void *data, size_t length)
{
    if (length == 0) {
        return;
    }
    if (offset + length > buffer->content->len) {
        set_length(buffer, offset + length);
    }
    memcpy(buffer->content->data + offset, data, length);
    add_range(buffer, offset, offset + length);
}

static void
cut_ranges(WriteBuffer *buffer, size_t length)
{
    for (guint i = buffer->ranges->len; i > 0; i--) {
        Range *range = range_at(buffer, i - 1);
        if (range->start >= length) {
            g_array_remove_index(buffer->ranges, i - 1);
        } else {
            range->end = MIN(range->end, length);
        }
    }
}

void
write_buffer_truncate(WriteBuffer *buffer, size_t length)
{
    size_t old = buffer->content->len;

    set_length(buffer, length);
    cut_ranges(buffer, length);
    if (buffer->cut < 0 || (int64_t)length <= buffer->cut) {
        buffer->cut = length;
    } else {
        /* Grown again behind an earlier cut, or cut behind a growth: the base must not come back.
         */
        size_t end = buffer->ranges->len > 0 ? range_at(buffer, buffer->ranges->len - 1)->end : 0;
        size_t from = MAX(end, (size_t)buffer->cut);
        from = MIN(from, old);
        if (from < length) {
            add_range(buffer, from, length);
        }
    }
}

size_t
write_buffer_length(const WriteBuffer *buffer)
{
    return buffer->content->len;
}

const void *
write_buffer_data(const WriteBuffer *buffer)
{
    return buffer->content->data;
}

bool
write_buffer_dirty(const WriteBuffer *buffer)
{
    return buffer->cut >= 0 || buffer->ranges->len > 0;
}

bool
write_buffer_equals(const WriteBuffer *buffer, GBytes *content)
{
    gsize length;
    const void *data = g_bytes_get_data(content, &length);

    return length == buffer->content->len
           && (length == 0 || memcmp(data, buffer->content->data, length) == 0);
}

void
write_buffer_flush(WriteBuffer *buffer, const char *path, Update *update)
{
    g_autofree UpdateRange *ranges = g_new0(UpdateRange, buffer->ranges->len + 1);

    for (guint i = 0; i < buffer->ranges->len; i++) {
        const Range *range = range_at(buffer, i);
        ranges[i].offset = range->start;
        ranges[i].data =
            g_bytes_new(buffer->content->data + range->start, range->end - range->start);
    }
    update_patch(update, path, buffer->cut, ranges, buffer->ranges->len);
    for (guint i = 0; i < buffer->ranges->len; i++) {
        g_bytes_unref((GBytes *)ranges[i].data);
    }
    buffer->cut = -1;
    g_array_set_size(buffer->ranges, 0);
}
