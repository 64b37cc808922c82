#include "ha/core/env.h"
#include <stdio.h>
#include <string.h>
#include "base/section_config.h"

int
ha_generation_compare(HaGeneration a, HaGeneration b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

bool
ha_generation_none(HaGeneration generation)
{
    return generation.epoch == 0 && generation.sequence == 0;
}

char *
ha_generation_text(HaGeneration generation)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT, generation.epoch,
                           generation.sequence);
}

bool
ha_generation_parse(const char *text, HaGeneration *generation)
{
    HaGeneration parsed;
    char end;

    if (text == NULL
        || sscanf(text, "%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT "%c", &parsed.epoch,
                  &parsed.sequence, &end)
               != 2)
        return false;
    *generation = parsed;
    return true;
}

static const char *const request_names[] = { "started", "stopped", "disabled", "ignored" };

const char *
ha_request_name(HaRequest request)
{
    return request_names[request];
}

bool
ha_request_parse(const char *name, HaRequest *request)
{
    if (g_strcmp0(name, "enabled") == 0)
        name = "started";
    for (size_t i = 0; i < G_N_ELEMENTS(request_names); i++) {
        if (g_strcmp0(name, request_names[i]) == 0) {
            *request = i;
            return true;
        }
    }
    return false;
}

void
ha_run_free(HaRun *run)
{
    if (run == NULL)
        return;
    g_free(run->node);
    g_free(run->boot);
    g_free(run->start_id);
    g_free(run);
}

HaRun *
ha_run_copy(const HaRun *run)
{
    if (run == NULL)
        return NULL;
    HaRun *copy = g_memdup2(run, sizeof *run);
    copy->node = g_strdup(run->node);
    copy->boot = g_strdup(run->boot);
    copy->start_id = g_strdup(run->start_id);
    return copy;
}

void
ha_config_free(HaConfig *config)
{
    if (config == NULL)
        return;
    g_free(config->sid);
    g_free(config->type);
    g_free(config->node);
    g_free(config->group);
    g_free(config->lock);
    ha_run_free(config->run);
    g_free(config);
}

HaConfig *
ha_config_copy(const HaConfig *config)
{
    HaConfig *copy = g_memdup2(config, sizeof *config);

    copy->sid = g_strdup(config->sid);
    copy->type = g_strdup(config->type);
    copy->node = g_strdup(config->node);
    copy->group = g_strdup(config->group);
    copy->lock = g_strdup(config->lock);
    copy->run = ha_run_copy(config->run);
    return copy;
}

uint32_t
ha_sid_vmid(const char *sid)
{
    const char *colon = strchr(sid, ':');
    return colon != NULL ? (uint32_t)g_ascii_strtoull(colon + 1, NULL, 10) : 0;
}

void
ha_node_free(HaNode *node)
{
    if (node == NULL)
        return;
    g_free(node->name);
    g_free(node->boot);
    g_free(node->version);
    g_free(node);
}

void
ha_lease_view_free(HaLeaseView *view)
{
    if (view == NULL)
        return;
    g_free(view->node);
    g_free(view->boot);
    g_free(view);
}

HaWorld *
ha_world_new(void)
{
    HaWorld *world = g_new0(HaWorld, 1);

    world->updated = true;
    world->nodes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_node_free);
    world->lrm =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_lrm_status_free);
    world->configs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_config_free);
    world->commands = g_ptr_array_new_with_free_func(g_free);
    world->leases =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_lease_view_free);
    return world;
}

void
ha_world_free(HaWorld *world)
{
    if (world == NULL)
        return;
    g_free(world->error);
    g_free(world->boot);
    g_hash_table_unref(world->nodes);
    ha_status_free(world->status);
    g_hash_table_unref(world->lrm);
    g_hash_table_unref(world->configs);
    g_free(world->rules_text);
    g_free(world->groups_text);
    g_ptr_array_unref(world->commands);
    ha_datacenter_free(world->datacenter);
    g_hash_table_unref(world->leases);
    g_free(world);
}

const HaNode *
ha_world_node(const HaWorld *world, const char *name)
{
    return name != NULL ? g_hash_table_lookup(world->nodes, name) : NULL;
}

bool
ha_world_online(const HaWorld *world, const char *name)
{
    const HaNode *node = ha_world_node(world, name);
    return node != NULL && node->online;
}

const HaConfig *
ha_world_config(const HaWorld *world, const char *sid)
{
    return g_hash_table_lookup(world->configs, sid);
}

const HaLeaseView *
ha_world_agent_lease(const HaWorld *world, const char *node)
{
    g_autofree char *name = ha_agent_lease(node);
    return g_hash_table_lookup(world->leases, name);
}

/* ------------------------------------------------------------------ datacenter.cfg */

