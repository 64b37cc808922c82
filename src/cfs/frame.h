#pragma once
#include "base/json.h"

/*
 * One message of a control socket: a JSON object of at most 64 KiB. Content that does not fit
 * travels beside it in sealed memfds, which stand in the text as "fd":true, in their order:
 *
 *   in a request: in place of "text" or "base64" of a change, the bytes of a file
 *   in an answer: in place of "text" or "base64" of "ok", the bytes of a file; in an "ok" without
 *                 "version", the JSON text of the whole answer
 */
enum { CFS_FRAME_MAX_BYTES = 65536, CFS_FRAME_MAX_FDS = 64, CFS_FRAME_MEMFD_MAX = 256 << 20 };

typedef struct CfsFrame CfsFrame;

/** cfs_frame_new: @message (transfer full). Errors: Q_ERROR_INVALID (too long even so), Q_ERROR_IO.
 */
CfsFrame *cfs_frame_new(JsonObject *message, GError **error);
void cfs_frame_free(CfsFrame *frame); /* closes what it carries; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsFrame, cfs_frame_free)

JsonObject *cfs_frame_object(const CfsFrame *frame); /* borrowed; of a received frame */

typedef enum {
    CFS_FRAME_DONE,
    CFS_FRAME_AGAIN,  /* the socket would block */
    CFS_FRAME_CLOSED, /* the other side is gone */
    CFS_FRAME_BAD,    /* what came is no message: @error */
} CfsFrameResult;

/* Sockets are non-blocking SOCK_SEQPACKET. */
CfsFrameResult cfs_frame_send(int fd, const CfsFrame *frame);
CfsFrameResult cfs_frame_receive(int fd, CfsFrame **frame, GError **error);

/**
 * cfs_frame_take_bytes:
 * @frame: the frame that @holder came in
 * @holder: an object with "text", "base64" or "fd"; none of them: empty content
 *
 * Content in memfds must be taken in the order of the text.
 *
 * Returns: (transfer full): the content; %NULL with Q_ERROR_INVALID
 */
GBytes *cfs_frame_take_bytes(CfsFrame *frame, JsonObject *holder, GError **error);

/** cfs_frame_inline: puts content and answers that came in memfds back into the object. */
bool cfs_frame_inline(CfsFrame *frame, GError **error);

/** cfs_json_set_bytes: "text" if it is UTF-8 without NUL, else "base64". */
void cfs_json_set_bytes(JsonObject *holder, const void *data, size_t length);
/** cfs_json_bytes: the reverse; NULL with Q_ERROR_INVALID. */
GBytes *cfs_json_bytes(JsonObject *holder, GError **error);
