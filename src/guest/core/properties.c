#include "guest/core/schema.h"

/* The property strings of guest keys. One row a sub-key; formats: qm.conf(5). */

#define DISK_FORMATS "raw qcow qed qcow2 vmdk cloop"
#define CPU_LIST "\\d+(?:-\\d+)?(?:;\\d+(?:-\\d+)?)*"
#define HEX4 "0x[0-9A-Fa-f]{4}"

#define MBPS(name_)                                                                                \
    {                                                                                              \
        .name = name_, .type = Q_PROPERTY_NUMBER, .max = 1e9                                       \
    }
#define IOPS(name_)                                                                                \
    {                                                                                              \
        .name = name_, .type = Q_PROPERTY_INT, .max = 1e9                                          \
    }
#define BURST(name_)                                                                               \
    {                                                                                              \
        .name = name_, .type = Q_PROPERTY_INT, .min = 1, .max = 1e6                                \
    }
#define OLD(name_)                                                                                 \
    {                                                                                              \
        .name = name_, .type = Q_PROPERTY_OLD                                                      \
    }
#define BYTES(name_, mbps)                                                                         \
    {                                                                                              \
        .name = name_, .alias = mbps, .divide = 1048576                                            \
    }
#define ALIAS(name_, other)                                                                        \
    {                                                                                              \
        .name = name_, .alias = other                                                              \
    }

/* clang-format off */
const QPropertyRow guest_disk_rows[] = {
    { "file", Q_PROPERTY_STRING, .required = true, .is_default = true, .doc = "Volume, absolute path, none or cdrom." },
    ALIAS("volume", "file"),
    { "aio", Q_PROPERTY_STRING, .words = "native threads io_uring", .doc = "How requests reach the kernel." },
    { "backup", Q_PROPERTY_BOOL, .doc = "Part of backups." },
    { "cache", Q_PROPERTY_STRING, .words = "none writethrough writeback unsafe directsync", .standard = "none", .doc = "Host page cache." },
    { "detect_zeroes", Q_PROPERTY_BOOL, .doc = "Look for zeroes in writes." },
    { "discard", Q_PROPERTY_STRING, .words = "ignore on", .standard = "ignore", .doc = "Pass discards on to the storage." },
    { "format", Q_PROPERTY_STRING, .words = DISK_FORMATS, .doc = "Image format; must be the volume's." },
    { "import-from", Q_PROPERTY_STRING, .doc = "Volume or path to copy from when the disk is made." },
    MBPS("mbps"), MBPS("mbps_max"), MBPS("mbps_rd"), MBPS("mbps_rd_max"), MBPS("mbps_wr"), MBPS("mbps_wr_max"),
    IOPS("iops"), IOPS("iops_max"), IOPS("iops_rd"), IOPS("iops_rd_max"), IOPS("iops_wr"), IOPS("iops_wr_max"),
    BURST("bps_max_length"), BURST("bps_rd_max_length"), BURST("bps_wr_max_length"),
    BURST("iops_max_length"), BURST("iops_rd_max_length"), BURST("iops_wr_max_length"),
    ALIAS("bps_rd_length", "bps_rd_max_length"), ALIAS("bps_wr_length", "bps_wr_max_length"),
    ALIAS("iops_rd_length", "iops_rd_max_length"), ALIAS("iops_wr_length", "iops_wr_max_length"),
    BYTES("bps", "mbps"), BYTES("bps_rd", "mbps_rd"), BYTES("bps_wr", "mbps_wr"),
    BYTES("bps_max", "mbps_max"), BYTES("bps_rd_max", "mbps_rd_max"), BYTES("bps_wr_max", "mbps_wr_max"),
    { "iothread", Q_PROPERTY_BOOL, .standard = "0", .doc = "A thread of its own (virtio, virtio-scsi-single)." },
    { "media", Q_PROPERTY_STRING, .words = "cdrom disk", .standard = "disk", .doc = "Kind of drive." },
    { "model", Q_PROPERTY_STRING, .max_length = 120, .doc = "Model name that the guest sees (ide)." },
    { "product", Q_PROPERTY_STRING, .pattern = "[A-Za-z0-9\\-_\\s]{0,16}", .doc = "SCSI product name." },
    { "queues", Q_PROPERTY_INT, .min = 2, .max = 64, .doc = "Number of queues (scsi)." },
    { "replicate", Q_PROPERTY_BOOL, .standard = "1", .doc = "Part of replication." },
    { "rerror", Q_PROPERTY_STRING, .words = "ignore report stop", .standard = "report", .doc = "What a read error does." },
    { "ro", Q_PROPERTY_BOOL, .doc = "Read-only." },
    { "scsiblock", Q_PROPERTY_BOOL, .standard = "0", .doc = "Pass SCSI commands through to a host device." },
    { "serial", Q_PROPERTY_STRING, .max_length = 60, .doc = "Serial number that the guest sees." },
    { "shared", Q_PROPERTY_BOOL, .standard = "0", .doc = "The path is the same disk on every node." },
    { "size", Q_PROPERTY_SIZE, .doc = "Size, for information." },
    { "snapshot", Q_PROPERTY_BOOL, .doc = "Refused: writes would be lost at stop." },
    { "ssd", Q_PROPERTY_BOOL, .doc = "Seen by the guest as a solid state disk." },
    { "vendor", Q_PROPERTY_STRING, .pattern = "[A-Za-z0-9\\-_\\s]{0,8}", .doc = "SCSI vendor name." },
    { "werror", Q_PROPERTY_STRING, .words = "enospc ignore report stop", .standard = "stop", .doc = "What a write error does." },
    { "wwn", Q_PROPERTY_STRING, .pattern = "0x[0-9a-fA-F]{16}", .doc = "World wide name." },
    OLD("cyls"), OLD("heads"), OLD("secs"), OLD("trans"),
    { NULL },
};

