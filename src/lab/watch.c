#include "lab/watch.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/ioctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lab/socket.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"

enum {
    SCAN_MS = 20,           /* a new process is seen that soon */
    LOOK_MS = 100,          /* vCPUs; longer than any running guest stays idle */
    YOUNG_MS = 1000,        /* may still become a QEMU by exec: looked at in each scan */
    UNNAMED_MS = 1000,      /* a QEMU without named vCPU threads counts from that age on */
    END_WORD_WAIT_MS = 200, /* for the host's pid 1 to say how an orphan ended */
    BEGIN_NS = 3000000,     /* a vCPU thread's own beginning; 1.1 ms measured */
    RAN_NS = 200000,        /* less CPU time between two looks is QEMU's own doing */
    CMDLINE_MAX_BYTES = 256 * 1024,
};

/* A process of a host. Most are no guests; those are looked at again, for they may exec. */
typedef struct {
    LabWatch *watch;
    pid_t pid;
    int node;
    int64_t seen_ms;  /* first */
    int64_t other_ms; /* last look at which it was no QEMU; -1: it never was anything else */
    uint64_t ticks;
    bool is_guest, counted; /* counted: has a number in the history */
    guint number;
    LabInterval interval; /* until it is counted */
    int pidfd, inner_pid; /* inner: as its host sees it */
    guint source;
    uint64_t cpu_ns; /* of its vCPU threads at the last look */
    guint end_timer; /* it has ended; who knows how may still say so */
    int word;        /* how it ended, as its host's pid 1 said; -1: it has not */
} Process;

/* Where a host's pid 1 says how orphans ended. */
typedef struct {
    LabWatch *watch;
    int node;
} Exits;

struct LabWatch {
    const Lab *lab;
    Exits exits[LAB_NODES_MAX + 1];
    LabHistory *history;
    DIR *proc;
    GHashTable *processes; /* pid → Process, of our hosts */
    GHashTable *foreign;   /* pid → seen in scan N: of nobody here */
    guint scan;
    ino_t host_ns[LAB_NODES_MAX + 1]; /* PID namespaces; 0: off */
    int64_t looked_ms;
};

LabHistory *
lab_watch_history(LabWatch *watch)
{
    return watch->history;
}

static int64_t
start_ms(uint64_t ticks)
{
    /* Ticks count from boot on CLOCK_BOOTTIME. */
    return (int64_t)(ticks * 1000 / sysconf(_SC_CLK_TCK)) - (q_clock_boot_ms() - q_clock_mono_ms());
}

/* Which host's process it is; 0: none's. */
static int
host_of(LabWatch *watch, pid_t pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    if (stat(path, &st) != 0) {
        return 0;
    }
    for (int i = 1; i <= watch->lab->nodes; i++) {
        if (watch->host_ns[i] != 0 && watch->host_ns[i] == st.st_ino) {
            return i;
        }
    }
    return 0;
}

/* Returns: the guest's id if the command line is a QEMU's with "-pidfile …/VMID.pid", else 0. */
static int
guest_of(pid_t pid, bool *incoming)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    size_t length = 0;
    g_autofree char *text = q_file_read(path, CMDLINE_MAX_BYTES, &length, NULL);
    int vmid = 0;

    if (text == NULL || length == 0 || strstr(text, "qemu-system-") == NULL) {
        return 0;
    }
    *incoming = false;
    for (const char *word = text; word < text + length; word += strlen(word) + 1) {
        const char *next = word + strlen(word) + 1;

        if (next < text + length && strcmp(word, "-pidfile") == 0) {
            const char *slash = strrchr(next, '/');
            char *end;
            vmid = strtol(slash != NULL ? slash + 1 : next, &end, 10);
            vmid = strcmp(end, ".pid") == 0 ? vmid : 0;
        } else if (strcmp(word, "-incoming") == 0) {
            *incoming = true;
        }
    }
    return vmid;
}

/* CPU time of the threads named "CPU n/…", ns. @count: how many there are. */
static uint64_t
vcpu_ns(pid_t pid, int *count)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    uint64_t sum = 0;
    const char *name;

    *count = 0;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *comm_path = g_strdup_printf("%s/%s/comm", path, name);
        g_autofree char *comm = q_file_read(comm_path, 64, NULL, NULL);

        if (comm != NULL && strncmp(comm, "CPU ", 4) == 0 && isdigit((unsigned char)comm[4])) {
            g_autofree char *stat_path = g_strdup_printf("%s/%s/schedstat", path, name);
            g_autofree char *stat = q_file_read(stat_path, 128, NULL, NULL);
            sum += stat != NULL ? strtoull(stat, NULL, 10) : 0;
            (*count)++;
        }
    }
    return sum;
}

