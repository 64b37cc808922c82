#include "ha/world.h"
#include <stdlib.h>
#include <string.h>
#include "base/section_config.h"
#include "cluster/corosync_conf.h"
#include "guest/core/config.h"

#define DEFAULT_PROFILE "fast"

/* ------------------------------------------------------------------ guest configurations */

typedef struct {
    char *lock; /* or NULL */
    int cpus;
    double memory_bytes;
} GuestFacts;

static void
facts_free(gpointer data)
{
    GuestFacts *facts = data;

    g_free(facts->lock);
    g_free(facts);
}

/* Read once for each version of the file: a cluster has thousands. */
static const GuestFacts *
guest_facts(const HaFile *file)
{
    if (file->derived == NULL) {
        g_autoptr(GuestConfig) config = guest_config_parse(file->text);
        GuestSection *section = guest_config_main(config);
        GuestFacts *facts = g_new0(GuestFacts, 1);

        facts->lock = g_strdup(guest_get(section, "lock"));
        facts->cpus = guest_config_cpus(section);
        facts->memory_bytes = (double)guest_config_memory_mib(section) * 1024 * 1024;
        ha_file_derive(file, facts, facts_free);
    }
    return file->derived;
}

/* ------------------------------------------------------------------ services */

static HaConfig *
config_of_section(const QSection *section, GPtrArray *warnings)
{
    HaConfig *config = g_new0(HaConfig, 1);
    const char *state = q_section_get(section, "state", "started");

    config->type = g_strdup(q_section_type(section));
    config->sid = g_strdup_printf("%s:%s", config->type, q_section_id(section));
    if (!ha_request_parse(state, &config->state)) {
        config->state = HA_REQUEST_IGNORED;
        if (warnings != NULL) {
            g_ptr_array_add(warnings,
                            g_strdup_printf("ha/resources.cfg: %s: state '%s' is unknown; the "
                                            "service is left alone",
                                            config->sid, state));
        }
    }
    config->failback = q_section_get_bool(section, "failback", true);
    config->max_restart = (int)CLAMP(q_section_get_int(section, "max_restart", 1), 0, G_MAXINT16);
    config->max_relocate = (int)CLAMP(q_section_get_int(section, "max_relocate", 1), 0, G_MAXINT16);
    config->group = g_strdup(q_section_get(section, "group", NULL));
    return config;
}

static void
add_services(HaWorld *world, const HaMirror *mirror, GPtrArray *warnings)
{
    const HaFile *file = ha_mirror_file(mirror, "ha/resources.cfg");
    g_autoptr(QSectionConfig) resources = q_section_config_parse(file != NULL ? file->text : NULL);
    GPtrArray *sections = q_section_config_sections(resources);
    GPtrArray *complaints = q_section_config_warnings(resources);

    world->resources_version = file != NULL ? file->version : 0;
    for (guint i = 0; i < sections->len; i++) {
        const QSection *section = sections->pdata[i];

        if (strcmp(q_section_type(section), "vm") == 0) {
            HaConfig *config = config_of_section(section, warnings);
            g_hash_table_replace(world->configs, g_strdup(config->sid), config);
        } else if (warnings != NULL) {
            g_ptr_array_add(warnings,
                            g_strdup_printf("ha/resources.cfg: '%s: %s' is of a type that is "
                                            "not supported; it is left alone",
                                            q_section_type(section), q_section_id(section)));
        }
    }
    for (guint i = 0; warnings != NULL && i < complaints->len; i++) {
        g_ptr_array_add(warnings,
                        g_strdup_printf("ha/resources.cfg: %s", (char *)complaints->pdata[i]));
    }
}

static HaConfig *
unmanaged_guest(const char *sid)
{
    HaConfig *config = g_new0(HaConfig, 1);

    config->sid = g_strdup(sid);
    config->type = g_strdup("vm");
    config->state = HA_REQUEST_IGNORED;
    config->unmanaged = true;
    return config;
}

