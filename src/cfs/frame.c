#include "cfs/frame.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Content shorter than this stays in the text while the whole message fits. */
enum { INLINE_BYTES = 4096 };

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct CfsFrame {
    JsonObject *object; /* of a received frame */
    char *text;         /* of a frame to be sent */
    size_t length;
    int fds[CFS_FRAME_MAX_FDS];
    size_t fd_count;
    size_t fd_taken;
};

void
cfs_frame_free(CfsFrame *frame)
{
    if (frame == NULL) {
        return;
    }
    for (size_t i = 0; i < frame->fd_count; i++) {
        close(frame->fds[i]);
    }
    g_clear_pointer(&frame->object, json_object_unref);
    g_free(frame->text);
    g_free(frame);
}

JsonObject *
cfs_frame_object(const CfsFrame *frame)
{
    return frame->object;
}

/* ------------------------------------------------------------------ content */

void
cfs_json_set_bytes(JsonObject *holder, const void *data, size_t length)
{
    if (g_utf8_validate_len(length > 0 ? data : "", length, NULL)) {
        g_autofree char *text = g_strndup(data, length);
        json_object_set_string_member(holder, "text", text);
    } else {
        g_autofree char *text = g_base64_encode(data, length);
        json_object_set_string_member(holder, "base64", text);
    }
}

/* g_base64_decode() skips what is no base64; a user's mistake should not become content. */
static GBytes *
decode_base64(const char *text, GError **error)
{
    size_t length = strlen(text);
    size_t digits =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t padding = length - digits;

    if (length % 4 != 0 || padding > 2 || strspn(text + digits, "=") != padding) {
        q_set_error(error, Q_ERROR_INVALID, "content is no valid base64");
        return NULL;
    }
    gsize size = 0;
    guchar *data = g_base64_decode(text, &size);
    return g_bytes_new_take(data, size);
}

GBytes *
cfs_json_bytes(JsonObject *holder, GError **error)
{
    const char *text = q_json_string(holder, "text", NULL);
    const char *base64 = q_json_string(holder, "base64", NULL);

    if (text != NULL) {
        return g_bytes_new(text, strlen(text));
    }
    return base64 != NULL ? decode_base64(base64, error) : g_bytes_new(NULL, 0);
}

/* ------------------------------------------------------------------ memfds */

static int
seal_bytes(const void *data, size_t length, GError **error)
{
    int fd = memfd_create("cfs-content", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    while (fd >= 0 && done < length) {
        ssize_t n = write(fd, (const char *)data + done, length - done);
        if (n < 0 && errno != EINTR) {
            break;
        }
        done += MAX(n, 0);
    }
    if (fd < 0 || done < length || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        q_set_error_errno(error, errno, "cannot pass content of %zu bytes on", length);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static GBytes *
read_sealed(int fd, GError **error)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED || fstat(fd, &st) != 0
        || st.st_size > CFS_FRAME_MEMFD_MAX) {
        q_set_error(error, Q_ERROR_INVALID, "content must come in a sealed memfd of at most %d MiB",
                    CFS_FRAME_MEMFD_MAX >> 20);
        return NULL;
    }
    g_autofree char *data = g_malloc(st.st_size + 1);
    off_t done = 0;
    while (done < st.st_size) {
        ssize_t n = pread(fd, data + done, st.st_size - done, done);
        if (n <= 0 && errno != EINTR) {
            q_set_error_errno(error, errno, "cannot read passed content");
            return NULL;
        }
        done += MAX(n, 0);
    }
    data[done] = '\0';
    return g_bytes_new_take(g_steal_pointer(&data), done);
}

static bool
add_memfd(CfsFrame *frame, const void *data, size_t length, GError **error)
{
    if (frame->fd_count == CFS_FRAME_MAX_FDS) {
        return q_set_error(error, Q_ERROR_INVALID, "more than %d long contents in one message",
                           CFS_FRAME_MAX_FDS);
    }
    int fd = seal_bytes(data, length, error);
    if (fd < 0) {
        return false;
    }
    frame->fds[frame->fd_count++] = fd;
    return true;
}

/* ------------------------------------------------------------------ packing */

/* The content of @holder goes into a memfd if it is long. */
static bool
move_content_out(CfsFrame *frame, JsonObject *holder, GError **error)
{
    const char *text = q_json_string(holder, "text", NULL);
    if (text == NULL) {
        text = q_json_string(holder, "base64", NULL);
    }
    if (text == NULL || strlen(text) < INLINE_BYTES) {
        return true;
    }
    g_autoptr(GBytes) bytes = cfs_json_bytes(holder, error);
    if (bytes == NULL
        || !add_memfd(frame, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), error)) {
        return false;
    }
    json_object_remove_member(holder, "text");
    json_object_remove_member(holder, "base64");
    json_object_set_boolean_member(holder, "fd", TRUE);
    return true;
}

static bool
move_answer_out(CfsFrame *frame, JsonObject *message, JsonObject *ok, GError **error)
{
    if (json_object_has_member(ok, "version")) {
        return move_content_out(frame, ok, error);
    }
    g_autofree char *text = q_json_object_text(ok, Q_JSON_COMPACT);
    if (!add_memfd(frame, text, strlen(text), error)) {
        return false;
    }
    JsonObject *short_ok = json_object_new();
    json_object_set_boolean_member(short_ok, "fd", TRUE);
    json_object_set_object_member(message, "ok", short_ok);
    return true;
}

