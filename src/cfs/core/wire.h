#pragma once
#include "base/wire.h"
#include "cfs/core/version.h"

/* The frame of every message between replicas; bodies are written and read where they are used. */

typedef enum {
    /* main group */
    MESSAGE_STATE = 1,
    MESSAGE_PLAN,
    MESSAGE_JOINED,
    MESSAGE_INSTALLED,
    MESSAGE_REFORM, /* end this plan and form another: a late member, or no progress */
    MESSAGE_DATA,   /* updates, or pieces of them */
    MESSAGE_ACK,    /* CONFIRM and DURABLE */
    MESSAGE_RENEW,
    MESSAGE_HEARD,
    MESSAGE_QUERY,
    MESSAGE_VOTE,
    MESSAGE_UNLOCK, /* please look how old this lock folder is */
    /* bulk group */
    MESSAGE_FETCH,
    MESSAGE_CHUNK,
} MessageType;
#define MESSAGE_TYPES (MESSAGE_CHUNK + 1)

#define WIRE_VERSION 1
#define WIRE_PAYLOAD_MAX (48 * 1024) /* of DATA and CHUNK; leaves room for the frame */

typedef struct {
    MessageType type;
    uint32_t node_id;
    uint64_t incarnation;
    uint64_t cluster; /* 0: the sender does not know one */
    Epoch plan;       /* {0, 0}: of no plan */
} MessageHeader;

GByteArray *wire_begin(const MessageHeader *header);
GBytes *wire_finish(GByteArray *bytes); /* (transfer full) both ways */

/** wire_open: false if the bytes are no message of ours, whole and of this version; *seal is the
 *  digest that the message carries */
bool wire_open(QReader *reader, const void *data, size_t length, MessageHeader *header,
               uint64_t *seal);