#define MODEL(name_) { .name = name_, .alias = "macaddr", .keyed = "model" }
const QPropertyRow guest_net_rows[] = {
    { "model", Q_PROPERTY_STRING, .required = true, .is_default = true,
      .words = "e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3",
      .doc = "Network card." },
    MODEL("e1000"), MODEL("e1000-82540em"), MODEL("e1000-82544gc"), MODEL("e1000-82545em"), MODEL("e1000e"),
    MODEL("i82551"), MODEL("i82557b"), MODEL("i82559er"), MODEL("ne2k_isa"), MODEL("ne2k_pci"), MODEL("pcnet"),
    MODEL("rtl8139"), MODEL("virtio"), MODEL("vmxnet3"),
    { "macaddr", Q_PROPERTY_STRING, .pattern = "[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}", .doc = "Address; made if absent." },
    { "bridge", Q_PROPERTY_STRING, .pattern = "[-_.\\w]{1,15}", .doc = "Bridge; absent: QEMU's user network." },
    { "firewall", Q_PROPERTY_BOOL, .doc = "Filtered by the firewall." },
    { "link_down", Q_PROPERTY_BOOL, .doc = "Cable unplugged." },
    { "mtu", Q_PROPERTY_INT, .min = 1, .max = 65520, .doc = "MTU told to the guest (virtio); 1: the bridge's." },
    { "queues", Q_PROPERTY_INT, .min = 0, .max = 64, .doc = "Number of queues (virtio)." },
    { "rate", Q_PROPERTY_NUMBER, .max = 10240, .doc = "Limit in MiB/s." },
    { "tag", Q_PROPERTY_INT, .min = 1, .max = 4094, .doc = "VLAN." },
    { "trunks", Q_PROPERTY_STRING, .pattern = CPU_LIST, .doc = "VLANs passed through." },
    { NULL },
};

const QPropertyRow guest_agent_rows[] = {
    { "enabled", Q_PROPERTY_BOOL, .required = true, .is_default = true, .standard = "0", .doc = "Guest agent in use." },
    { "freeze-fs", Q_PROPERTY_BOOL, .standard = "1", .doc = "Freeze file systems for consistent copies." },
    ALIAS("freeze-fs-on-backup", "freeze-fs"), ALIAS("guest-fsfreeze", "freeze-fs"),
    { "fstrim_cloned_disks", Q_PROPERTY_BOOL, .standard = "0", .doc = "Trim after a disk was moved." },
    { "type", Q_PROPERTY_STRING, .words = "virtio isa", .standard = "virtio", .doc = "Channel." },
    { NULL },
};

const QPropertyRow guest_boot_rows[] = {
    { "legacy", Q_PROPERTY_STRING, .is_default = true, .pattern = "[acdn]{1,4}", .doc = "Floppy a, disk c, CD d, network n." },
    { "order", Q_PROPERTY_STRING, .doc = "Devices in order, separated by semicolons." },
    { NULL },
};

const QPropertyRow guest_machine_rows[] = {
    { "type", Q_PROPERTY_STRING, .is_default = true, .max_length = 40,
      .pattern = "(pc|pc(-i440fx)?-\\d+(\\.\\d+)+(\\+pve\\d+)?(\\.pxe)?|q35|pc-q35-\\d+(\\.\\d+)+(\\+pve\\d+)?(\\.pxe)?|virt(?:-\\d+(\\.\\d+)+)?(\\+pve\\d+)?)",
      .standard = "pc", .doc = "Machine type." },
    { "viommu", Q_PROPERTY_STRING, .words = "intel virtio", .doc = "Virtual IOMMU." },
    { "aw-bits", Q_PROPERTY_NUMBER, .min = 32, .max = 64, .doc = "Address bits of the IOMMU." },
    { "enable-s3", Q_PROPERTY_BOOL, .doc = "Suspend to RAM." },
    { "enable-s4", Q_PROPERTY_BOOL, .doc = "Suspend to disk." },
    { NULL },
};