static bool
move_out(CfsFrame *frame, JsonObject *message, GError **error)
{
    JsonArray *changes = q_json_array(message, "do");
    JsonObject *ok = q_json_object(message, "ok");

    if (ok != NULL) {
        return move_answer_out(frame, message, ok, error);
    }
    for (guint i = 0; changes != NULL && i < json_array_get_length(changes); i++) {
        JsonNode *change = json_array_get_element(changes, i);
        if (JSON_NODE_HOLDS_OBJECT(change)
            && !move_content_out(frame, json_node_get_object(change), error)) {
            return false;
        }
    }
    return true;
}

CfsFrame *
cfs_frame_new(JsonObject *message, GError **error)
{
    g_autoptr(JsonObject) owned = message;
    g_autoptr(CfsFrame) frame = g_new0(CfsFrame, 1);

    frame->text = q_json_object_text(owned, Q_JSON_COMPACT);
    frame->length = strlen(frame->text);
    if (frame->length > CFS_FRAME_MAX_BYTES) {
        if (!move_out(frame, owned, error)) {
            return NULL;
        }
        g_free(frame->text);
        frame->text = q_json_object_text(owned, Q_JSON_COMPACT);
        frame->length = strlen(frame->text);
    }
    if (frame->length > CFS_FRAME_MAX_BYTES) {
        q_set_error(error, Q_ERROR_INVALID, "a message of %zu bytes is longer than %d",
                    frame->length, CFS_FRAME_MAX_BYTES);
        return NULL;
    }
    return g_steal_pointer(&frame);
}

/* ------------------------------------------------------------------ sockets */

CfsFrameResult
cfs_frame_send(int fd, const CfsFrame *frame)
{
    struct iovec part = { .iov_base = frame->text, .iov_len = frame->length };
    union {
        char space[CMSG_SPACE(sizeof(int) * CFS_FRAME_MAX_FDS)];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (frame->fd_count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * frame->fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * frame->fd_count);
        memcpy(CMSG_DATA(header), frame->fds, sizeof(int) * frame->fd_count);
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            return CFS_FRAME_DONE;
        }
        if (errno != EINTR) {
            return errno == EAGAIN || errno == ENOBUFS ? CFS_FRAME_AGAIN : CFS_FRAME_CLOSED;
        }
    }
}

static void
take_fds(CfsFrame *frame, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (frame->fd_count < CFS_FRAME_MAX_FDS) {
                frame->fds[frame->fd_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

CfsFrameResult
cfs_frame_receive(int fd, CfsFrame **result, GError **error)
{
    g_autofree char *buffer = g_malloc(CFS_FRAME_MAX_BYTES + 1);
    struct iovec part = { .iov_base = buffer, .iov_len = CFS_FRAME_MAX_BYTES };
    union {
        char space[CMSG_SPACE(sizeof(int) * CFS_FRAME_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.space,
                              .msg_controllen = sizeof control.space };
    ssize_t length;

    do {
        length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN) {
        return CFS_FRAME_AGAIN;
    }
    if (length <= 0) {
        return CFS_FRAME_CLOSED;
    }

    g_autoptr(CfsFrame) frame = g_new0(CfsFrame, 1);
    take_fds(frame, &message);
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        q_set_error(error, Q_ERROR_INVALID,
                    "message longer than %d bytes, or with more than %d "
                    "descriptors",
                    CFS_FRAME_MAX_BYTES, CFS_FRAME_MAX_FDS);
        return CFS_FRAME_BAD;
    }
    buffer[length] = '\0';
    frame->object = q_json_parse_object(buffer, length, error);
    if (frame->object == NULL) {
        return CFS_FRAME_BAD;
    }
    *result = g_steal_pointer(&frame);
    return CFS_FRAME_DONE;
}

/* ------------------------------------------------------------------ unpacking */

GBytes *
cfs_frame_take_bytes(CfsFrame *frame, JsonObject *holder, GError **error)
{
    if (!q_json_bool(holder, "fd", false)) {
        return cfs_json_bytes(holder, error);
    }
    if (frame->fd_taken == frame->fd_count) {
        q_set_error(error, Q_ERROR_INVALID, "\"fd\" without a descriptor that came with it");
        return NULL;
    }
    return read_sealed(frame->fds[frame->fd_taken++], error);
}

bool
cfs_frame_inline(CfsFrame *frame, GError **error)
{
    JsonObject *ok = q_json_object(frame->object, "ok");

    if (ok == NULL || !q_json_bool(ok, "fd", false)) {
        return true;
    }
    g_autoptr(GBytes) bytes = cfs_frame_take_bytes(frame, ok, error);
    if (bytes == NULL) {
        return false;
    }
    gsize length;
    const char *data = g_bytes_get_data(bytes, &length);
    if (json_object_has_member(ok, "version")) {
        json_object_remove_member(ok, "fd");
        cfs_json_set_bytes(ok, data, length);
        return true;
    }
    JsonObject *whole = q_json_parse_object(data, length, error);
    if (whole == NULL) {
        return false;
    }
    json_object_set_object_member(frame->object, "ok", whole);
    return true;
}
