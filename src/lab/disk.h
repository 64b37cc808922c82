#pragma once
#include "lab/lab.h"

/* What a host keeps when its power goes, in nodes/nodeI/disk, and where the host sees it. */
typedef struct {
    const char *path; /* in the host: "/etc/pve" */
    bool is_file;
    bool from_machine; /* begins as a copy of the machine's */
} LabDiskEntry;
extern const LabDiskEntry lab_disk_entries[]; /* ends with path NULL */

/** lab_disk_name: (transfer full): the entry's name in nodes/nodeI/disk: "etc-pve" */
char *lab_disk_name(const char *path);

/** lab_disk_make: all entries of a new host, with its own hosts, hostname, shadow, quorate.conf. */
bool lab_disk_make(const Lab *lab, int node, GError **error);

/** lab_disk_password: (transfer full): 16 random letters and digits */
char *lab_disk_password(void);
