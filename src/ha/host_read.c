#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "base/section_config.h"
#include "cluster/corosync_conf.h"
#include "guest/gate.h"
#include "guest/lifecycle.h"
#include "ha/host_priv.h"
#include "ha/world.h"
#include "sys/clock.h"

enum { QDEVICE_SYNC_TIMEOUT_MS = 30000 }; /* corosync-qdevice(8) */

/* ------------------------------------------------------------------ timing (S38) */

static CorosyncConf *
corosync_conf(const HaHost *host)
{
    const HaFile *file = ha_mirror_file(host->mirror, "corosync.conf");

    return file != NULL ? corosync_conf_parse(file->text, NULL) : NULL;
}

static HaTimingFacts
timing_facts(const CorosyncConf *conf)
{
    HaTimingFacts facts = { .nodes = 1, .granularity_ms = -1, .standstill_ms = -1 };

    if (conf != NULL) {
        g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
        facts.nodes = (int)nodes->len;
    }
    if (conf != NULL && corosync_conf_has_block(conf, "quorum.device")) {
        const char *text = corosync_conf_get(conf, "quorum.device", "sync_timeout");
        facts.sync_timeout_ms =
            text != NULL ? (int)g_ascii_strtoll(text, NULL, 10) : QDEVICE_SYNC_TIMEOUT_MS;
    }
    return facts;
}

/* The profile's times, with the token timeout that Corosync really has. */
static bool
compute_timing(const HaHost *host, HaTiming *timing, GError **error)
{
    g_autoptr(CorosyncConf) conf = corosync_conf(host);
    HaTimingFacts facts = timing_facts(conf);
    const char *profile = host->world->datacenter->profile;

    if (g_strcmp0(profile, "classic") == 0) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "datacenter.cfg: ha profile 'classic' is for the simulator; use fast or "
                           "steady");
    }
    if (!ha_timing(profile, &facts, timing, error)) {
        return q_prefix_error(error, "datacenter.cfg: ");
    }
    int64_t token_ms = conf != NULL ? corosync_conf_token_ms(conf) : 0;
    if (token_ms > timing->token_ms) {
        timing->token_ms = (int)token_ms;
        timing->membership_ms = (int)(token_ms * 22 / 10) + 50 + facts.sync_timeout_ms;
    }
    return ha_timing_check(timing, error)
           || q_prefix_error(error, "corosync.conf: token of %" G_GINT64_FORMAT " ms: ", token_ms);
}

void
ha_host_refuse(HaHost *host, const char *why)
{
    if (g_strcmp0(host->refusal, why) == 0) {
        return;
    }
    if (why != NULL) {
        ha_journal_line(host->journal, HA_ERR, "this node stays out of HA: %s", why);
    } else {
        ha_journal_line(host->journal, HA_NOTICE, "this node may take part in HA again");
    }
    g_free(host->refusal);
    host->refusal = g_strdup(why);
    ha_host_publish_refusal(host);
}

static void
on_published(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
}

/* For `ha-manager status`, on every node; kept in memory only, so told again to a restarted cfsd.
 */
void
ha_host_publish_refusal(HaHost *host)
{
    if (host->role == HA_HOST_LRM) {
        JsonObject *arguments = json_object_new();

        json_object_set_string_member(arguments, "key", "ha-refusal");
        json_object_set_string_member(arguments, "text",
                                      host->refusal != NULL ? host->refusal : "");
        cfs_client_send(host->cfs, "status.set", arguments, on_published, NULL);
    }
}

void
ha_host_configure(HaHost *host)
{
    g_autoptr(GError) error = NULL;
    HaTiming timing;

    if (!compute_timing(host, &timing, &error)) {
        ha_host_refuse(host, error->message);
        return;
    }
    ha_host_refuse(host, host->device_refusal);
    host->profile = timing;
    host->configured = true;
    /* A lease lives by the times under which it was taken (its L is in the grant). */
    if (ha_keeper_idle(host->own)) {
        host->timing = timing;
    } else if (strcmp(host->timing.profile, timing.profile) != 0) {
        g_autofree char *text =
            g_strdup_printf("profile %s is in force until this node's lease is taken anew; then %s",
                            host->timing.profile, timing.profile);
        if (g_hash_table_add(host->said, g_strdup(text))) {
            ha_journal_line(host->journal, HA_NOTICE, "%s", text);
        }
    }
}

/* ------------------------------------------------------------------ this node's guests */

typedef struct {
    HaHost *host;
    uint32_t vmid;
    uint64_t start_ticks;
    int pidfd;
    guint source;
} Guest;

static void
guest_free(gpointer data)
{
    Guest *guest = data;

    if (guest->source != 0) {
        g_source_remove(guest->source);
    }
    if (guest->pidfd >= 0) {
        close(guest->pidfd);
    }
    g_free(guest);
}

void
ha_host_drop_guests(HaHost *host)
{
    g_clear_pointer(&host->guests, g_hash_table_unref);
}

static gboolean
on_guest_ended(gint fd, GIOCondition condition, gpointer data)
{
    Guest *guest = data;

    guest->source = 0; /* the table drops it when it looks next */
    ha_host_step_soon(guest->host);
    return G_SOURCE_REMOVE;
}

