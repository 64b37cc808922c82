#include "sim/classic_priv.h"
#include <string.h>

/* The managers' window in the classic world: everything is answered at once. */

enum { LOCK_S = 120 };

bool
classic_up(const ClassicNode *node)
{
    return node->power && node->network;
}

bool
classic_quorate(const Classic *sim)
{
    guint up = 0;

    for (guint i = 0; i < sim->nodes->len; i++)
        up += classic_up(sim->nodes->pdata[i]);
    return up > sim->nodes->len / 2;
}

static HaTime
env_now(HaEnv *env)
{
    int64_t ms = ((ClassicSlot *)env)->clock_s * 1000;
    return (HaTime){ ms, ms };
}

/* ------------------------------------------------------------------ reading */

static void
read_nodes(Classic *sim, HaWorld *world)
{
    bool quorate = classic_quorate(sim);

    for (guint i = 0; i < sim->nodes->len; i++) {
        const ClassicNode *from = sim->nodes->pdata[i];
        HaNode *node = g_memdup2(from->info, sizeof *from->info);
        g_autoptr(GPtrArray) running = q_sorted_keys(from->running);
        node->name = g_strdup(from->name);
        node->version = g_strdup(from->info->version);
        node->boot = NULL;
        node->online = quorate && classic_up(from);
        node->cpu = node->mem = 0;
        for (guint r = 0; r < running->len; r++) {
            const HaConfig *config = g_hash_table_lookup(sim->configs, running->pdata[r]);
            if (config == NULL || g_strcmp0(config->node, from->name) != 0)
                continue;
            node->cpu += config->cpu;
            node->mem += config->mem;
        }
        g_hash_table_insert(world->nodes, g_strdup(from->name), node);
    }
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

static void
read_files(Classic *sim, HaWorld *world)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(sim->configs);
    g_autoptr(GPtrArray) nodes = q_sorted_keys(sim->lrm_status);

    for (guint i = 0; i < sids->len; i++) {
        HaConfig *config = ha_config_copy(g_hash_table_lookup(sim->configs, sids->pdata[i]));
        const ClassicNode *node = find_node(sim, config->node);
        config->runs = node != NULL && g_hash_table_contains(node->running, config->sid);
        g_hash_table_insert(world->configs, g_strdup(config->sid), config);
    }
    for (guint i = 0; i < nodes->len; i++)
        g_hash_table_insert(
            world->lrm, g_strdup(nodes->pdata[i]),
            ha_lrm_status_parse(g_hash_table_lookup(sim->lrm_status, nodes->pdata[i]), NULL));
    for (guint i = 0; i < sim->commands->len; i++)
        g_ptr_array_add(world->commands, g_strdup(sim->commands->pdata[i]));
    world->status = ha_status_parse(sim->status, NULL);
    world->status_version = sim->status_version;
    world->rules_text = g_strdup(sim->rules);
    world->groups_text = g_strdup(sim->groups);
    if (world->status == NULL)
        world->status = ha_status_new();
}

static HaDatacenter *
copy_datacenter(const HaDatacenter *datacenter)
{
    HaDatacenter *copy = g_memdup2(datacenter, sizeof *datacenter);

    copy->mode = g_strdup(datacenter->mode);
    copy->method = g_strdup(datacenter->method);
    copy->shutdown_policy = g_strdup(datacenter->shutdown_policy);
    copy->profile = g_strdup(datacenter->profile);
    return copy;
}

static const HaWorld *
env_read(HaEnv *env)
{
    ClassicSlot *slot = (ClassicSlot *)env;
    HaWorld *world = ha_world_new();

    ha_world_free(slot->world);
    slot->world = world;
    world->quorate = classic_quorate(slot->sim) && classic_up(slot->node);
    world->updated = slot->node->update;
    world->wall_s = slot->clock_s;
    world->boot = g_strdup(slot->node->name);
    world->local = &slot->local;
    world->datacenter = copy_datacenter(slot->sim->datacenter);
    slot->local.running = slot->node->running;
    read_nodes(slot->sim, world);
    if (slot->node->rw)
        read_files(slot->sim, world);
    else
        world->error = g_strdup("the storage fails");
    return world;
}

/* ------------------------------------------------------------------ locks, watchdogs (ha.md 3) */

