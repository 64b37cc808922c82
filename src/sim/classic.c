#include "sim/classic_priv.h"
#include <stdio.h>
#include <string.h>

/* Rounds and commands of the classic world (ha.md 2). Times are whole seconds. */

enum {
    ROUND_S = 20,
    ROUNDS_PER_BATCH = 5,
    QUIET_S = 500,
    END_S = 10000,
    WATCHDOG_S = 60,
};

void
classic_emit(Classic *sim, int64_t t, const char *by, HaEvent *event)
{
    sim->tell(t, by, event, sim->data);
    ha_event_free(event);
}

static void
emit_slot(ClassicSlot *slot, HaEventKind kind)
{
    g_autoptr(HaEvent) event = ha_event_new(kind, HA_F_END);
    slot->env.emit(&slot->env, event);
}

static ClassicNode *
find_node(Classic *sim, const char *name)
{
    for (guint i = 0; i < sim->nodes->len; i++) {
        if (g_strcmp0(((ClassicNode *)sim->nodes->pdata[i])->name, name) == 0)
            return sim->nodes->pdata[i];
    }
    return NULL;
}

/* ------------------------------------------------------------------ daemons */

static void
create_crm(ClassicNode *node)
{
    if (node->crm == NULL)
        node->crm = crm_new(&node->slots[ROLE_CRM].env);
}

static void
create_lrm(ClassicNode *node)
{
    if (node->lrm == NULL)
        node->lrm = lrm_new(&node->slots[ROLE_LRM].env);
    node->restart_lrm = false;
}

static void
power_on(ClassicNode *node)
{
    if (!node->power) {
        node->rw = node->update = true;
        create_crm(node);
        create_lrm(node);
    }
    node->power = node->network = true;
    node->intent = INTENT_NONE;
}

static void
power_off(ClassicNode *node)
{
    if (node->crm != NULL)
        emit_slot(&node->slots[ROLE_CRM], HA_EVENT_KILLED);
    if (node->lrm != NULL)
        emit_slot(&node->slots[ROLE_LRM], HA_EVENT_KILLED);
    g_clear_pointer(&node->crm, crm_free);
    g_clear_pointer(&node->lrm, lrm_free);
    node->slots[ROLE_CRM].watchdog_s = node->slots[ROLE_LRM].watchdog_s = -1;
    g_hash_table_remove_all(node->running);
    node->power = node->network = false;
}

/* ------------------------------------------------------------------ commands (2.5) */

static void
queue_command(Classic *sim, char *line)
{
    g_ptr_array_add(sim->commands, line);
}

static void
request_shutdown(ClassicNode *node, HaShutdown kind)
{
    if (node->lrm != NULL)
        lrm_shutdown(node->lrm, &node->slots[ROLE_LRM].env, kind);
}

static bool
node_command(Classic *sim, ClassicNode *node, char **words, guint count)
{
    const char *verb = words[0], *what = count > 2 ? words[2] : "";

    if (g_str_equal(verb, "power") && g_str_equal(what, "on"))
        power_on(node);
    else if (g_str_equal(verb, "power") && g_str_equal(what, "off"))
        power_off(node);
    else if (g_str_equal(verb, "network") && count == 3)
        node->network = g_str_equal(what, "on");
    else if (g_str_equal(verb, "cfs") && count == 4)
        *(g_str_equal(what, "rw") ? &node->rw : &node->update) = g_str_equal(words[3], "work");
    else if (g_str_equal(verb, "reboot")) {
        node->intent = INTENT_REBOOT;
        request_shutdown(node, HA_SHUTDOWN_REBOOT);
    } else if (g_str_equal(verb, "shutdown")) {
        node->intent = INTENT_SHUTDOWN;
        request_shutdown(node, HA_SHUTDOWN_POWEROFF);
    } else if (g_str_equal(verb, "restart-lrm")) {
        node->restart_lrm = node->lrm != NULL;
        request_shutdown(node, HA_SHUTDOWN_DAEMON);
    } else if (g_str_equal(verb, "pve-manager-version") && count == 4) {
        g_free(node->info->version);
        node->info->version = g_strdup(words[3]);
    } else {
        return false;
    }
    return true;
}

