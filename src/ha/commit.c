#include "ha/commit.h"
#include <string.h>
#include "base/section_config.h"
#include "guest/core/config.h"

#define RESOURCES "ha/resources.cfg"

typedef struct {
    const HaCommit *commit;
    const HaMirror *mirror;
    const char *node;
    CfsTxn *txn;
    QSectionConfig *resources; /* as changed so far; NULL: untouched */
} Build;

char *
ha_guest_path(const char *node, uint32_t vmid)
{
    return g_strdup_printf("nodes/%s/qemu-server/%u.conf", node, vmid);
}

static CfsGeneration
to_cfs(HaGeneration generation)
{
    return (CfsGeneration){ generation.epoch, generation.sequence };
}

/* The file as the decision knew it. */
static const HaFile *
file_at(const Build *build, const char *path, uint64_t version, GError **error)
{
    const HaFile *file = ha_mirror_file(build->mirror, path);

    if (file == NULL || file->version != version) {
        q_set_error(error, Q_ERROR_CONFLICT, "'%s' has changed since it was read", path);
        return NULL;
    }
    return file;
}

/* ------------------------------------------------------------------ ha/resources.cfg */

static QSection *
section_of(Build *build, const HaChange *change, GError **error)
{
    const char *colon = strchr(change->sid, ':');

    if (build->resources == NULL) {
        const HaFile *file = file_at(build, RESOURCES, change->version, error);
        if (file == NULL) {
            return NULL;
        }
        build->resources = q_section_config_parse(file->text);
        cfs_txn_if_version(build->txn, RESOURCES, file->version);
    }
    QSection *section = colon != NULL ? q_section_config_find(build->resources, colon + 1) : NULL;
    if (section == NULL) {
        q_set_error(error, Q_ERROR_CONFLICT, "service '%s' is not configured any more",
                    change->sid);
    }
    return section;
}

static bool
set_request(Build *build, const HaChange *change, GError **error)
{
    QSection *section = section_of(build, change, error);

    if (section == NULL) {
        return false;
    }
    q_section_set(section, "state", change->text);
    return true;
}

static bool
drop_group(Build *build, const HaChange *change, GError **error)
{
    QSection *section = section_of(build, change, error);

    if (section == NULL) {
        return false;
    }
    q_section_set(section, "group", NULL);
    if (g_strcmp0(change->text, "nofailback") == 0) {
        q_section_set(section, "failback", "0");
    }
    return true;
}

/* ------------------------------------------------------------------ guests */

static const HaChange *
recovery_of(const Build *build, const char *sid)
{
    for (guint i = 0; i < build->commit->changes->len; i++) {
        const HaChange *change = build->commit->changes->pdata[i];

        if (change->kind == HA_CHANGE_RECOVER && strcmp(change->sid, sid) == 0) {
            return change;
        }
    }
    return NULL;
}

/* S44: what makes it safe stands in the conditions. The run record of the dead start stays; the
 * next start may replace it for the same reason that let the guest move. */
static bool
recover(Build *build, const HaChange *change, GError **error)
{
    uint32_t vmid = ha_sid_vmid(change->sid);
    g_autofree char *from = ha_guest_path(change->from, vmid);
    g_autofree char *to = ha_guest_path(change->to, vmid);

    cfs_txn_if_version(build->txn, from, change->version);
    if (change->fenced) {
        cfs_txn_if_fenced(build->txn, change->node, to_cfs(change->generation));
        cfs_txn_if_dead(build->txn, vmid);
    } else {
        cfs_txn_if_run(build->txn, vmid, NULL);
    }
    if (strcmp(from, to) != 0) {
        cfs_txn_rename(build->txn, from, to);
    }
    return true;
}

static bool
clear_lock(Build *build, const HaChange *change, GError **error)
{
    const HaChange *moved = recovery_of(build, change->sid);
    uint32_t vmid = ha_sid_vmid(change->sid);

    if (moved == NULL) {
        return q_set_error(error, Q_ERROR_INTERNAL, "%s: a lock is cleared by its recovery only",
                           change->sid);
    }
    g_autofree char *from = ha_guest_path(moved->from, vmid);
    g_autofree char *to = ha_guest_path(moved->to, vmid);
    const HaFile *file = file_at(build, from, moved->version, error);
    if (file == NULL) {
        return false;
    }
    g_autoptr(GuestConfig) config = guest_config_parse(file->text);
    guest_set(guest_config_main(config), "lock", NULL);
    g_autofree char *text = guest_config_text(config);
    cfs_txn_write(build->txn, to, text);
    return true;
}

