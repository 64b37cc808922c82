#pragma once
#include "base/property_string.h"

/*
 * The keys of a guest's configuration: the one place where a key exists. The same rows check what
 * is read and set, decide when a change takes effect and who may make it, and document the format.
 * Names, types, bounds: Proxmox VE documentation, qm.conf(5).
 */
typedef enum {
    GUEST_BOOL,
    GUEST_INT,
    GUEST_NUMBER,
    GUEST_STRING,
    GUEST_PROPERTIES, /* a property string, .properties */
} GuestKeyType;

/* When a change of a running guest takes effect. */
typedef enum {
    GUEST_APPLY_NOW,      /* at once; QEMU has no part in it */
    GUEST_APPLY_PENDING,  /* at the next cold start */
    GUEST_APPLY_INTERNAL, /* not settable; written by operations */
} GuestApply;

typedef struct {
    const char *name; /* "scsi" of a family, else the key */
    int count;        /* of a family: scsi0 … scsi30 are 31; 0: no family */
    GuestKeyType type;
    const QPropertyRow *properties;
    GuestApply apply;
    bool effect; /* it changes how QEMU is run, or what we do; else kept, shown, and said */
    const char *privilege; /* "VM.Config.CPU"; two with '|': either; NULL: root@pam only */
    const char *words;     /* allowed words, blank separated */
    const char *pattern;
    double min, max; /* both 0: none */
    int max_length;
    const char *standard; /* default */
    const char *doc;
} GuestKey;

extern const GuestKey guest_keys[]; /* ends with a row without name */

/**
 * guest_key_find:
 * @name: "cores", "scsi3"
 * @index: (out) (optional): 3; 0 for keys that are no family
 *
 * Returns: the row, or %NULL for a name that is no key ("scsi31", "net01", "foo")
 */
const GuestKey *guest_key_find(const char *name, int *index);

/**
 * guest_key_check:
 * @check: LENIENT reads files (basic types and the form of property strings), STRICT is for users
 *
 * Returns: (transfer full): the value as it is written ("1" for "yes"); %NULL with Q_ERROR_INVALID,
 *   the message without the key's name
 */
char *guest_key_check(const GuestKey *key, const char *value, QPropertyCheck check, GError **error);

bool guest_vmid_is_valid(uint32_t vmid);     /* 100 … 999999999 */
bool guest_key_is_disk(const GuestKey *key); /* ide sata scsi virtio */

/* Formats of several keys, for those who take them apart. Defined in properties.c. */
extern const QPropertyRow guest_disk_rows[], guest_net_rows[], guest_agent_rows[],
    guest_boot_rows[], guest_machine_rows[], guest_memory_rows[], guest_vga_rows[],
    guest_smbios_rows[], guest_cpu_rows[], guest_startup_rows[], guest_audio_rows[],
    guest_efidisk_rows[], guest_tpm_rows[], guest_hostpci_rows[], guest_usb_rows[],
    guest_numa_rows[], guest_rng_rows[], guest_watchdog_rows[], guest_virtiofs_rows[],
    guest_spice_rows[], guest_ivshmem_rows[], guest_unused_rows[], guest_ipconfig_rows[],
    guest_cicustom_rows[];