static bool
crm_command(Classic *sim, ClassicNode *node, char **words, guint count)
{
    const char *verb = words[2];

    if (g_str_equal(verb, "stop")) {
        if (node->crm != NULL)
            crm_shutdown(node->crm, &node->slots[ROLE_CRM].env);
    } else if (g_str_equal(verb, "start")) {
        create_crm(node);
    } else if (g_str_has_suffix(verb, "-node-maintenance")) {
        queue_command(sim, g_strdup_printf("%s %s", verb, node->name));
    } else if (g_str_equal(verb, "disarm-ha") && count == 4) {
        queue_command(sim, g_strdup_printf("disarm-ha %s", words[3]));
    } else if (g_str_equal(verb, "arm-ha")) {
        queue_command(sim, g_strdup("arm-ha"));
    } else {
        return false;
    }
    return true;
}

static void
add_service(Classic *sim, const char *sid, char **words, guint count)
{
    HaConfig *config = g_new0(HaConfig, 1);
    ClassicNode *node = find_node(sim, words[3]);

    config->sid = g_strdup(sid);
    config->type = g_strndup(sid, strcspn(sid, ":"));
    config->node = g_strdup(words[3]);
    config->failback = true;
    config->max_restart = config->max_relocate = 1;
    config->has_static = config->has_dynamic = true;
    config->max_cpu = 4;
    config->max_mem = 4.0 * (1 << 30);
    config->cpu = 2;
    config->mem = 2.0 * (1 << 30);
    ha_request_parse(count > 4 ? words[4] : "started", &config->state);
    if (count > 5 && g_str_equal(words[5], "1") && node != NULL)
        g_hash_table_add(node->running, g_strdup(sid));
    g_hash_table_insert(sim->configs, g_strdup(sid), config);
}

static void
set_figures(HaConfig *config, char **words, guint count)
{
    for (guint i = 3; i + 1 < count; i += 2) {
        double value = g_ascii_strtod(words[i + 1], NULL);
        if (g_str_equal(words[i], "maxcpu"))
            config->max_cpu = value;
        else if (g_str_equal(words[i], "maxmem"))
            config->max_mem = value * (1 << 20);
        else if (g_str_equal(words[i], "cpu"))
            config->cpu = value;
        else if (g_str_equal(words[i], "mem"))
            config->mem = value * (1 << 20);
    }
}

static bool
service_command(Classic *sim, char **words, guint count)
{
    const char *sid = words[1], *verb = words[2];
    HaConfig *config = g_hash_table_lookup(sim->configs, sid);

    if (g_str_equal(verb, "add") && count >= 4) {
        add_service(sim, sid, words, count);
        return true;
    }
    if (config == NULL)
        return false;
    if (ha_request_parse(verb, &config->state))
        return true;
    if ((g_str_equal(verb, "migrate") || g_str_equal(verb, "relocate") || g_str_equal(verb, "stop"))
        && count == 4) {
        queue_command(sim, g_strdup_printf("%s %s %s", verb, sid, words[3]));
    } else if (g_str_equal(verb, "delete")) {
        g_hash_table_remove(sim->configs, sid);
    } else if (g_str_equal(verb, "lock")) {
        g_free(config->lock);
        config->lock = g_strdup(count > 3 ? words[3] : "backup");
    } else if (g_str_equal(verb, "unlock")) {
        g_clear_pointer(&config->lock, g_free);
    } else if (g_str_has_prefix(verb, "set-")) {
        set_figures(config, words, count);
    } else if (g_str_equal(verb, "manual-migrate") && count == 4) {
        g_free(config->node);
        config->node = g_strdup(words[3]);
    } else {
        return false;
    }
    return true;
}

bool
classic_command(Classic *sim, const char *line, const char *by, GError **error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    guint count = g_strv_length(words);
    bool done = false;

    classic_emit(sim, sim->now_s, by, ha_event_new(HA_EVENT_COMMAND, HA_F_ARGV, words, HA_F_END));
    ClassicNode *node = count > 1 ? find_node(sim, words[1]) : NULL;
    if (count >= 3 && g_str_equal(words[0], "service"))
        done = service_command(sim, words, count);
    else if (count >= 3 && g_str_equal(words[0], "crm") && node != NULL)
        done = crm_command(sim, node, words, count);
    else if (node != NULL)
        done = node_command(sim, node, words, count);
    return done || q_set_error(error, Q_ERROR_INVALID, "command '%s' is not known", line);
}

static bool
command(Classic *sim, const char *by, GError **error, const char *format, const char *node)
{
    g_autofree char *line = g_strdup_printf(format, node);
    return classic_command(sim, line, by, error);
}

/* ------------------------------------------------------------------ rounds (2.2, 2.3) */

