#include "guest/onboot.h"
#include <string.h>
#include <unistd.h>
#include "guest/file.h"
#include "guest/lifecycle.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "task/task.h"

#define MARK Q_RUN_DIR "/onboot" /* gone with the power: once in a boot */
#define DELAY_S 3
#define START_METHOD "POST /nodes/{node}/qemu/{vmid}/status/start"

typedef struct {
    uint32_t vmid;
    int64_t order;
    int64_t delay_s;
} Entry;

static gint
compare_entries(gconstpointer a, gconstpointer b)
{
    const Entry *left = a, *right = b;

    if (left->order != right->order) {
        return left->order < right->order ? -1 : 1;
    }
    return (left->vmid > right->vmid) - (left->vmid < right->vmid);
}

static bool
wants_start(CfsClient *cfs, uint32_t vmid, Entry *entry)
{
    g_autoptr(GuestFile) file = guest_file_read(cfs, NULL, vmid, NULL);
    const GuestSection *section = file != NULL ? guest_config_main(file->config) : NULL;
    g_auto(GuestHa) ha = { 0 };

    if (section == NULL || !guest_get_bool(section, "onboot", false)
        || guest_get_bool(section, "template", false) || guest_running(vmid)
        || !guest_ha_read(cfs, vmid, &ha, NULL) || ha.managed) {
        return false;
    }
    g_autoptr(QPropertyString) startup = guest_get_properties(section, "startup", NULL);
    entry->vmid = vmid;
    entry->order = startup != NULL ? q_property_int(startup, "order", G_MAXINT64) : G_MAXINT64;
    entry->delay_s = startup != NULL ? q_property_int(startup, "up", DELAY_S) : DELAY_S;
    return true;
}

static void
start(CfsClient *cfs, uint32_t vmid)
{
    g_autofree char *id = g_strdup_printf("%u", vmid);
    g_autoptr(JsonObject) arguments = json_object_new();
    g_autoptr(GError) error = NULL;
    TaskSpec spec = { .type = "qmstart",
                      .id = id,
                      .user = "root@pam",
                      .method = START_METHOD,
                      .arguments = arguments };

    json_object_set_string_member(arguments, "node", cfs_client_node(cfs));
    json_object_set_string_member(arguments, "vmid", id);
    g_autofree char *upid = task_start(&spec, &error);
    if (upid == NULL) {
        q_warn("VM %u: cannot be started at boot: %s", vmid, error->message);
    } else {
        q_info("VM %u: started at boot: %s", vmid, upid);
    }
}

void
guest_onboot(CfsClient *cfs)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_autoptr(GArray) vmids = NULL;
    g_autoptr(GError) error = NULL;

    if (access(MARK, F_OK) == 0 || !cfs_quorate(cfs, NULL)) {
        return;
    }
    vmids = guest_list(cfs, cfs_client_node(cfs), &error);
    if (vmids == NULL || !q_file_write_atomic(MARK, "", 0, 0600, &error)) {
        q_warn("guests to start at boot: %s", error->message);
        return;
    }
    for (guint i = 0; i < vmids->len; i++) {
        Entry entry;

        if (wants_start(cfs, g_array_index(vmids, uint32_t, i), &entry)) {
            g_array_append_val(entries, entry);
        }
    }
    g_array_sort(entries, compare_entries);
    for (guint i = 0; i < entries->len; i++) {
        const Entry *entry = &g_array_index(entries, Entry, i);

        start(cfs, entry->vmid);
        if (i + 1 < entries->len) {
            sleep(entry->delay_s);
        }
    }
}