/* A guest's end is news at once, not at the next round. */
static void
watch_guest(HaHost *host, uint32_t vmid, const GuestProcess *process)
{
    Guest *known;

    if (host->guests == NULL) {
        host->guests = g_hash_table_new_full(NULL, NULL, NULL, guest_free);
    }
    known = g_hash_table_lookup(host->guests, GUINT_TO_POINTER(vmid));
    if (known != NULL && known->start_ticks == process->start_ticks && known->source != 0) {
        return;
    }
    Guest *guest = g_new0(Guest, 1);
    *guest = (Guest){ host, vmid, process->start_ticks, pidfd_open(process->pid, 0), 0 };
    if (guest->pidfd >= 0) {
        guest->source = g_unix_fd_add(guest->pidfd, G_IO_IN, on_guest_ended, guest);
    }
    g_hash_table_replace(host->guests, GUINT_TO_POINTER(vmid), guest);
}

static GHashTable *
new_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void
note_gates(HaLocal *local, HaHost *host)
{
    g_autoptr(GPtrArray) gates = gate_list(NULL);

    for (guint i = 0; gates != NULL && i < gates->len; i++) {
        const Gate *gate = gates->pdata[i];
        g_autofree char *sid = g_strdup_printf("vm:%u", gate->vmid);
        GuestProcess process;

        if (!gate->populated) {
            continue;
        }
        if (guest_process(gate->vmid, &process)) {
            g_hash_table_add(local->running, g_strdup(sid));
            watch_guest(host, gate->vmid, &process);
        }
        bool guarded = gate->generation.epoch != 0 || gate->generation.sequence != 0;
        g_hash_table_replace(local->gates, g_steal_pointer(&sid),
                             guarded ? cfs_generation_text(gate->generation) : g_strdup("u"));
    }
}

void
ha_host_refresh_local(HaHost *host)
{
    HaLocal *local = &host->local;

    g_clear_pointer(&local->running, g_hash_table_unref);
    g_clear_pointer(&local->busy, g_hash_table_unref);
    g_clear_pointer(&local->gates, g_hash_table_unref);
    local->running = new_set();
    local->busy = new_set();
    local->gates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (host->role != HA_HOST_LRM) {
        return;
    }
    note_gates(local, host);
    ha_jobs_busy(host->jobs, local->busy);
    local->watchdog_open = watchdog_client_open(host->watchdog);
    local->owner = (HaGeneration){ 0, 0 };
    local->deadline = (HaTime){ 0, 0 };
    watchdog_client_deadline(host->watchdog, &local->owner, &local->deadline);
    local->gate_dead = ha_local_end_proven(host->end, &local->gate_dead_of);
}

/* ------------------------------------------------------------------ the snapshot */

static void
say_warnings(HaHost *host, const GPtrArray *warnings)
{
    for (guint i = 0; i < warnings->len; i++) {
        if (g_hash_table_add(host->said, g_strdup(warnings->pdata[i]))) {
            ha_journal_line(host->journal, HA_WARN, "%s", (char *)warnings->pdata[i]);
        }
    }
}

static void
add_shared_path(GPtrArray *paths, const QSection *section)
{
    static const char *const network[] = { "nfs", "cifs", "cephfs", "glusterfs", NULL };
    const char *type = q_section_type(section);
    const char *path = q_section_get(section, "path", NULL);

    if (g_strv_contains(network, type)) {
        g_ptr_array_add(paths, path != NULL
                                   ? g_strdup(path)
                                   : g_strdup_printf("/mnt/pve/%s", q_section_id(section)));
    } else if (path != NULL && q_section_get_bool(section, "shared", false)) {
        g_ptr_array_add(paths, g_strdup(path));
    }
}

/* S30: where a guest's writes could outlive it in this host's page cache. */
static void
note_shared_storage(HaHost *host)
{
    const HaFile *file = ha_mirror_file(host->mirror, "storage.cfg");
    g_autoptr(QSectionConfig) config = q_section_config_parse(file != NULL ? file->text : NULL);
    GPtrArray *sections = q_section_config_sections(config);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < sections->len; i++) {
        add_shared_path(paths, sections->pdata[i]);
    }
    g_ptr_array_add(paths, NULL);
    ha_local_end_set_shared(host->end, (const char *const *)paths->pdata);
}

static HaWorld *
blind_world(const HaHost *host)
{
    HaWorld *world = ha_world_new();

    world->error = g_strdup("quorate-cfsd does not answer");
    world->boot = g_strdup(host->boot);
    world->status = ha_status_new();
    world->datacenter = ha_datacenter_new("fast");
    return world;
}

static void
rebuild(HaHost *host)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);

    g_clear_pointer(&host->world, ha_world_free);
    host->world = ha_world_build(host->mirror, host->node, host->boot, warnings);
    say_warnings(host, warnings);
    if (host->role == HA_HOST_LRM) {
        note_shared_storage(host);
    }
    ha_host_configure(host);
    host->dirty = false;
}

const HaWorld *
ha_host_read(HaEnv *env)
{
    HaHost *host = (HaHost *)env;

    if (host->dirty && ha_mirror_settled(host->mirror)) {
        rebuild(host);
    } else if (host->world == NULL
               || (host->world->error == NULL && !ha_mirror_alive(host->mirror))) {
        g_clear_pointer(&host->world, ha_world_free);
        host->world = blind_world(host);
        host->dirty = true;
    }
    /* Between snapshots the flag follows at once: nothing may be done without quorum. */
    if (!ha_mirror_quorate(host->mirror)) {
        host->world->quorate = false;
    }
    ha_host_refresh_local(host);
    host->world->local = &host->local;
    host->world->wall_s = q_clock_wall_s();
    return host->world;
}