/* Where each guest is: the folder that its configuration stands in. */
static void
add_guests(HaWorld *world, const HaMirror *mirror)
{
    g_autoptr(GPtrArray) paths = ha_mirror_paths(mirror);

    for (guint i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);

        if (g_strv_length(parts) != 4 || strcmp(parts[2], "qemu-server") != 0) {
            continue;
        }
        const HaFile *file = ha_mirror_file(mirror, path);
        g_autofree char *sid = g_strdup_printf("vm:%.*s", (int)strcspn(parts[3], "."), parts[3]);
        HaConfig *config = g_hash_table_lookup(world->configs, sid);
        if (config == NULL) {
            config = unmanaged_guest(sid);
            g_hash_table_replace(world->configs, g_strdup(sid), config);
        }
        g_free(config->node);
        config->node = g_strdup(parts[1]);
        config->version = file->version;
        const GuestFacts *facts = guest_facts(file);
        config->lock = g_strdup(facts->lock);
        config->max_cpu = facts->cpus;
        config->max_mem = facts->memory_bytes;
        config->has_static = true;
    }
}

static HaRun *
run_of(JsonObject *row)
{
    HaRun *run = g_new0(HaRun, 1);

    run->node = g_strdup(q_json_string(row, "node", ""));
    run->boot = g_strdup(q_json_string(row, "boot", ""));
    run->start_id = g_strdup(q_json_string(row, "start", ""));
    run->guard = ha_generation_from_json(row, "guard");
    run->power_off = q_json_bool(row, "power_off", false);
    /* cfsd knows of every proof of S34; those that the row does not spell out come in as stated. */
    run->stated_dead = q_json_bool(row, "dead", false);
    run->migrating = json_object_has_member(row, "mig") && !json_object_get_null_member(row, "mig");
    return run;
}

static void
add_runs(HaWorld *world, const HaMirror *mirror)
{
    JsonArray *rows = ha_mirror_records(mirror);

    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autofree char *sid = g_strdup_printf("vm:%" G_GINT64_FORMAT, q_json_int(row, "vmid", 0));
        HaConfig *config = g_hash_table_lookup(world->configs, sid);

        if (config != NULL && q_json_string(row, "node", "")[0] != '\0') {
            ha_run_free(config->run);
            config->run = run_of(row);
            config->runs = config->unmanaged;
        }
    }
}

/* ------------------------------------------------------------------ nodes */

static void
add_node(HaWorld *world, const char *name, int weight)
{
    HaNode *node = g_new0(HaNode, 1);

    node->name = g_strdup(name);
    node->weight = weight;
    g_hash_table_replace(world->nodes, g_strdup(name), node);
}

static void
add_nodes(HaWorld *world, const HaMirror *mirror, const char *self)
{
    const HaFile *file = ha_mirror_file(mirror, "corosync.conf");
    g_autoptr(CorosyncConf) conf = file != NULL ? corosync_conf_parse(file->text, NULL) : NULL;
    JsonObject *members = ha_mirror_members(mirror);
    JsonObject *list = members != NULL ? q_json_object(members, "nodelist") : NULL;

    if (conf != NULL) {
        g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
        for (guint i = 0; i < nodes->len; i++) {
            const CorosyncNode *node = &g_array_index(nodes, CorosyncNode, i);
            add_node(world, node->name, (int)node->votes);
        }
    } else {
        add_node(world, self, 1);
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, world->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        HaNode *node = value;
        JsonObject *row = list != NULL ? q_json_object(list, node->name) : NULL;

        node->online =
            world->quorate && (row != NULL ? q_json_bool(row, "online", false) : conf == NULL);
        node->boot = row != NULL ? g_strdup(q_json_string(row, "boot", NULL)) : NULL;
    }
}