const QPropertyRow guest_memory_rows[] = {
    { "current", Q_PROPERTY_INT, .required = true, .is_default = true, .min = 16, .max = 4194304, .standard = "512", .doc = "MiB." },
    { NULL },
};

const QPropertyRow guest_vga_rows[] = {
    { "type", Q_PROPERTY_STRING, .is_default = true,
      .words = "cirrus qxl qxl2 qxl3 qxl4 none serial0 serial1 serial2 serial3 std virtio virtio-gl vmware", .standard = "std", .doc = "Card." },
    { "memory", Q_PROPERTY_INT, .min = 4, .max = 512, .doc = "MiB of video memory." },
    { "clipboard", Q_PROPERTY_STRING, .words = "vnc", .doc = "Clipboard shared through VNC." },
    { NULL },
};

#define SMBIOS(name_) { .name = name_, .doc = "SMBIOS " name_ "." }
const QPropertyRow guest_smbios_rows[] = {
    { "uuid", Q_PROPERTY_STRING, .pattern = "[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}", .doc = "UUID of the machine." },
    SMBIOS("version"), SMBIOS("serial"), SMBIOS("manufacturer"), SMBIOS("product"), SMBIOS("sku"), SMBIOS("family"),
    { "base64", Q_PROPERTY_BOOL, .doc = "The texts are in base64." },
    { NULL },
};

const QPropertyRow guest_cpu_rows[] = {
    { "cputype", Q_PROPERTY_STRING, .is_default = true, .pattern = "[A-Za-z0-9][A-Za-z0-9_.-]*", .standard = "kvm64", .doc = "Model." },
    { "flags", Q_PROPERTY_STRING, .pattern = "[+-][A-Za-z0-9.-]+(;[+-][A-Za-z0-9.-]+)*", .doc = "+FLAG;-FLAG." },
    { "hidden", Q_PROPERTY_BOOL, .standard = "0", .doc = "Do not show that it is a virtual machine." },
    { "hv-vendor-id", Q_PROPERTY_STRING, .pattern = "[a-zA-Z0-9]{1,12}", .doc = "Hyper-V vendor." },
    { "phys-bits", Q_PROPERTY_STRING, .pattern = "[8-9]|[1-5][0-9]|6[0-4]|host", .doc = "Physical address bits." },
    { "guest-phys-bits", Q_PROPERTY_INT, .min = 32, .max = 64, .doc = "Physical address bits of the guest." },
    { "level", Q_PROPERTY_INT, .doc = "Highest CPUID leaf." },
    { "reported-model", Q_PROPERTY_STRING, .doc = "Model that a custom one reports." },
    { NULL },
};

const QPropertyRow guest_startup_rows[] = {
    { "order", Q_PROPERTY_INT, .is_default = true, .min = 0, .max = 1e6, .doc = "Place in the order." },
    { "up", Q_PROPERTY_INT, .min = 0, .max = 1e6, .doc = "Seconds to wait after it started." },
    { "down", Q_PROPERTY_INT, .min = 0, .max = 1e6, .doc = "Seconds to wait for its shutdown." },
    { NULL },
};

const QPropertyRow guest_audio_rows[] = {
    { "device", Q_PROPERTY_STRING, .required = true, .words = "ich9-intel-hda intel-hda AC97", .doc = "Card." },
    { "driver", Q_PROPERTY_STRING, .words = "spice none", .standard = "spice", .doc = "Where it sounds." },
    { NULL },
};

const QPropertyRow guest_efidisk_rows[] = {
    { "file", Q_PROPERTY_STRING, .required = true, .is_default = true, .doc = "Volume." },
    ALIAS("volume", "file"),
    { "efitype", Q_PROPERTY_STRING, .words = "2m 4m", .standard = "2m", .doc = "Size of the firmware." },
    { "format", Q_PROPERTY_STRING, .words = DISK_FORMATS }, { "import-from", Q_PROPERTY_STRING },
    { "ms-cert", Q_PROPERTY_STRING, .words = "2011 2023 2023w 2023k", .standard = "2011" },
    { "pre-enrolled-keys", Q_PROPERTY_BOOL, .standard = "0" }, { "size", Q_PROPERTY_SIZE },
    { NULL },
};

