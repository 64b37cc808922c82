#include "cfs/virtual.h"
#include <errno.h>
#include <string.h>
#include "base/sorted.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
    FILE_VERSION,
    FILE_MEMBERS,
    FILE_VMLIST,
    FILE_RRD,
    FILE_CLUSTERLOG,
    FILE_DEBUG,
    LINK_LOCAL,
    LINK_QEMU,
    LINK_LXC,
    LINK_OPENVZ,
    VIRTUAL_COUNT,
};

/* clang-format off */
static const VirtualEntry virtual_entries[VIRTUAL_COUNT] = {
    [FILE_VERSION]    = { ".version",    VIRTUAL_TEXT, 0440 },
    [FILE_MEMBERS]    = { ".members",    VIRTUAL_TEXT, 0440 },
    [FILE_VMLIST]     = { ".vmlist",     VIRTUAL_TEXT, 0440 },
    [FILE_RRD]        = { ".rrd",        VIRTUAL_TEXT, 0440 },
    [FILE_CLUSTERLOG] = { ".clusterlog", VIRTUAL_TEXT, 0440 },
    [FILE_DEBUG]      = { ".debug",      VIRTUAL_TEXT, 0640 },
    [LINK_LOCAL]      = { "local",       VIRTUAL_LINK, 0755 },
    [LINK_QEMU]       = { "qemu-server", VIRTUAL_LINK, 0755 },
    [LINK_LXC]        = { "lxc",         VIRTUAL_LINK, 0755 },
    [LINK_OPENVZ]     = { "openvz",      VIRTUAL_LINK, 0755 },
};
/* clang-format on */

/* Files whose changes clients follow in `.version`. */
static const char *const observed[] = {
    "corosync.conf",
    "corosync.conf.new",
    "storage.cfg",
    "user.cfg",
    "domains.cfg",
    "notifications.cfg",
    "priv/notifications.cfg",
    "priv/shadow.cfg",
    "priv/acme/plugins.cfg",
    "priv/tfa.cfg",
    "priv/token.cfg",
    "priv/wg-keys.cfg",
    "datacenter.cfg",
    "vzdump.cron",
    "vzdump.conf",
    "jobs.cfg",
    "ha/crm_commands",
    "ha/manager_status",
    "ha/resources.cfg",
    "ha/rules.cfg",
    "ha/groups.cfg",
    "ha/fence.cfg",
    "status.cfg",
    "replication.cfg",
    "ceph.conf",
    "sdn/vnets.cfg",
    "sdn/zones.cfg",
    "sdn/controllers.cfg",
    "sdn/subnets.cfg",
    "sdn/ipams.cfg",
    "sdn/dns.cfg",
    "sdn/fabrics.cfg",
    "sdn/route-maps.cfg",
    "sdn/prefix-lists.cfg",
    "sdn/mac-cache.json",
    "sdn/pve-ipam-state.json",
    "sdn/.running-config",
    "virtual-guest/cpu-models.conf",
    "virtual-guest/profiles.cfg",
    "firewall/cluster.fw",
    "mapping/directory.cfg",
    "mapping/pci.cfg",
    "mapping/usb.cfg",
};

struct CfsVirtual {
    CfsHost *host;
    CfsStatus *status;
    int64_t started_at_s;
    uint64_t members_version; /* "clinfo" */
    uint64_t guests_version;  /* "vmlist" */
    uint64_t file_versions[G_N_ELEMENTS(observed)];
    GHashTable *guest_versions; /* vmid → uint64_t */
    uint64_t last_guest_version;
    bool debug;
    CorosyncConf *conf;
    GArray *nodes; /* CorosyncNode of conf */
};

/* ------------------------------------------------------------------ configuration */

const CorosyncConf *
cfs_virtual_conf(const CfsVirtual *virtual)
{
    return virtual->conf;
}

static void
read_conf(CfsVirtual *virtual)
{
    const TreeEntry *entry = tree_lookup(cfs_host_tree(virtual->host), "corosync.conf");

    g_clear_pointer(&virtual->nodes, g_array_unref);
    g_clear_pointer(&virtual->conf, corosync_conf_free);
    if (entry != NULL && entry->type == TREE_FILE) {
        gsize length;
        const char *data = g_bytes_get_data(entry->data, &length);
        g_autofree char *text = g_strndup(length > 0 ? data : "", length);
        virtual->conf = corosync_conf_parse(text, NULL);
    }
    if (virtual->conf != NULL) {
        virtual->nodes = corosync_conf_nodes(virtual->conf);
    }
    virtual->members_version++;
}

