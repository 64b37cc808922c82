#include "base/wire.h"
#include <string.h>

void
q_put_u8(GByteArray *bytes, uint8_t value)
{
    g_byte_array_append(bytes, &value, 1);
}

static void
put_le(GByteArray *bytes, uint64_t value, int size)
{
    uint8_t out[8];

    for (int i = 0; i < size; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    g_byte_array_append(bytes, out, (guint)size);
}

void
q_put_u32(GByteArray *bytes, uint32_t value)
{
    put_le(bytes, value, 4);
}

void
q_put_u64(GByteArray *bytes, uint64_t value)
{
    put_le(bytes, value, 8);
}

void
q_put_var(GByteArray *bytes, uint64_t value)
{
    uint8_t out[10];
    guint n = 0;

    do {
        out[n] = value & 0x7f;
        value >>= 7;
        if (value != 0)
            out[n] |= 0x80;
        n++;
    } while (value != 0);
    g_byte_array_append(bytes, out, n);
}

void
q_put_svar(GByteArray *bytes, int64_t value)
{
    q_put_var(bytes, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void
q_put_data(GByteArray *bytes, const void *data, size_t length)
{
    q_put_var(bytes, length);
    if (length > 0)
        g_byte_array_append(bytes, data, (guint)length);
}

void
q_put_bytes(GByteArray *bytes, GBytes *data)
{
    gsize length;
    const void *start = g_bytes_get_data(data, &length);

    q_put_data(bytes, start, length);
}

void
q_put_text(GByteArray *bytes, const char *text)
{
    q_put_data(bytes, text, text == NULL ? 0 : strlen(text));
}

void
q_reader_init(QReader *reader, const void *data, size_t length)
{
    *reader = (QReader){ .data = data, .length = length };
}

void
q_reader_init_bytes(QReader *reader, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);

    q_reader_init(reader, data, length);
}

static const uint8_t *
take(QReader *reader, size_t length)
{
    if (reader->failed || length > reader->length - reader->offset) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->offset;
    reader->offset += length;
    return at;
}

static uint64_t
get_le(QReader *reader, int size)
{
    const uint8_t *at = take(reader, (size_t)size);
    uint64_t value = 0;

    for (int i = 0; at != NULL && i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint8_t
q_get_u8(QReader *reader)
{
    return (uint8_t)get_le(reader, 1);
}

uint32_t
q_get_u32(QReader *reader)
{
    return (uint32_t)get_le(reader, 4);
}

uint64_t
q_get_u64(QReader *reader)
{
    return get_le(reader, 8);
}

uint64_t
q_get_var(QReader *reader)
{
    uint64_t value = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t *at = take(reader, 1);
        if (at == NULL)
            return 0;
        value |= (uint64_t)(*at & 0x7f) << shift;
        if ((*at & 0x80) == 0)
            return value;
    }
    reader->failed = true;
    return 0;
}

uint64_t
q_get_var_max(QReader *reader, uint64_t limit)
{
    uint64_t value = q_get_var(reader);

    return MIN(value, limit);
}

int64_t
q_get_svar(QReader *reader)
{
    uint64_t value = q_get_var(reader);

    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

const void *
q_get_data(QReader *reader, size_t *length, size_t limit)
{
    uint64_t announced = q_get_var(reader);
    const void *at = NULL;

    if (announced > limit)
        reader->failed = true;
    else
        at = take(reader, (size_t)announced);
    *length = at == NULL ? 0 : (size_t)announced;
    return at;
}

GBytes *
q_get_bytes(QReader *reader, size_t limit)
{
    size_t length;
    const void *at = q_get_data(reader, &length, limit);

    return g_bytes_new(at, length);
}

char *
q_get_text(QReader *reader, size_t limit)
{
    size_t length;
    const void *at = q_get_data(reader, &length, limit);

    if (length > 0 && memchr(at, 0, length) != NULL) {
        reader->failed = true;
        length = 0;
    }
    return g_strndup(length > 0 ? at : "", length);
}

bool
q_get_text_into(QReader *reader, char *buffer, size_t size)
{
    size_t length;
    const void *at = q_get_data(reader, &length, size - 1);

    if (length > 0 && memchr(at, 0, length) != NULL)
        reader->failed = true;
    if (reader->failed)
        length = 0;
    if (length > 0)
        memcpy(buffer, at, length);
    buffer[length] = '\0';
    return !reader->failed;
}

size_t
q_get_count(QReader *reader, size_t least)
{
    uint64_t count = q_get_var(reader);

    if (count > (reader->length - reader->offset) / least) {
        reader->failed = true;
        return 0;
    }
    return (size_t)count;
}

bool
q_reader_done(const QReader *reader)
{
    return !reader->failed && reader->offset == reader->length;
}

/* SipHash-2-4-128, Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. */

#define ROTATE(x, b) ((x) << (b) | (x) >> (64 - (b)))

static inline void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = ROTATE(v[1], 13) ^ v[0];
    v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] = ROTATE(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = ROTATE(v[1], 17) ^ v[2];
    v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] = ROTATE(v[2], 32);
}

static inline void
sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

void
q_hash128(const void *data, size_t length, uint64_t seed, uint64_t out[2])
{
    const uint64_t k0 = 0x71756f7261746521 ^ seed, k1 = 0x636f6e6669726d73;
    uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
                      k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573 };
    const uint8_t *at = data;
    size_t left = length;

    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(v, GUINT64_FROM_LE(word));
    }
    uint64_t last = (uint64_t)length << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << (8 * i);
    sip_word(v, last);

    v[2] ^= 0xee;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
q_wire_seal(GByteArray *bytes)
{
    uint64_t digest[2];

    q_hash128(bytes->data, bytes->len, 0, digest);
    q_put_u64(bytes, digest[0]);
}

bool
q_wire_open(QReader *reader, const void *data, size_t length)
{
    uint64_t digest[2];

    q_reader_init(reader, data, length < 8 ? 0 : length - 8);
    if (length < 8) {
        reader->failed = true;
        return false;
    }
    q_hash128(data, length - 8, 0, digest);
    QReader tail;
    q_reader_init(&tail, (const uint8_t *)data + length - 8, 8);
    reader->failed = q_get_u64(&tail) != digest[0];
    return !reader->failed;
}