static void
process_free(gpointer data)
{
    Process *process = data;

    if (process->source != 0) {
        g_source_remove(process->source);
    }
    if (process->end_timer != 0) {
        g_source_remove(process->end_timer);
    }
    if (process->pidfd >= 0) {
        close(process->pidfd);
    }
    g_free(process);
}

static void
forget(Process *process)
{
    g_hash_table_remove(process->watch->processes, GINT_TO_POINTER(process->pid));
}

static const char *
end_word(const Process *process, int status)
{
    if (process->watch->host_ns[process->node] == 0) {
        return "power";
    }
    return status >= 0 && WIFSIGNALED(status) ? "killed" : "exit";
}

static void
set_end(Process *process, int status)
{
    if (process->counted) {
        lab_history_at(process->watch->history, process->number)->end = end_word(process, status);
    }
    forget(process);
}

/* What the kernel tells of a process that was reaped, by its pidfd (Linux 6.15). */
struct pidfd_info_v0 {
    uint64_t mask, cgroupid;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)
#define PIDFD_INFO_EXIT_FLAG (1ull << 3)

static gboolean
on_end_timeout(gpointer data)
{
    Process *process = data;
    struct pidfd_info_v0 info = { .mask = PIDFD_INFO_EXIT_FLAG };
    bool known = ioctl(process->pidfd, PIDFD_GET_INFO_V0, &info) == 0
                 && (info.mask & PIDFD_INFO_EXIT_FLAG) != 0;

    process->end_timer = 0;
    set_end(process, known ? info.exit_code : -1);
    return G_SOURCE_REMOVE;
}

static gboolean
on_end(int fd, GIOCondition condition, gpointer data)
{
    Process *process = data;

    process->source = 0;
    process->interval.end_ms = q_clock_mono_ms();
    if (process->counted) {
        lab_history_at(process->watch->history, process->number)->end_ms = process->interval.end_ms;
    }
    if (process->word >= 0 || process->watch->host_ns[process->node] == 0) {
        set_end(process, process->word);
    } else {
        process->end_timer = g_timeout_add(END_WORD_WAIT_MS, on_end_timeout, process);
    }
    return G_SOURCE_REMOVE;
}

/* Last number of "NSpid:", the pid inside. */
static int
inner_pid(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = q_file_read(path, 16384, NULL, NULL);
    const char *line = text != NULL ? strstr(text, "\nNSpid:") : NULL;
    const char *end = line != NULL ? strchr(line + 1, '\n') : NULL;

    while (end != NULL && end > line && !isspace((unsigned char)end[-1])) {
        end--;
    }
    return end != NULL ? (int)strtol(end, NULL, 10) : 0;
}

static void
count(Process *process)
{
    process->number = lab_history_add(process->watch->history, &process->interval);
    process->counted = true;
}

/* A QEMU counts when it has vCPU threads: the parents that wait for a daemonized one never have. */
static void
try_count(Process *process, int64_t now)
{
    int vcpus;

    process->cpu_ns = vcpu_ns(process->pid, &vcpus);
    if (vcpus > 0 || now - process->seen_ms > UNNAMED_MS) {
        count(process);
    }
}

static void
examine(Process *process, int64_t now)
{
    bool incoming = false;
    int vmid;

    if (process->is_guest) {
        if (!process->counted) {
            try_count(process, now);
        }
        return;
    }
    vmid = guest_of(process->pid, &incoming);
    if (vmid == 0) {
        process->other_ms = now;
        return;
    }
    process->pidfd = syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        return; /* gone again */
    }
    process->is_guest = true;
    process->inner_pid = inner_pid(process->pid);
    process->interval = (LabInterval){
        .vmid = vmid,
        .node = process->node,
        .pid = process->pid,
        .start_ms = MAX(process->other_ms, start_ms(process->ticks)),
        .end_ms = -1,
        .incoming = incoming,
        .cont_ms = -1,
        .ran_ms = -1,
    };
    process->source =
        g_unix_fd_add_full(G_PRIORITY_HIGH, process->pidfd, G_IO_IN, on_end, process, NULL);
    try_count(process, now);
}

static void
meet(LabWatch *watch, pid_t pid, int64_t now)
{
    int node = host_of(watch, pid);

    if (node == 0) {
        g_hash_table_insert(watch->foreign, GINT_TO_POINTER(pid), GUINT_TO_POINTER(watch->scan));
        return;
    }
    Process *process = g_new0(Process, 1);
    process->watch = watch;
    process->pid = pid;
    process->node = node;
    process->seen_ms = now;
    process->other_ms = -1;
    process->ticks = q_process_start_ticks(pid);
    process->pidfd = process->word = -1;
    g_hash_table_insert(watch->processes, GINT_TO_POINTER(pid), process);
    examine(process, now);
}

