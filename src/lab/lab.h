#pragma once
#include <sys/types.h>
#include "base/error.h"

/* One lab: its name, its folder, what it was made with. Hosts are node1 … nodeN. */
typedef struct {
    char *name;        /* "lab", at most 12 characters */
    char *dir;         /* "$QUORATE_LAB_DIR/lab" */
    char *cgroup;      /* "/sys/fs/cgroup/quorate-lab.lab.1f00ba12" */
    char *program;     /* this program, absolute */
    char *program_dir; /* its folder: daemons and commands lie there too */
    int nodes;
    char *profile; /* fast, steady, classic */
    int64_t boot_delay_ms;
    char *password;   /* root's, in every host */
    char *bmc_secret; /* what the power device asks for */
    bool power_fencing;
} Lab;

#define LAB_NODES_MAX 32
#define LAB_NAME_MAX 12
#define LAB_LINKS 2

/** lab_root_dir: (transfer full): $QUORATE_LAB_DIR, default /var/lib/quorate-lab */
char *lab_root_dir(void);

/** lab_new: names a lab; nothing is read or made. Q_ERROR_INVALID for a name that cannot be. */
Lab *lab_new(const char *name, GError **error);
void lab_free(Lab *lab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lab, lab_free)

/** lab_load: reads what `up` wrote; Q_ERROR_NOT_FOUND if there is no such lab. */
bool lab_load(Lab *lab, GError **error);
bool lab_save(const Lab *lab, GError **error);

/** lab_path: (transfer full): a path in the lab's folder */
char *lab_path(const Lab *lab, const char *format, ...) G_GNUC_PRINTF(2, 3);
char *lab_node_path(const Lab *lab, int node, const char *name); /* nodes/nodeI/NAME */
char *lab_node_cgroup(const Lab *lab, int node);

/** lab_node_index: Returns: I of "nodeI", or 0 with Q_ERROR_NOT_FOUND */
int lab_node_index(const Lab *lab, const char *node, GError **error);

/* A process named by pid and start ticks, so that a reused pid is not taken for it. */
bool lab_pid_write(const char *path, pid_t pid, GError **error);
pid_t lab_pid_read(const char *path); /* 0: no such file, or that process is gone */

/** lab_host_pid: pid 1 of a host as the machine sees it; 0 with Q_ERROR_UNREACHABLE if it is off.
 */
pid_t lab_host_pid(const Lab *lab, int node, GError **error);
bool lab_host_frozen(const Lab *lab, int node);