static HaOutcome
env_lease_hold(HaEnv *env, const char *name, HaLease *lease)
{
    ClassicSlot *slot = (ClassicSlot *)env;
    ClassicLock *lock = g_hash_table_lookup(slot->sim->locks, name);

    if (!classic_quorate(slot->sim) || !classic_up(slot->node))
        return HA_REFUSED;
    bool lapsed = lock == NULL || slot->clock_s - lock->renewed_s > LOCK_S;
    if (!lapsed && !g_str_equal(lock->node, slot->node->name))
        return HA_REFUSED;
    if (lapsed) {
        lock = g_new0(ClassicLock, 1);
        lock->node = g_strdup(slot->node->name);
        g_hash_table_insert(slot->sim->locks, g_strdup(name), lock);
    }
    lock->renewed_s = slot->clock_s;
    lease->fresh = lapsed;
    lease->heard = env_now(env);
    lease->generation = (HaGeneration){ 1, (uint64_t)slot->sim->status_version + 1 };
    return HA_DONE;
}

static HaOutcome
env_lease_release(HaEnv *env, const char *name, HaGeneration generation)
{
    ClassicSlot *slot = (ClassicSlot *)env;
    ClassicLock *lock = g_hash_table_lookup(slot->sim->locks, name);

    if (!classic_quorate(slot->sim) || !classic_up(slot->node) || lock == NULL)
        return HA_REFUSED;
    if (slot->clock_s - lock->renewed_s > LOCK_S)
        return HA_DONE;
    if (!g_str_equal(lock->node, slot->node->name))
        return HA_REFUSED;
    g_hash_table_remove(slot->sim->locks, name);
    return HA_DONE;
}

static HaOutcome
env_guard(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline)
{
    ClassicSlot *slot = (ClassicSlot *)env;

    slot->watchdog_s = verb == HA_GUARD_CLOSE ? -1 : slot->sim->now_s;
    return HA_DONE;
}

/* ------------------------------------------------------------------ writing */

static void
replace(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static void
apply(Classic *sim, const HaChange *change)
{
    HaConfig *config = change->sid != NULL ? g_hash_table_lookup(sim->configs, change->sid) : NULL;

    switch (change->kind) {
    case HA_CHANGE_STATUS:
        replace(&sim->status, change->text);
        sim->status_version++;
        break;
    case HA_CHANGE_LRM_STATUS:
        g_hash_table_insert(sim->lrm_status, g_strdup(change->node), g_strdup(change->text));
        break;
    case HA_CHANGE_RECOVER:
        replace(&config->node, change->to);
        break;
    case HA_CHANGE_SET_REQUEST:
        if (config != NULL)
            ha_request_parse(change->text, &config->state);
        break;
    case HA_CHANGE_CLEAR_LOCK:
        g_clear_pointer(&config->lock, g_free);
        break;
    case HA_CHANGE_COMMANDS:
        g_ptr_array_remove_range(sim->commands, 0, (guint)change->count);
        break;
    case HA_CHANGE_RULES:
        replace(&sim->rules, change->text);
        break;
    case HA_CHANGE_DROP_GROUP:
        g_clear_pointer(&config->group, g_free);
        config->failback = change->text == NULL;
        break;
    case HA_CHANGE_GROUPS:
        g_clear_pointer(&sim->groups, g_free);
        break;
    case HA_CHANGE_GIVE:
    case HA_CHANGE_GUARD:
    case HA_CHANGE_RUN_CLEAR:
        break; /* not of this world */
    }
}

static HaOutcome
env_commit(HaEnv *env, const HaCommit *commit, GError **error)
{
    ClassicSlot *slot = (ClassicSlot *)env;

    if (!slot->node->rw) {
        q_set_error(error, Q_ERROR_IO, "the storage fails");
        return HA_REFUSED;
    }
    for (guint i = 0; i < commit->changes->len; i++)
        apply(slot->sim, commit->changes->pdata[i]);
    return HA_DONE;
}

static void
env_emit(HaEnv *env, const HaEvent *event)
{
    ClassicSlot *slot = (ClassicSlot *)env;
    g_autofree char *by =
        g_strdup_printf("%s/%s", slot->node->name, slot->role == ROLE_CRM ? "crm" : "lrm");

    slot->sim->tell(slot->clock_s, by, event, slot->sim->data);
}

void
classic_env_init(ClassicSlot *slot, Classic *sim, ClassicNode *node, ClassicRole role)
{
    slot->env = (HaEnv){
        .node = node->name,
        .timing = &sim->timing,
        .now = env_now,
        .read = env_read,
        .lease_hold = env_lease_hold,
        .lease_release = env_lease_release,
        .guard = env_guard,
        .commit = env_commit,
        .submit = classic_submit,
        .emit = env_emit,
    };
    slot->sim = sim;
    slot->node = node;
    slot->role = role;
    slot->watchdog_s = -1;
    slot->local.busy = g_hash_table_new(g_str_hash, g_str_equal);
    slot->local.gates = g_hash_table_new(g_str_hash, g_str_equal);
}

void
classic_env_clear(ClassicSlot *slot)
{
    ha_world_free(slot->world);
    g_hash_table_unref(slot->local.busy);
    g_hash_table_unref(slot->local.gates);
}
