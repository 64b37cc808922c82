#include "cfs/core/wire.h"
#include <string.h>
#include "cfs/core/record.h"

#define WIRE_MAGIC 0x51 /* 'Q' */

GByteArray *
wire_begin(const MessageHeader *header)
{
    GByteArray *bytes = g_byte_array_sized_new(128);

    q_put_u8(bytes, WIRE_MAGIC);
    q_put_u8(bytes, WIRE_VERSION);
    q_put_u8(bytes, (uint8_t)header->type);
    q_put_var(bytes, header->node_id);
    q_put_u64(bytes, header->incarnation);
    q_put_u64(bytes, header->cluster);
    epoch_put(bytes, header->plan);
    return bytes;
}

GBytes *
wire_finish(GByteArray *bytes)
{
    q_wire_seal(bytes);
    return g_byte_array_free_to_bytes(bytes);
}

bool
wire_open(QReader *reader, const void *data, size_t length, MessageHeader *header, uint64_t *seal)
{
    if (!q_wire_open(reader, data, length))
        return false;
    QReader tail;
    q_reader_init(&tail, (const uint8_t *)data + length - 8, 8);
    *seal = q_get_u64(&tail);

    uint8_t magic = q_get_u8(reader);
    uint8_t version = q_get_u8(reader);
    uint8_t type = q_get_u8(reader);
    uint64_t node_id = q_get_var(reader);
    header->type = type;
    header->node_id = (uint32_t)node_id;
    header->incarnation = q_get_u64(reader);
    header->cluster = q_get_u64(reader);
    header->plan = epoch_get(reader);
    if (magic != WIRE_MAGIC || version != WIRE_VERSION || type == 0 || type >= MESSAGE_TYPES
        || node_id > UINT32_MAX)
        reader->failed = true;
    return !reader->failed;
}