/* ------------------------------------------------------------------ files */

static bool
write_text(Build *build, const HaChange *change, const char *path)
{
    cfs_txn_if_version(build->txn, path, change->version);
    cfs_txn_write(build->txn, path, change->text);
    return true;
}

static bool
write_lrm_status(Build *build, const HaChange *change)
{
    g_autofree char *path =
        g_strdup_printf("nodes/%s/lrm_status", change->node != NULL ? change->node : build->node);

    cfs_txn_write(build->txn, path, change->text);
    return true;
}

static bool
take_commands(Build *build, const HaChange *change, GError **error)
{
    static const char path[] = "ha/crm_commands";
    const HaFile *file = file_at(build, path, change->version, error);
    int left = change->count;

    if (file == NULL) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(file->text, "\n", -1);
    g_autoptr(GString) rest = g_string_new(NULL);
    for (int i = 0; lines[i] != NULL; i++) {
        if (lines[i][0] != '\0' && left > 0) {
            left--;
        } else if (lines[i][0] != '\0') {
            g_string_append_printf(rest, "%s\n", lines[i]);
        }
    }
    cfs_txn_if_version(build->txn, path, change->version);
    cfs_txn_write(build->txn, path, rest->str);
    return true;
}

static bool
add_change(Build *build, const HaChange *change, GError **error)
{
    uint32_t vmid = change->sid != NULL ? ha_sid_vmid(change->sid) : 0;

    switch (change->kind) {
    case HA_CHANGE_STATUS:
        return write_text(build, change, "ha/manager_status");
    case HA_CHANGE_LRM_STATUS:
        return write_lrm_status(build, change);
    case HA_CHANGE_RECOVER:
        return recover(build, change, error);
    case HA_CHANGE_SET_REQUEST:
        return set_request(build, change, error);
    case HA_CHANGE_CLEAR_LOCK:
        return clear_lock(build, change, error);
    case HA_CHANGE_COMMANDS:
        return take_commands(build, change, error);
    case HA_CHANGE_RULES:
        return write_text(build, change, "ha/rules.cfg");
    case HA_CHANGE_DROP_GROUP:
        return drop_group(build, change, error);
    case HA_CHANGE_GROUPS:
        cfs_txn_if_version(build->txn, "ha/groups.cfg", change->version);
        cfs_txn_remove(build->txn, "ha/groups.cfg");
        return true;
    case HA_CHANGE_GIVE:
        cfs_txn_if_fenced(build->txn, change->node, to_cfs(change->generation));
        cfs_txn_lease_give(build->txn, change->node);
        return true;
    case HA_CHANGE_GUARD:
        cfs_txn_if_run(build->txn, vmid, change->start_id);
        cfs_txn_guard(build->txn, vmid, to_cfs(change->generation));
        return true;
    case HA_CHANGE_RUN_CLEAR:
        cfs_txn_if_run(build->txn, vmid, change->start_id);
        cfs_txn_run_clear(build->txn, vmid);
        return true;
    }
    return q_set_error(error, Q_ERROR_INTERNAL, "a change of kind %d", change->kind);
}

CfsTxn *
ha_commit_txn(const HaCommit *commit, const HaMirror *mirror, const char *node, GError **error)
{
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    Build build = { commit, mirror, node, txn, NULL };
    bool ok = true;

    if (commit->lease != NULL) {
        cfs_txn_if_lease(txn, commit->lease, to_cfs(commit->generation));
    }
    for (guint i = 0; ok && i < commit->changes->len; i++) {
        ok = add_change(&build, commit->changes->pdata[i], error);
    }
    if (ok && build.resources != NULL) {
        g_autofree char *text = q_section_config_text(build.resources);
        cfs_txn_write(txn, RESOURCES, text);
    }
    g_clear_pointer(&build.resources, q_section_config_free);
    return ok ? g_steal_pointer(&txn) : NULL;
}