static bool
end_of_crm(Classic *sim, ClassicNode *node, GError **error)
{
    emit_slot(&node->slots[ROLE_CRM], HA_EVENT_EXITED);
    g_clear_pointer(&node->crm, crm_free);
    if (node->intent == INTENT_REBOOT)
        return command(sim, "reboot", error, "power %s off", node->name)
               && command(sim, "reboot", error, "power %s on", node->name);
    if (node->intent == INTENT_SHUTDOWN)
        return command(sim, "shutdown", error, "power %s off", node->name);
    return true;
}

static bool
end_of_lrm(Classic *sim, ClassicNode *node, GError **error)
{
    emit_slot(&node->slots[ROLE_LRM], HA_EVENT_EXITED);
    g_clear_pointer(&node->lrm, lrm_free);
    if (node->restart_lrm) {
        create_lrm(node);
        return true;
    }
    if (node->intent == INTENT_NONE)
        return true;
    return command(sim, node->intent == INTENT_REBOOT ? "reboot" : "shutdown", error, "crm %s stop",
                   node->name);
}

static void
run_slot(Classic *sim, ClassicNode *node, ClassicRole role)
{
    ClassicSlot *slot = &node->slots[role];

    slot->clock_s = sim->now_s;
    if (role == ROLE_CRM)
        crm_step(node->crm, &slot->env);
    else
        lrm_step(node->lrm, &slot->env);
    slot->clock_s++;
    sim->now_s = MAX(sim->now_s, slot->clock_s);
}

static void
skip_slot(Classic *sim, ClassicRole role, bool first)
{
    if (first)
        classic_emit(sim, sim->now_s, "run-loop",
                     ha_event_new(HA_EVENT_ROUND_SKIPPED, HA_F_ROLE,
                                  role == ROLE_CRM ? "crm" : "lrm", HA_F_END));
}

static bool
check_watchdogs(Classic *sim, GError **error)
{
    for (guint i = 0; i < sim->nodes->len; i++) {
        ClassicNode *node = sim->nodes->pdata[i];
        bool expired = false;
        for (int role = 0; role < ROLES; role++) {
            ClassicSlot *slot = &node->slots[role];
            if (slot->watchdog_s < 0 || sim->now_s - slot->watchdog_s <= WATCHDOG_S)
                continue;
            slot->watchdog_s = -1;
            expired = true;
        }
        if (!expired)
            continue;
        if (!command(sim, "watchdog", error, "power %s off", node->name))
            return false;
        classic_emit(sim, sim->now_s, "hardware",
                     ha_event_new(HA_EVENT_WATCHDOG_POWEROFF, HA_F_NODE, node->name, HA_F_END));
    }
    return true;
}

static bool
run_node(Classic *sim, ClassicNode *node, bool first, GError **error)
{
    if (node->crm != NULL && sim->skip[ROLE_CRM] > 0)
        skip_slot(sim, ROLE_CRM, first);
    else if (node->crm != NULL) {
        run_slot(sim, node, ROLE_CRM);
        if (crm_left(node->crm) && !end_of_crm(sim, node, error))
            return false;
    }
    if (node->lrm != NULL && sim->skip[ROLE_LRM] > 0)
        skip_slot(sim, ROLE_LRM, first);
    else if (node->lrm != NULL) {
        run_slot(sim, node, ROLE_LRM);
        if (lrm_left(node->lrm) && !end_of_lrm(sim, node, error))
            return false;
    }
    return check_watchdogs(sim, error);
}

static bool
run_round(Classic *sim, GError **error)
{
    int64_t begin = sim->now_s;

    for (guint i = 0; i < sim->nodes->len; i++) {
        if (!run_node(sim, sim->nodes->pdata[i], i == 0, error))
            return false;
    }
    for (int role = 0; role < ROLES; role++)
        sim->skip[role] = MAX(sim->skip[role] - 1, 0);
    sim->now_s = MAX(sim->now_s, begin + MAX(ROUND_S, 2 * (int64_t)sim->nodes->len));
    for (guint i = 0; i < sim->nodes->len; i++) {
        ClassicNode *node = sim->nodes->pdata[i];
        node->slots[ROLE_CRM].clock_s = node->slots[ROLE_LRM].clock_s = sim->now_s;
    }
    return true;
}

/* Commands of the harness itself; *@next_s moves by a delay. Returns: false: it is none of these */
static bool
harness_command(Classic *sim, const char *line, int64_t *next_s)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);

    if (g_str_equal(words[0], "delay") && words[1] != NULL) {
        *next_s = sim->now_s + g_ascii_strtoll(words[1], NULL, 10);
    } else if (g_str_equal(words[0], "skip-round") && words[1] != NULL) {
        ClassicRole role = g_str_equal(words[1], "crm") ? ROLE_CRM : ROLE_LRM;
        sim->skip[role] += words[2] != NULL ? (int)g_ascii_strtoll(words[2], NULL, 10) : 1;
    } else {
        return false;
    }
    classic_emit(sim, sim->now_s, "cmdlist",
                 ha_event_new(HA_EVENT_COMMAND, HA_F_ARGV, words, HA_F_END));
    return true;
}

