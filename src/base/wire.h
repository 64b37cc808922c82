#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/*
 * Binary encoding of messages and rows: little-endian, bounded. Writing cannot fail; reading
 * survives any bytes: after the first thing that does not fit, everything reads as zero and
 * `failed` stays set, so that a decoder checks once, at its end.
 */

void q_put_u8(GByteArray *bytes, uint8_t value);
void q_put_u32(GByteArray *bytes, uint32_t value);
void q_put_u64(GByteArray *bytes, uint64_t value);
void q_put_var(GByteArray *bytes, uint64_t value); /* 1 to 10 bytes, small values short */
void q_put_svar(GByteArray *bytes, int64_t value); /* the same for values around zero */
void q_put_data(GByteArray *bytes, const void *data, size_t length); /* length, then bytes */
void q_put_bytes(GByteArray *bytes, GBytes *data);                   /* likewise */
void q_put_text(GByteArray *bytes, const char *text);                /* likewise; NULL is "" */

typedef struct {
    const uint8_t *data;
    size_t length;
    size_t offset;
    bool failed;
} QReader;

void q_reader_init(QReader *reader, const void *data, size_t length);
void q_reader_init_bytes(QReader *reader, GBytes *bytes); /* borrows @bytes */
uint8_t q_get_u8(QReader *reader);
uint32_t q_get_u32(QReader *reader);
uint64_t q_get_u64(QReader *reader);
uint64_t q_get_var(QReader *reader);
uint64_t q_get_var_max(QReader *reader, uint64_t limit); /* larger ones read as the limit */
int64_t q_get_svar(QReader *reader);
/** q_get_data: Returns: (transfer none): into the reader's data; NULL with *length 0 on failure */
const void *q_get_data(QReader *reader, size_t *length, size_t limit);
GBytes *q_get_bytes(QReader *reader, size_t limit); /* (transfer full): never NULL */
/** q_get_text: Returns: (transfer full): never NULL; fails on a zero byte inside */
char *q_get_text(QReader *reader, size_t limit);
bool q_get_text_into(QReader *reader, char *buffer, size_t size); /* with its end; false: failed */
/** q_get_count: a number of things that take at least @least bytes each: bounded by what is left */
size_t q_get_count(QReader *reader, size_t least);
bool q_reader_done(const QReader *reader); /* nothing failed, nothing left */

/** SipHash-2-4 with 128 bits and a fixed key: against accidents, not against forgers. */
void q_hash128(const void *data, size_t length, uint64_t seed, uint64_t out[2]);

/** q_wire_seal: appends 8 bytes of digest over all of @bytes. */
void q_wire_seal(GByteArray *bytes);
/** q_wire_open: false if the digest does not fit; else @reader reads what was sealed. */
bool q_wire_open(QReader *reader, const void *data, size_t length);
