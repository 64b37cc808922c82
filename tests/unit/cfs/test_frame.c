#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cfs/frame.h"

/* One message through a real socket: short, long, and what is no message. */

static JsonObject *
change(const char *word, const char *path, const void *data, size_t length)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, word, path);
    cfs_json_set_bytes(object, data, length);
    return object;
}

static CfsFrame *
pass_on(JsonObject *message, int ends[2])
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsFrame) sent = cfs_frame_new(message, &error);
    CfsFrame *received = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), ==, 0);
    g_assert_cmpint(cfs_frame_send(ends[0], sent), ==, CFS_FRAME_DONE);
    g_assert_cmpint(cfs_frame_receive(ends[1], &received, &error), ==, CFS_FRAME_DONE);
    g_assert_no_error(error);
    g_assert_cmpint(cfs_frame_receive(ends[1], &received, &error), ==, CFS_FRAME_AGAIN);
    return received;
}

static void
close_ends(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

/* Each content comes back, in its place, whether it fits or not. */
static void
test_contents(void)
{
    static const size_t lengths[] = { 0, 1, 4095, 4096, 30000, 70000, 1 << 20 };
    int ends[2];

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_test_message("%zu bytes", lengths[i]);
        g_autofree char *text = g_strnfill(lengths[i], 'x');
        g_autofree char *bytes = g_strnfill(lengths[i], '\377');
        JsonObject *message = json_object_new();
        JsonArray *changes = json_array_new();
        json_array_add_object_element(changes, change("write", "a", text, lengths[i]));
        json_array_add_object_element(changes, change("write", "b", bytes, lengths[i]));
        json_array_add_object_element(changes, change("write", "c", "short", 5));
        json_object_set_array_member(message, "do", changes);

        g_autoptr(CfsFrame) frame = pass_on(message, ends);
        JsonArray *back = q_json_array(cfs_frame_object(frame), "do");
        const char *const expected[] = { text, bytes, "short" };
        for (guint n = 0; n < 3; n++) {
            g_autoptr(GError) error = NULL;
            g_autoptr(GBytes) content =
                cfs_frame_take_bytes(frame, json_array_get_object_element(back, n), &error);
            g_assert_no_error(error);
            gsize size;
            const void *data = g_bytes_get_data(content, &size);
            g_assert_cmpmem(data, size, expected[n], strlen(expected[n]));
        }
        close_ends(ends);
    }
}

static void
test_long_answer(void)
{
    g_autoptr(GError) error = NULL;
    int ends[2];
    JsonObject *message = json_object_new();
    JsonObject *ok = json_object_new();
    JsonArray *rows = json_array_new();

    for (int i = 0; i < 20000; i++) {
        json_array_add_int_element(rows, i);
    }
    json_object_set_array_member(ok, "entries", rows);
    json_object_set_object_member(message, "ok", ok);
    json_object_set_int_member(message, "id", 7);
    g_autoptr(CfsFrame) frame = pass_on(message, ends);
    g_assert_true(cfs_frame_inline(frame, &error));
    g_assert_no_error(error);
    JsonObject *back = cfs_frame_object(frame);
    g_assert_cmpint(q_json_int(back, "id", 0), ==, 7);
    g_assert_cmpuint(json_array_get_length(q_json_array(q_json_object(back, "ok"), "entries")), ==,
                     20000);
    close_ends(ends);
}

/* More than a message can carry is refused before anything is sent. */
static void
test_too_long(void)
{
    g_autoptr(GError) error = NULL;
    JsonObject *message = json_object_new();
    JsonArray *changes = json_array_new();

    for (int i = 0; i < 3000; i++) {
        json_array_add_object_element(changes, change("write", "some/longer/path", "x", 1));
    }
    json_object_set_array_member(message, "do", changes);
    g_autoptr(CfsFrame) frame = cfs_frame_new(message, &error);
    g_assert_null(frame);
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
}

/* A descriptor that its sender could still change is not read. */
static void
test_unsealed(void)
{
    static const char text[] = "{\"do\":[{\"write\":\"x\",\"fd\":true}]}";
    g_autoptr(GError) error = NULL;
    int ends[2];
    int fd = memfd_create("test", MFD_ALLOW_SEALING);
    struct iovec part = { .iov_base = (void *)text, .iov_len = strlen(text) };
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.space,
                              .msg_controllen = sizeof control.space };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CfsFrame *frame = NULL;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), ==, 0);
    g_assert_cmpint(sendmsg(ends[0], &message, 0), >, 0);
    g_assert_cmpint(cfs_frame_receive(ends[1], &frame, &error), ==, CFS_FRAME_DONE);
    JsonArray *changes = q_json_array(cfs_frame_object(frame), "do");
    g_autoptr(GBytes) bytes =
        cfs_frame_take_bytes(frame, json_array_get_object_element(changes, 0), &error);
    g_assert_null(bytes);
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    cfs_frame_free(frame);
    close(fd);
    close_ends(ends);
}

static void
test_base64(void)
{
    static const char *const bad[] = { "a", "ab=c", "%%%%", "ab==cd==", "====", "YWJj\n" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("case %zu", i);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonObject) holder = json_object_new();
        json_object_set_string_member(holder, "base64", bad[i]);
        g_autoptr(GBytes) bytes = cfs_json_bytes(holder, &error);
        g_assert_null(bytes);
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/frame/contents", test_contents);
    g_test_add_func("/cfs/frame/long-answer", test_long_answer);
    g_test_add_func("/cfs/frame/too-long", test_too_long);
    g_test_add_func("/cfs/frame/unsealed", test_unsealed);
    g_test_add_func("/cfs/frame/base64", test_base64);
    return g_test_run();
}
