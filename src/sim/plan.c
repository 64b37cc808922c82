#include "sim/plan.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "base/sorted.h"
#include "ha/core/crm.h"
#include "sim/story.h"

/*
 * The core decides once on a committed snapshot in which the lost nodes are fenced and what ran
 * there is proven dead; its commit is the plan.
 */
typedef struct {
    HaEnv env; /* first */
    HaTiming timing;
    HaWorld *world;
    HaLocal local;
    HaStatus *before;
    HaStatus *after; /* the first commit's */
} Plan;

static HaTime
plan_now(HaEnv *env)
{
    return (HaTime){ 1000000, 1000000 };
}

static const HaWorld *
plan_read(HaEnv *env)
{
    return ((Plan *)env)->world;
}

static HaOutcome
plan_lease_hold(HaEnv *env, const char *name, HaLease *lease)
{
    lease->generation = (HaGeneration){ 1, 1 };
    lease->heard = plan_now(env);
    return HA_DONE;
}

static HaOutcome
plan_lease_release(HaEnv *env, const char *name, HaGeneration generation)
{
    return HA_DONE;
}

static HaOutcome
plan_guard(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline)
{
    return HA_DONE;
}

static HaOutcome
plan_commit(HaEnv *env, const HaCommit *commit, GError **error)
{
    Plan *plan = (Plan *)env;

    for (guint i = 0; i < commit->changes->len; i++) {
        const HaChange *change = commit->changes->pdata[i];
        if (change->kind == HA_CHANGE_STATUS && plan->after == NULL)
            plan->after = ha_status_parse(change->text, NULL);
    }
    return HA_PENDING; /* one decision is all that is wanted */
}

static HaOutcome
plan_submit(HaEnv *env, const HaJob *job, int *rc)
{
    return HA_REFUSED;
}

static void
plan_emit(HaEnv *env, const HaEvent *event)
{
}

/* ------------------------------------------------------------------ the snapshot */

static bool
is_lost(JsonArray *lost, const HaNode *node)
{
    for (guint i = 0; lost != NULL && i < json_array_get_length(lost); i++) {
        if (g_strcmp0(json_array_get_string_element(lost, i), node->name) == 0)
            return true;
    }
    return !node->online;
}

static void
add_nodes(Plan *plan, const Story *story)
{
    JsonArray *lost = q_json_array(story->object, "lost");
    g_autoptr(GPtrArray) nodes = story_nodes(story);

    for (guint i = 0; i < nodes->len; i++) {
        HaNode *node = nodes->pdata[i];
        node->online = !is_lost(lost, node);
        if (!g_hash_table_contains(plan->world->status->nodes, node->name))
            g_hash_table_insert(plan->world->status->nodes, g_strdup(node->name),
                                GINT_TO_POINTER(HA_NODE_ONLINE));
        if (node->online && plan->env.node == NULL)
            plan->env.node = node->name;
        if (!node->online) {
            HaLeaseView *lease = g_new0(HaLeaseView, 1);
            lease->state = HA_LEASE_FENCED;
            lease->node = g_strdup("");
            lease->boot = g_strdup("");
            lease->generation = (HaGeneration){ 1, 1 };
            g_hash_table_insert(plan->world->leases, ha_agent_lease(node->name), lease);
        }
        g_hash_table_insert(plan->world->nodes, g_strdup(node->name), node);
    }
    g_ptr_array_set_free_func(nodes, NULL);
}

static void
add_services(Plan *plan, GPtrArray *services)
{
    for (guint i = 0; i < services->len; i++) {
        HaConfig *config = ha_config_copy(services->pdata[i]);
        HaNode *node = g_hash_table_lookup(plan->world->nodes, config->node);
        config->runs = config->state == HA_REQUEST_STARTED;
        if (node != NULL && config->runs) {
            node->cpu += config->cpu;
            node->mem += config->mem;
        }
        g_hash_table_insert(plan->world->configs, g_strdup(config->sid), config);
        /* A cluster at work: what is to run runs where it is. */
        if (ha_status_service(plan->world->status, config->sid) == NULL
            && config->state != HA_REQUEST_IGNORED) {
            HaService *service = ha_service_new(
                config->sid, config->runs ? HA_STATE_STARTED : HA_STATE_STOPPED, config->node);
            service->running = config->runs;
            g_hash_table_insert(plan->world->status->services, g_strdup(config->sid), service);
        }
    }
}