/* Processes that were not in the last scan are forgotten, so that a reused pid is met anew. */
static gboolean
is_stale(gpointer pid, gpointer scan, gpointer data)
{
    const LabWatch *watch = data;

    return GPOINTER_TO_UINT(scan) != watch->scan;
}

static void
look_at_vcpus(LabWatch *watch, int64_t now)
{
    g_autoptr(GArray) ran = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GList) all = g_hash_table_get_values(watch->processes);

    for (GList *at = all; at != NULL; at = at->next) {
        Process *process = at->data;
        uint64_t before = process->cpu_ns;
        int vcpus;

        if (!process->counted) {
            if (!process->is_guest && q_process_start_ticks(process->pid) != process->ticks) {
                forget(process);
            }
            continue;
        }
        process->cpu_ns = vcpu_ns(process->pid, &vcpus);
        if (process->cpu_ns > before + RAN_NS && process->cpu_ns > BEGIN_NS) {
            g_array_append_val(ran, process->number);
        }
    }
    lab_history_look(watch->history, now, ran);
}

static gboolean
on_scan(gpointer data)
{
    LabWatch *watch = data;
    int64_t now = q_clock_mono_ms();
    bool look = now - watch->looked_ms >= LOOK_MS;
    struct dirent *entry;

    watch->scan++;
    rewinddir(watch->proc);
    while ((entry = readdir(watch->proc)) != NULL) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? strtol(entry->d_name, NULL, 10) : 0;
        gpointer key = GINT_TO_POINTER(pid);
        Process *known = pid != 0 ? g_hash_table_lookup(watch->processes, key) : NULL;

        if (known != NULL) {
            if (look || now - known->seen_ms < YOUNG_MS) {
                examine(known, now);
            }
        } else if (pid != 0 && g_hash_table_contains(watch->foreign, key)) {
            g_hash_table_insert(watch->foreign, key, GUINT_TO_POINTER(watch->scan));
        } else if (pid != 0) {
            meet(watch, pid, now);
        }
    }
    g_hash_table_foreach_remove(watch->foreign, is_stale, watch);
    if (look) {
        watch->looked_ms = now;
        look_at_vcpus(watch, now);
    }
    return G_SOURCE_CONTINUE;
}

/* "PID STATUS" of an orphan, from the host's pid 1. */
static gboolean
on_exits(int fd, GIOCondition condition, gpointer data)
{
    const Exits *exits = data;
    LabWatch *watch = exits->watch;
    char text[64];
    ssize_t got;
    int pid, status;

    while ((got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0) {
        g_autoptr(GList) all = g_hash_table_get_values(watch->processes);
        text[got] = '\0';
        if (sscanf(text, "%d %d", &pid, &status) != 2) {
            continue;
        }
        for (GList *at = all; at != NULL; at = at->next) {
            Process *process = at->data;
            if (!process->is_guest || process->inner_pid != pid || process->node != exits->node) {
                continue;
            }
            process->word = status;
            if (process->end_timer != 0) {
                set_end(process, status);
            }
        }
    }
    return G_SOURCE_CONTINUE;
}

void
lab_watch_host_on(LabWatch *watch, int node, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/pid", (int)pid);
    struct stat st;

    watch->host_ns[node] = stat(path, &st) == 0 ? st.st_ino : 0;
    g_hash_table_remove_all(watch->foreign); /* its processes may have been seen too early */
}

void
lab_watch_host_off(LabWatch *watch, int node)
{
    g_autoptr(GList) all = g_hash_table_get_values(watch->processes);

    watch->host_ns[node] = 0;
    for (GList *at = all; at != NULL; at = at->next) {
        Process *process = at->data;
        if (process->node == node && process->end_timer != 0) {
            set_end(process, -1); /* that was how */
        }
    }
}

LabWatch *
lab_watch_new(const Lab *lab, GError **error)
{
    LabWatch *watch = g_new0(LabWatch, 1);

    watch->lab = lab;
    watch->history = lab_history_new();
    watch->proc = opendir("/proc");
    watch->processes = g_hash_table_new_full(NULL, NULL, NULL, process_free);
    watch->foreign = g_hash_table_new(NULL, NULL);
    for (int i = 1; i <= lab->nodes; i++) {
        g_autofree char *path = lab_node_path(lab, i, "lab/exits");
        int fd = lab_socket_listen(path, SOCK_DGRAM, error);
        if (fd < 0) {
            return NULL;
        }
        watch->exits[i] = (Exits){ watch, i };
        g_unix_fd_add(fd, G_IO_IN, on_exits, &watch->exits[i]);
    }
    g_timeout_add(SCAN_MS, on_scan, watch);
    return watch;
}
