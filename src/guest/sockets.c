#include "guest/sockets_priv.h"
#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_WAIT_MS 200 /* the kernel answers at once; a lost answer must not hold up a fence */

typedef struct {
    uint8_t family;
    struct inet_diag_sockid id; /* addresses, ports and the kernel's cookie: one socket, for ever */
} Noted;

struct GateSockets {
    GHashTable *noted; /* cookie -> Noted */
};

GateSockets *
gate_sockets_new(void)
{
    GateSockets *sockets = g_new0(GateSockets, 1);

    sockets->noted = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return sockets;
}

void
gate_sockets_free(GateSockets *sockets)
{
    if (sockets != NULL) {
        g_hash_table_unref(sockets->noted);
        g_free(sockets);
    }
}

static uint64_t
cookie_of(const struct inet_diag_sockid *id)
{
    return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

static int
diag_open(GError **error)
{
    struct timeval wait = { .tv_usec = REPLY_WAIT_MS * 1000 };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd < 0) {
        q_set_error_errno(error, errno, "cannot ask the kernel for TCP sockets");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    return fd;
}

typedef void (*SocketFunc)(const struct inet_diag_msg *message, gpointer data);

static bool
read_dump(int fd, SocketFunc found, gpointer data, GError **error)
{
    g_autofree char *buffer = g_malloc(65536);

    for (;;) {
        ssize_t length = recv(fd, buffer, 65536, 0);
        if (length < 0 && errno == EINTR) {
            continue;
        }
        if (length < 0) {
            return q_set_error_errno(error, errno, "cannot list TCP sockets");
        }
        for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, length);
             header = NLMSG_NEXT(header, length)) {
            if (header->nlmsg_type == NLMSG_DONE) {
                return true;
            }
            if (header->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *failure = NLMSG_DATA(header);
                return q_set_error_errno(error, -failure->error, "cannot list TCP sockets");
            }
            found(NLMSG_DATA(header), data);
        }
    }
}

/* Every TCP socket of this network namespace, of both families. Those in TIME_WAIT carry no data
 * and listening ones cannot send: neither can reach a disk. */
static bool
dump_tcp(SocketFunc found, gpointer data, GError **error)
{
    static const uint8_t families[] = { AF_INET, AF_INET6 };

    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        struct {
            struct nlmsghdr header;
            struct inet_diag_req_v2 request;
        } ask = {
            .header = { .nlmsg_len = sizeof(ask),
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
            .request = { .sdiag_family = families[i],
                         .sdiag_protocol = IPPROTO_TCP,
                         .idiag_states = ~(1u << 6 /* TIME_WAIT */ | 1u << 10 /* LISTEN */) },
        };
        int fd = diag_open(error);
        if (fd < 0) {
            return false;
        }
        bool done = send(fd, &ask, sizeof(ask), 0) == sizeof(ask)
                        ? read_dump(fd, found, data, error)
                        : q_set_error_errno(error, errno, "cannot ask for TCP sockets");
        close(fd);
        if (!done) {
            return false;
        }
    }
    return true;
}

/* The inodes of all sockets that @pid has open; a process that just ended has none. */
static void
add_socket_inodes(GHashTable *inodes, pid_t pid)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", pid);
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char target[64];
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        if (length > 0) {
            target[length] = '\0';
            if (g_str_has_prefix(target, "socket:[")) {
                uint64_t inode = g_ascii_strtoull(target + strlen("socket:["), NULL, 10);
                g_hash_table_add(inodes, g_memdup2(&inode, sizeof(inode)));
            }
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

typedef struct {
    GHashTable *inodes;
    GHashTable *noted;
} NoteWalk;

static void
note_one(const struct inet_diag_msg *message, gpointer data)
{
    NoteWalk *walk = data;
    uint64_t inode = message->idiag_inode;

    if (inode != 0 && g_hash_table_contains(walk->inodes, &inode)) {
        uint64_t cookie = cookie_of(&message->id);
        Noted noted = { message->idiag_family, message->id };
        g_hash_table_replace(walk->noted, g_memdup2(&cookie, sizeof(cookie)),
                             g_memdup2(&noted, sizeof(noted)));
    }
}

bool
gate_sockets_note(GateSockets *sockets, const GArray *pids, GError **error)
{
    g_autoptr(GHashTable) inodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    NoteWalk walk = { inodes, sockets->noted };

    for (guint i = 0; i < pids->len; i++) {
        add_socket_inodes(inodes, g_array_index(pids, pid_t, i));
    }
    return g_hash_table_size(inodes) == 0 || dump_tcp(note_one, &walk, error);
}

static void
destroy_one(const Noted *noted)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } ask = {
        .header = { .nlmsg_len = sizeof(ask),
                    .nlmsg_type = SOCK_DESTROY,
                    .nlmsg_flags = NLM_F_REQUEST },
        .request = { .sdiag_family = noted->family,
                     .sdiag_protocol = IPPROTO_TCP,
                     .id = noted->id },
    };
    int fd = diag_open(NULL);

    /* The answer does not matter: what counts is whether the socket is there afterwards. */
    if (fd >= 0) {
        (void)!send(fd, &ask, sizeof(ask), 0);
        close(fd);
    }
}

typedef struct {
    GHashTable *noted;
    guint left;
} LeftWalk;

static void
count_left(const struct inet_diag_msg *message, gpointer data)
{
    LeftWalk *walk = data;
    uint64_t cookie = cookie_of(&message->id);

    walk->left += g_hash_table_contains(walk->noted, &cookie);
}

bool
gate_sockets_end(GateSockets *sockets, GError **error)
{
    GHashTableIter iter;
    gpointer noted;
    LeftWalk walk = { sockets->noted, 0 };

    if (g_hash_table_size(sockets->noted) == 0) {
        return true;
    }
    g_hash_table_iter_init(&iter, sockets->noted);
    while (g_hash_table_iter_next(&iter, NULL, &noted)) {
        destroy_one(noted);
    }
    if (!dump_tcp(count_left, &walk, error)) {
        return false;
    }
    return walk.left == 0
           || q_set_error(error, Q_ERROR_BUSY, "%u TCP sockets of ended processes are left",
                          walk.left);
}