HaDatacenter *
ha_datacenter_new(const char *default_profile)
{
    HaDatacenter *datacenter = g_new0(HaDatacenter, 1);

    datacenter->mode = g_strdup("basic");
    datacenter->threshold = 0.3;
    datacenter->method = g_strdup("bruteforce");
    datacenter->hold_rounds = 3;
    datacenter->margin = 0.1;
    datacenter->shutdown_policy = g_strdup("conditional");
    datacenter->max_workers = 4;
    datacenter->profile = g_strdup(default_profile);
    return datacenter;
}

void
ha_datacenter_free(HaDatacenter *datacenter)
{
    if (datacenter == NULL)
        return;
    g_free(datacenter->mode);
    g_free(datacenter->method);
    g_free(datacenter->shutdown_policy);
    g_free(datacenter->profile);
    g_free(datacenter);
}

static void
replace(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

bool
ha_datacenter_set(HaDatacenter *datacenter, const char *section, const char *key, const char *value)
{
    bool on = g_str_equal(value, "1") || g_str_equal(value, "yes") || g_str_equal(value, "on");

    if (g_str_equal(section, "ha") && g_str_equal(key, "shutdown_policy"))
        replace(&datacenter->shutdown_policy, value);
    else if (g_str_equal(section, "ha") && g_str_equal(key, "profile"))
        replace(&datacenter->profile, value);
    else if (!g_str_equal(section, "crs"))
        return false;
    else if (g_str_equal(key, "ha"))
        replace(&datacenter->mode, value);
    else if (g_str_equal(key, "ha-rebalance-on-start"))
        datacenter->rebalance_on_start = on;
    else if (g_str_equal(key, "ha-auto-rebalance"))
        datacenter->auto_rebalance = on;
    else if (g_str_equal(key, "ha-auto-rebalance-threshold"))
        datacenter->threshold = g_ascii_strtod(value, NULL);
    else if (g_str_equal(key, "ha-auto-rebalance-method"))
        replace(&datacenter->method, value);
    else if (g_str_equal(key, "ha-auto-rebalance-hold-duration"))
        datacenter->hold_rounds = (int)g_ascii_strtoll(value, NULL, 10);
    else if (g_str_equal(key, "ha-auto-rebalance-margin"))
        datacenter->margin = g_ascii_strtod(value, NULL);
    else
        return false;
    return true;
}

static void
parse_properties(HaDatacenter *datacenter, const char *section, const char *text,
                 GPtrArray *warnings)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (char **part = parts; *part != NULL; part++) {
        char *equals = strchr(g_strstrip(*part), '=');
        if (equals != NULL) {
            *equals = '\0';
            if (ha_datacenter_set(datacenter, section, *part, equals + 1))
                continue;
        }
        if (warnings != NULL)
            g_ptr_array_add(warnings, g_strdup_printf("datacenter.cfg: %s: '%s' is without effect",
                                                      section, *part));
    }
}

HaDatacenter *
ha_datacenter_parse(const char *text, const char *default_profile, GPtrArray *warnings)
{
    HaDatacenter *datacenter = ha_datacenter_new(default_profile);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        char *colon = strchr(*line, ':');
        if (colon == NULL || **line == '#')
            continue;
        *colon = '\0';
        char *value = g_strstrip(colon + 1);
        if (g_str_equal(*line, "ha") || g_str_equal(*line, "crs"))
            parse_properties(datacenter, *line, value, warnings);
        else if (g_str_equal(*line, "max_workers"))
            datacenter->max_workers = (int)g_ascii_strtoll(value, NULL, 10);
    }
    return datacenter;
}

/* ------------------------------------------------------------------ commits */

static void
change_free(gpointer data)
{
    HaChange *change = data;

    g_free(change->sid);
    g_free(change->node);
    g_free(change->from);
    g_free(change->to);
    g_free(change->text);
    g_free(change->start_id);
    g_free(change);
}

HaCommit *
ha_commit_new(const char *lease, HaGeneration generation)
{
    HaCommit *commit = g_new0(HaCommit, 1);

    commit->lease = g_strdup(lease);
    commit->generation = generation;
    commit->changes = g_ptr_array_new_with_free_func(change_free);
    return commit;
}

HaChange *
ha_commit_add(HaCommit *commit, HaChangeKind kind, const char *sid)
{
    HaChange *change = g_new0(HaChange, 1);

    change->kind = kind;
    change->sid = g_strdup(sid);
    g_ptr_array_add(commit->changes, change);
    return change;
}

void
ha_commit_free(HaCommit *commit)
{
    if (commit == NULL)
        return;
    g_free(commit->lease);
    g_ptr_array_unref(commit->changes);
    g_free(commit);
}