static void
add_lrm_status(HaWorld *world, const HaMirror *mirror, GPtrArray *warnings)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, world->nodes);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autofree char *path = g_strdup_printf("nodes/%s/lrm_status", (char *)name);
        const HaFile *file = ha_mirror_file(mirror, path);
        g_autoptr(GError) error = NULL;
        HaLrmStatus *status = file != NULL ? ha_lrm_status_parse(file->text, &error) : NULL;

        if (status != NULL) {
            g_hash_table_replace(world->lrm, g_strdup(name), status);
        } else if (error != NULL && warnings != NULL) {
            g_ptr_array_add(warnings, g_strdup_printf("%s: %s", path, error->message));
        }
    }
}

/* ------------------------------------------------------------------ leases, commands, the rest */

static void
add_leases(HaWorld *world, const HaMirror *mirror)
{
    static const struct {
        const char *word;
        HaLeaseState state;
    } states[] = { { "held", HA_LEASE_HELD },
                   { "fenced", HA_LEASE_FENCED },
                   { "lapsed", HA_LEASE_LAPSED },
                   { "free", HA_LEASE_FREE } };
    g_autoptr(GPtrArray) names = ha_mirror_lease_names(mirror);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        JsonObject *lease = ha_mirror_lease(mirror, name);
        HaLeaseView *view = g_new0(HaLeaseView, 1);
        const char *word = q_json_string(lease, "state", "free");

        /* An unknown word counts as held (S22). */
        view->state = HA_LEASE_HELD;
        for (size_t s = 0; s < G_N_ELEMENTS(states); s++) {
            if (strcmp(states[s].word, word) == 0) {
                view->state = states[s].state;
            }
        }
        view->node = g_strdup(q_json_string(lease, "node", ""));
        view->boot = g_strdup(q_json_string(lease, "boot", ""));
        view->generation = ha_generation_from_json(lease, "generation");
        g_hash_table_replace(world->leases, g_strdup(name), view);
    }
}

static char *
text_and_version(const HaMirror *mirror, const char *path, uint64_t *version)
{
    const HaFile *file = ha_mirror_file(mirror, path);

    *version = file != NULL ? file->version : 0;
    return file != NULL ? g_strdup(file->text) : NULL;
}

static void
add_commands(HaWorld *world, const HaMirror *mirror)
{
    g_autofree char *text = text_and_version(mirror, "ha/crm_commands", &world->commands_version);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        if (lines[i][0] != '\0') {
            g_ptr_array_add(world->commands, g_strdup(lines[i]));
        }
    }
}

static void
add_status(HaWorld *world, const HaMirror *mirror)
{
    g_autofree char *text = text_and_version(mirror, "ha/manager_status", &world->status_version);
    g_autoptr(GError) error = NULL;

    world->status = ha_status_parse(text, &error);
    if (world->status == NULL) {
        world->error = g_strdup_printf("ha/manager_status: %s", error->message);
        world->status = ha_status_new();
    }
}

HaWorld *
ha_world_build(const HaMirror *mirror, const char *node, const char *boot, GPtrArray *warnings)
{
    HaWorld *world = ha_world_new();
    const HaFile *datacenter = ha_mirror_file(mirror, "datacenter.cfg");

    world->boot = g_strdup(boot);
    world->quorate = ha_mirror_quorate(mirror);
    add_nodes(world, mirror, node);
    add_status(world, mirror);
    add_lrm_status(world, mirror, warnings);
    add_services(world, mirror, warnings);
    add_guests(world, mirror);
    add_runs(world, mirror);
    world->rules_text = text_and_version(mirror, "ha/rules.cfg", &world->rules_version);
    world->groups_text = text_and_version(mirror, "ha/groups.cfg", &world->groups_version);
    add_commands(world, mirror);
    world->datacenter = ha_datacenter_parse(datacenter != NULL ? datacenter->text : NULL,
                                            DEFAULT_PROFILE, warnings);
    add_leases(world, mirror);
    return world;
}