static bool
run(Classic *sim, GPtrArray *batches, GError **error)
{
    int64_t next_s = 0, last_s = 0;
    guint next = 0;

    classic_emit(sim, 0, "hardware", ha_event_new(HA_EVENT_SIM_START, HA_F_END));
    for (guint loops = 0; sim->now_s <= END_S;) {
        if (!run_round(sim, error))
            return false;
        if (sim->now_s < next_s)
            continue;
        if (loops++ % ROUNDS_PER_BATCH != 0)
            continue;
        char **batch = next < batches->len ? batches->pdata[next++] : NULL;
        if (batch == NULL && sim->now_s - last_s > QUIET_S) {
            classic_emit(sim, sim->now_s, "hardware", ha_event_new(HA_EVENT_SIM_END, HA_F_END));
            return true;
        }
        for (; batch != NULL && *batch != NULL; batch++) {
            last_s = sim->now_s;
            if (!harness_command(sim, *batch, &next_s)
                && !classic_command(sim, *batch, "cmdlist", error))
                return false;
        }
    }
    return q_set_error(error, Q_ERROR_TIMEOUT, "no end after %d s", END_S);
}

/* ------------------------------------------------------------------ setting up */

static void
lock_free(gpointer data)
{
    ClassicLock *lock = data;

    g_free(lock->node);
    g_free(lock);
}

static void
node_free(gpointer data)
{
    ClassicNode *node = data;

    crm_free(node->crm);
    lrm_free(node->lrm);
    for (int role = 0; role < ROLES; role++)
        classic_env_clear(&node->slots[role]);
    g_hash_table_unref(node->running);
    ha_node_free(node->info);
    g_free(node->name);
    g_free(node);
}

static void
add_nodes(Classic *sim, const Story *story)
{
    g_autoptr(GPtrArray) infos = story_nodes(story);

    for (guint i = 0; i < infos->len; i++) {
        ClassicNode *node = g_new0(ClassicNode, 1);
        node->info = infos->pdata[i];
        node->name = g_strdup(node->info->name);
        node->power = node->network = node->info->online;
        node->rw = node->update = true;
        node->running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (int role = 0; role < ROLES; role++)
            classic_env_init(&node->slots[role], sim, node, role);
        g_ptr_array_add(sim->nodes, node);
    }
    g_ptr_array_set_free_func(infos, NULL);
}

static void
set_up(Classic *sim, const Story *story, GPtrArray *services)
{
    JsonObject *status = q_json_object(story->object, "manager_status");

    sim->nodes = g_ptr_array_new_with_free_func(node_free);
    sim->configs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_config_free);
    sim->failures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sim->lrm_status = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    sim->commands = g_ptr_array_new_with_free_func(g_free);
    sim->locks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, lock_free);
    sim->rules = g_strdup(q_json_string(story->object, "rules", ""));
    sim->groups = g_strdup(q_json_string(story->object, "groups", NULL));
    sim->datacenter = story_datacenter(story);
    sim->status = status != NULL ? q_json_object_text(status, Q_JSON_COMPACT) : NULL;
    sim->status_version = 1;
    ha_timing("classic", NULL, &sim->timing, NULL);
    for (guint i = 0; i < services->len; i++) {
        HaConfig *config = ha_config_copy(services->pdata[i]);
        g_hash_table_insert(sim->configs, g_strdup(config->sid), config);
    }
    add_nodes(sim, story);
}

static void
tear_down(Classic *sim)
{
    g_ptr_array_unref(sim->nodes);
    g_hash_table_unref(sim->configs);
    g_hash_table_unref(sim->failures);
    g_hash_table_unref(sim->lrm_status);
    g_ptr_array_unref(sim->commands);
    g_hash_table_unref(sim->locks);
    g_free(sim->rules);
    g_free(sim->groups);
    g_free(sim->status);
    ha_datacenter_free(sim->datacenter);
}

bool
classic_run(const Story *story, ClassicEvent tell, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) services = story_services(story, error);

    if (services == NULL)
        return false;
    Classic sim = { .tell = tell, .data = data };
    g_autoptr(GPtrArray) batches = story_batches(story);
    set_up(&sim, story, services);
    bool done = run(&sim, batches, error);
    tear_down(&sim);
    return done;
}
