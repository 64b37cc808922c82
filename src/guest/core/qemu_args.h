#pragma once
#include "guest/core/drive.h"
#include "guest/core/machine.h"

/*
 * From a configuration and what is known of this node to QEMU's command line. The same input gives
 * the same arguments, on every node: what the guest sees depends on the configuration alone.
 */
typedef struct {
    char *path;   /* NULL: an empty CD drive */
    char *format; /* "raw", "qcow2" */
    bool shared;  /* other nodes open it too */
    bool cached;  /* the file system has no O_DIRECT (tmpfs): go through the page cache */
} GuestVolume;
void guest_volume_free(GuestVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestVolume, guest_volume_free)

typedef struct {
    const char *node;
    const char *run_dir;            /* /var/run/qemu-server */
    int cpus;                       /* of the node */
    bool kvm;                       /* works here */
    bool vhost;                     /* /dev/vhost-net is there */
    bool io_uring;                  /* QEMU and kernel have it */
    bool guarded;                   /* under HA: will be recovered by other nodes */
    int newest_major, newest_minor; /* machine version of the installed QEMU */
    GHashTable *volumes;            /* drive id -> GuestVolume, for every drive that is not empty */
    GHashTable *bridge_mtu;         /* bridge -> MTU as GINT_TO_POINTER */
} GuestHost;

/* A network port that must be there before QEMU runs. */
typedef struct {
    char *id;     /* "net0" */
    char *ifname; /* "tap100i0" */
    char *bridge;
    char *mac;
    int tag; /* VLAN; 0: none */
    bool link_down;
    bool vnet_hdr; /* virtio */
    int queues;    /* 0, 1: a single one */
} GuestPort;

typedef struct {
    GPtrArray *argv;       /* char *, argv[0] is the program */
    GPtrArray *ports;      /* GuestPort */
    GPtrArray *links_down; /* char *: ids of cards to unplug before the guest runs */
    GPtrArray *notes;      /* char *: what to tell the user, as "kvm is not available: …" */
    char *machine;         /* "pc-i440fx-7.2" */
    bool kvm;
} GuestCommand;

/**
 * guest_qemu_command:
 * @vmid: of the guest
 * @section: the configuration, pending changes applied
 *
 * Errors: Q_ERROR_INVALID, naming the key: what cannot be built is refused, never left out quietly.
 */
GuestCommand *guest_qemu_command(uint32_t vmid, const GuestSection *section, const GuestHost *host,
                                 GError **error);
void guest_command_free(GuestCommand *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestCommand, guest_command_free)

/** guest_command_text: as a shell reads it; @pretty: an option a line. (transfer full) */
char *guest_command_text(const GuestCommand *command, bool pretty);

/** guest_cpu_model_exists: for checks when a user sets `cpu`. */
bool guest_cpu_model_exists(const char *name);
bool guest_cpu_flag_is_allowed(const char *flag);