const char *
cfs_virtual_node_name(CfsVirtual *virtual, uint32_t id)
{
    for (guint i = 0; virtual->nodes != NULL && i < virtual->nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(virtual->nodes, CorosyncNode, i);
        if (node->id == id) {
            return node->name;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ counting */

static void
count_guest(CfsVirtual *virtual, uint32_t vmid)
{
    uint64_t *version = g_new(uint64_t, 1);

    *version = ++virtual->last_guest_version;
    virtual->guests_version++;
    g_hash_table_replace(virtual->guest_versions, GUINT_TO_POINTER(vmid), version);
}

static void
count_path(CfsVirtual *virtual, const char *path)
{
    uint32_t vmid;

    for (size_t i = 0; i < G_N_ELEMENTS(observed); i++) {
        if (strcmp(observed[i], path) == 0) {
            virtual->file_versions[i]++;
            break;
        }
    }
    if (tree_guest_path(path, NULL, NULL, &vmid)) {
        count_guest(virtual, vmid);
    }
    if (strcmp(path, "corosync.conf") == 0) {
        read_conf(virtual);
    }
}

void
cfs_virtual_visible(CfsVirtual *virtual, const ReplicaEffect *effect)
{
    if (effect->visible.all) {
        for (size_t i = 0; i < G_N_ELEMENTS(observed); i++) {
            virtual->file_versions[i]++;
        }
        g_hash_table_remove_all(virtual->guest_versions);
        virtual->guests_version++;
        read_conf(virtual);
        return;
    }
    /* A path that is replaced goes and comes in one change. */
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < effect->visible.paths->len; i++) {
        char *path = g_array_index(effect->visible.paths, VisiblePath, i).path;
        if (g_hash_table_add(seen, path)) {
            count_path(virtual, path);
        }
    }
}

void
cfs_virtual_members(CfsVirtual *virtual)
{
    virtual->members_version++;
}

/* ------------------------------------------------------------------ texts */

static void
append_string(GString *out, const char *text)
{
    g_autoptr(JsonNode) node = q_json_node_string(text);
    g_autofree char *json = q_json_text(node, Q_JSON_COMPACT);

    g_string_append(out, json);
}

static char *
version_text(CfsVirtual *virtual)
{
    GString *out = g_string_new("{\n");
    g_autoptr(JsonObject) counters = cfs_status_counters(virtual->status);
    g_autofree char *kvstore = q_json_object_text(counters, Q_JSON_COMPACT);

    g_string_append_printf(out, "\"starttime\": %" G_GINT64_FORMAT ",\n", virtual->started_at_s);
    g_string_append_printf(out, "\"clinfo\": %" G_GUINT64_FORMAT ",\n", virtual->members_version);
    g_string_append_printf(out, "\"vmlist\": %" G_GUINT64_FORMAT ",\n", virtual->guests_version);
    for (size_t i = 0; i < G_N_ELEMENTS(observed); i++) {
        g_string_append_printf(out, "\"%s\": %" G_GUINT64_FORMAT ",\n", observed[i],
                               virtual->file_versions[i]);
    }
    g_string_append_printf(out, "\"kvstore\": %s\n}\n", kvstore);
    return g_string_free(out, FALSE);
}

static const char *
node_address(CfsVirtual *virtual, const CorosyncNode *node)
{
    const char *told = cfs_status_value(virtual->status, node->name, "nodeip");

    return told != NULL ? told : node->addr[0];
}

JsonObject *
cfs_virtual_members_json(CfsVirtual *virtual)
{
    JsonObject *all = json_object_new();

    json_object_set_string_member(all, "nodename", cfs_host_node(virtual->host));
    json_object_set_int_member(all, "version", virtual->members_version);
    if (virtual->conf == NULL) {
        return all;
    }
    ReplicaQuorum quorum = replica_quorum(cfs_host_replica(virtual->host));
    JsonObject *cluster = json_object_new();
    JsonObject *list = json_object_new();
    json_object_set_string_member(cluster, "name", corosync_conf_cluster_name(virtual->conf));
    json_object_set_int_member(cluster, "version", corosync_conf_version(virtual->conf));
    json_object_set_int_member(cluster, "nodes", virtual->nodes->len);
    json_object_set_int_member(cluster, "quorate", quorum.state == QUORUM_YES);
    for (guint i = 0; i < virtual->nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(virtual->nodes, CorosyncNode, i);
        JsonObject *row = json_object_new();
        bool self = node->id == cfs_host_node_id(virtual->host);
        json_object_set_int_member(row, "id", node->id);
        json_object_set_int_member(row, "online",
                                   self || cfs_status_online(virtual->status, node->id));
        const char *address = node_address(virtual, node);
        if (address != NULL) {
            json_object_set_string_member(row, "ip", address);
        }
        json_object_set_object_member(list, node->name, row);
    }
    json_object_set_object_member(all, "cluster", cluster);
    json_object_set_object_member(all, "nodelist", list);
    return all;
}

static char *
members_text(CfsVirtual *virtual)
{
    g_autoptr(JsonObject) object = cfs_virtual_members_json(virtual);
    g_autofree char *text = q_json_object_text(object, Q_JSON_PRETTY);

    return g_strconcat(text, "\n", NULL);
}

static char *
vmlist_text(CfsVirtual *virtual)
{
    GString *out = g_string_new("{\n");
    g_autoptr(GArray) guests = tree_guests(cfs_host_tree(virtual->host));

    g_string_append_printf(out, "\"version\": %" G_GUINT64_FORMAT, virtual->guests_version);
    for (guint i = 0; i < guests->len; i++) {
        const TreeGuest *guest = &g_array_index(guests, TreeGuest, i);
        const uint64_t *version =
            g_hash_table_lookup(virtual->guest_versions, GUINT_TO_POINTER(guest->vmid));
        g_string_append(out, i == 0 ? ",\n\"ids\": {\n" : ",\n");
        g_string_append_printf(out, "\"%u\": { \"node\": ", guest->vmid);
        append_string(out, guest->node);
        g_string_append_printf(out, ", \"type\": \"%s\", \"version\": %" G_GUINT64_FORMAT " }",
                               tree_guest_type_name(guest->type), version != NULL ? *version : 1);
    }
    g_string_append(out, guests->len > 0 ? "}\n}\n" : "\n}\n");
    return g_string_free(out, FALSE);
}

static char *
link_text(CfsVirtual *virtual, int index)
{
    const char *node = cfs_host_node(virtual->host);

    return index == LINK_LOCAL ? g_strdup_printf("nodes/%s", node)
                               : g_strdup_printf("nodes/%s/%s", node, virtual_entries[index].name);
}

char *
cfs_virtual_text(CfsVirtual *virtual, int index)
{
    switch (index) {
    case FILE_VERSION:
        return version_text(virtual);
    case FILE_MEMBERS:
        return members_text(virtual);
    case FILE_VMLIST:
        return vmlist_text(virtual);
    case FILE_RRD:
        return cfs_status_rrd_text(virtual->status);
    case FILE_CLUSTERLOG:
        return cfs_status_log_text(virtual->status, 0, NULL);
    case FILE_DEBUG:
        return g_strdup(virtual->debug ? "1\n" : "0\n");
    default:
        return link_text(virtual, index);
    }
}

int
cfs_virtual_write(CfsVirtual *virtual, int index, const char *data, size_t length)
{
    if (index != FILE_DEBUG || length != 2 || (data[0] != '0' && data[0] != '1')
        || data[1] != '\n') {
        return EIO;
    }
    virtual->debug = data[0] == '1';
    q_log_debug_enable(virtual->debug);
    return 0;
}

/* ------------------------------------------------------------------ life */

int
cfs_virtual_count(void)
{
    return VIRTUAL_COUNT;
}

const VirtualEntry *
cfs_virtual_entry(int index)
{
    return &virtual_entries[index];
}

int
cfs_virtual_find(const char *name)
{
    for (int i = 0; i < VIRTUAL_COUNT; i++) {
        if (strcmp(virtual_entries[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

CfsVirtual *
cfs_virtual_new(CfsHost *host, CfsStatus *status)
{
    CfsVirtual *virtual = g_new0(CfsVirtual, 1);

    virtual->host = host;
    virtual->status = status;
    virtual->started_at_s = q_clock_wall_s();
    virtual->guests_version = 1;
    virtual->guest_versions = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(observed); i++) {
        virtual->file_versions[i] = 1;
    }
    read_conf(virtual);
    return virtual;
}

void
cfs_virtual_free(CfsVirtual *virtual)
{
    if (virtual == NULL) {
        return;
    }
    g_hash_table_unref(virtual->guest_versions);
    g_clear_pointer(&virtual->nodes, g_array_unref);
    corosync_conf_free(virtual->conf);
    g_free(virtual);
}