static bool
set_up(Plan *plan, const Story *story, GError **error)
{
    JsonObject *status = q_json_object(story->object, "manager_status");
    g_autofree char *text = status != NULL ? q_json_object_text(status, Q_JSON_COMPACT) : NULL;
    g_autoptr(GPtrArray) services = story_services(story, error);

    plan->world = ha_world_new();
    plan->world->status = ha_status_parse(text, error);
    if (services == NULL || plan->world->status == NULL
        || !ha_timing("fast", NULL, &plan->timing, error))
        return false;
    plan->env = (HaEnv){ NULL,       &plan->timing,   plan_now,
                         plan_read,  plan_lease_hold, plan_lease_release,
                         plan_guard, plan_commit,     plan_submit,
                         plan_emit };
    plan->world->quorate = true;
    plan->world->local = &plan->local;
    plan->world->datacenter = story_datacenter(story);
    plan->world->rules_text = g_strdup(q_json_string(story->object, "rules", ""));
    plan->world->groups_text = g_strdup(q_json_string(story->object, "groups", NULL));
    add_nodes(plan, story);
    add_services(plan, services);
    plan->before = ha_status_copy(plan->world->status);
    if (plan->env.node == NULL)
        return q_set_error(error, Q_ERROR_INVALID, "no node is on: nobody can decide");
    return true;
}

/* ------------------------------------------------------------------ what was decided */

static int64_t
now_us(void)
{
    return g_get_monotonic_time();
}

static long
peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Where a service goes: its new node, or the target of its move; NULL: it does not. */
static const char *
goes_to(const HaService *before, const HaService *after)
{
    if (after->target != NULL && g_strcmp0(after->target, before->node) != 0)
        return after->target;
    return g_strcmp0(after->node, before->node) != 0 ? after->node : NULL;
}

static const char *
why(const HaService *after)
{
    return after->target != NULL ? "placement" : "recovery";
}

static bool
is_unplaced(const HaService *after)
{
    return after->state == HA_STATE_RECOVERY || after->state == HA_STATE_FENCE;
}

static void
print_text(const Plan *plan, double plan_ms, double parse_ms)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(plan->before->services);

    for (guint i = 0; plan->after != NULL && i < sids->len; i++) {
        const HaService *before = ha_status_service(plan->before, sids->pdata[i]);
        const HaService *after = ha_status_service(plan->after, sids->pdata[i]);
        if (after == NULL)
            continue;
        const char *to = goes_to(before, after);
        if (to != NULL)
            printf("%s %s -> %s\n", before->sid, before->node, to);
        else if (is_unplaced(after))
            printf("%s %s unplaced: no allowed node is online\n", before->sid, before->node);
    }
    printf("plan %.3f ms, parse %.3f ms, peak %ld KiB\n", plan_ms, parse_ms, peak_kib());
}

static void
print_json(const Plan *plan, double plan_ms, double parse_ms)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(plan->before->services);
    g_autoptr(GString) moves = g_string_new(NULL);
    g_autoptr(GString) unplaced = g_string_new(NULL);

    for (guint i = 0; plan->after != NULL && i < sids->len; i++) {
        const HaService *before = ha_status_service(plan->before, sids->pdata[i]);
        const HaService *after = ha_status_service(plan->after, sids->pdata[i]);
        if (after == NULL)
            continue;
        const char *to = goes_to(before, after);
        if (to != NULL)
            g_string_append_printf(
                moves, "%s{\"sid\":\"%s\",\"why\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"}",
                moves->len > 0 ? "," : "", before->sid, why(after), before->node, to);
        else if (is_unplaced(after))
            g_string_append_printf(unplaced,
                                   "%s{\"sid\":\"%s\",\"why\":\"no allowed node is online\"}",
                                   unplaced->len > 0 ? "," : "", before->sid);
    }
    printf(
        "{\"plan_ms\":%.3f,\"parse_ms\":%.3f,\"peak_kib\":%ld,\"moves\":[%s],\"unplaced\":[%s]}\n",
        plan_ms, parse_ms, peak_kib(), moves->str, unplaced->str);
}

int
plan_main(int argc, char **argv)
{
    bool json = argc > 2 && g_str_equal(argv[1], "--json");
    g_autoptr(GError) error = NULL;
    Plan plan = { 0 };
    int64_t began_us = now_us();
    g_autoptr(Story) story = story_read(argv[argc - 1], &error);

    if (story == NULL || !set_up(&plan, story, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    int64_t parsed_us = now_us();
    g_autoptr(Crm) crm = crm_new(&plan.env);
    crm_step(crm, &plan.env); /* becomes master, and decides */
    int64_t planned_us = now_us();
    (json ? print_json : print_text)(&plan, (double)(planned_us - parsed_us) / 1000,
                                     (double)(parsed_us - began_us) / 1000);
    ha_status_free(plan.before);
    ha_status_free(plan.after);
    ha_world_free(plan.world);
    return 0;
}