const QPropertyRow guest_tpm_rows[] = {
    { "file", Q_PROPERTY_STRING, .required = true, .is_default = true, .doc = "Volume." },
    ALIAS("volume", "file"),
    { "import-from", Q_PROPERTY_STRING }, { "size", Q_PROPERTY_SIZE },
    { "version", Q_PROPERTY_STRING, .words = "v1.2 v2.0", .standard = "v1.2" },
    { "format", Q_PROPERTY_STRING, .words = DISK_FORMATS },
    { NULL },
};

const QPropertyRow guest_hostpci_rows[] = {
    { "host", Q_PROPERTY_STRING, .is_default = true, .doc = "Address of the device on the host." },
    { "mapping", Q_PROPERTY_STRING }, { "pcie", Q_PROPERTY_BOOL }, { "rombar", Q_PROPERTY_BOOL, .standard = "1" },
    { "romfile", Q_PROPERTY_STRING, .pattern = "[^,;]+" }, { "x-vga", Q_PROPERTY_BOOL }, { "legacy-igd", Q_PROPERTY_BOOL },
    { "mdev", Q_PROPERTY_STRING, .pattern = "[^/\\.:]+" },
    { "vendor-id", Q_PROPERTY_STRING, .pattern = HEX4 }, { "device-id", Q_PROPERTY_STRING, .pattern = HEX4 },
    { "sub-vendor-id", Q_PROPERTY_STRING, .pattern = HEX4 }, { "sub-device-id", Q_PROPERTY_STRING, .pattern = HEX4 },
    { "driver", Q_PROPERTY_STRING, .words = "vfio keep", .standard = "vfio" },
    { NULL },
};

const QPropertyRow guest_usb_rows[] = {
    { "host", Q_PROPERTY_STRING, .is_default = true, .doc = "Device of the host, or spice." },
    { "mapping", Q_PROPERTY_STRING }, { "usb3", Q_PROPERTY_BOOL, .standard = "0" },
    { NULL },
};

const QPropertyRow guest_numa_rows[] = {
    { "cpus", Q_PROPERTY_STRING, .required = true, .pattern = CPU_LIST, .doc = "CPUs of the node." },
    { "hostnodes", Q_PROPERTY_STRING, .pattern = CPU_LIST }, { "memory", Q_PROPERTY_NUMBER },
    { "policy", Q_PROPERTY_STRING, .words = "preferred bind interleave" },
    { NULL },
};

const QPropertyRow guest_rng_rows[] = {
    { "source", Q_PROPERTY_STRING, .required = true, .is_default = true, .words = "/dev/urandom /dev/random /dev/hwrng" },
    { "max_bytes", Q_PROPERTY_INT, .standard = "1024" }, { "period", Q_PROPERTY_INT, .standard = "1000" },
    { NULL },
};

const QPropertyRow guest_watchdog_rows[] = {
    { "model", Q_PROPERTY_STRING, .is_default = true, .words = "i6300esb ib700", .standard = "i6300esb" },
    { "action", Q_PROPERTY_STRING, .words = "reset shutdown poweroff pause debug none" },
    { NULL },
};

const QPropertyRow guest_virtiofs_rows[] = {
    { "dirid", Q_PROPERTY_STRING, .required = true, .is_default = true },
    { "cache", Q_PROPERTY_STRING, .words = "auto always metadata never", .standard = "auto" },
    { "direct-io", Q_PROPERTY_BOOL }, { "expose-acl", Q_PROPERTY_BOOL }, { "expose-xattr", Q_PROPERTY_BOOL },
    { NULL },
};

const QPropertyRow guest_spice_rows[] = {
    { "foldersharing", Q_PROPERTY_BOOL }, { "videostreaming", Q_PROPERTY_STRING, .words = "off all filter" },
    { NULL },
};

const QPropertyRow guest_ivshmem_rows[] = {
    { "size", Q_PROPERTY_INT, .required = true, .min = 1, .max = 1048576 },
    { "name", Q_PROPERTY_STRING, .pattern = "[a-zA-Z0-9\\-]+" },
    { NULL },
};

const QPropertyRow guest_unused_rows[] = {
    { "file", Q_PROPERTY_STRING, .required = true, .is_default = true }, ALIAS("volume", "file"),
    { NULL },
};

const QPropertyRow guest_ipconfig_rows[] = {
    { "ip", Q_PROPERTY_STRING }, { "gw", Q_PROPERTY_STRING }, { "ip6", Q_PROPERTY_STRING }, { "gw6", Q_PROPERTY_STRING },
    { NULL },
};

const QPropertyRow guest_cicustom_rows[] = {
    { "meta", Q_PROPERTY_STRING }, { "network", Q_PROPERTY_STRING }, { "user", Q_PROPERTY_STRING }, { "vendor", Q_PROPERTY_STRING },
    { NULL },
};
/* clang-format on */
