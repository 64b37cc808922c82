#include "ha/core/crm_priv.h"

/*
 * ha.md 21: basic placement with the non-strict rule "vm:111 on node1", on a table from which nodes
 * come and go; each call moves the service.
 */
typedef struct {
    Crm crm;
    HaTiming timing;
    HaEnv env;
    HaRound round;
    HaService *service;
    HaWorld *world;
} Table;

static void
set_nodes(Table *table, const char *const *names, size_t count)
{
    g_clear_pointer(&table->round.usage, ha_usage_free);
    g_ptr_array_set_size(table->round.online, 0);
    for (size_t i = 0; i < count; i++) {
        HaNode *node = g_hash_table_lookup(table->world->nodes, names[i]);
        g_ptr_array_add(table->round.online, node);
    }
    table->round.usage = ha_usage_new(HA_USAGE_BASIC, table->round.online);
}

static Table *
table_new(void)
{
    static const char *const all[] = { "node1", "node2", "node3" };
    Table *table = g_new0(Table, 1);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GPtrArray) rules =
        ha_rules_parse("node-affinity: home\n\tresources vm:111\n\tnodes node1\n", NULL);
    HaConfig *config = g_new0(HaConfig, 1);

    table->world = ha_world_new();
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        HaNode *node = g_new0(HaNode, 1);
        node->name = g_strdup(all[i]);
        g_hash_table_insert(table->world->nodes, g_strdup(all[i]), node);
        g_ptr_array_add(names, (gpointer)all[i]);
    }
    config->sid = g_strdup("vm:111");
    config->node = g_strdup("node1");
    config->failback = true;
    g_hash_table_insert(table->world->configs, g_strdup("vm:111"), config);
    table->crm.affinity = ha_affinity_new(rules, names);
    table->round = (HaRound){ .crm = &table->crm,
                              .world = table->world,
                              .online = g_ptr_array_new(),
                              .changed = g_hash_table_new(g_str_hash, g_str_equal),
                              .status = ha_status_new() };
    table->service = ha_service_new("vm:111", HA_STATE_STARTED, "node1");
    set_nodes(table, all, 3);
    return table;
}

static void
table_free(Table *table)
{
    ha_usage_free(table->round.usage);
    ha_affinity_free(table->crm.affinity);
    ha_service_free(table->service);
    ha_status_free(table->round.status);
    g_hash_table_unref(table->round.changed);
    g_ptr_array_unref(table->round.online);
    ha_world_free(table->world);
    g_free(table);
}

static void
choose(Table *table, HaPreference preference, const char *expected)
{
    const char *node = round_choose(&table->round, table->service, preference);

    g_assert_cmpstr(node, ==, expected);
    g_free(table->service->node);
    table->service->node = g_strdup(expected);
}

static void
test_sequence(void)
{
    static const char *const without1[] = { "node2", "node3" }, *const only3[] = { "node3" },
                             *const without2[] = { "node1", "node3" },
                             *const all[] = { "node1", "node2", "node3" };
    Table *table = table_new();

    choose(table, HA_PREFER_STAY, "node1");
    choose(table, HA_PREFER_NEXT, "node1");
    set_nodes(table, without1, 2);
    choose(table, HA_PREFER_STAY, "node2");
    choose(table, HA_PREFER_NEXT, "node3");
    choose(table, HA_PREFER_NEXT, "node2");
    set_nodes(table, only3, 1);
    choose(table, HA_PREFER_STAY, "node3");
    choose(table, HA_PREFER_NEXT, "node3");
    set_nodes(table, without2, 2);
    choose(table, HA_PREFER_STAY, "node1");
    set_nodes(table, all, 3);
    choose(table, HA_PREFER_STAY, "node1");
    choose(table, HA_PREFER_NEXT, "node1");
    table_free(table);
}

/* With as many services on each, names decide; with fewer somewhere, they do not. */
static void
test_counts(void)
{
    Table *table = table_new();

    g_clear_pointer(&table->crm.affinity, ha_affinity_free);
    choose(table, HA_PREFER_BEST, "node1");
    ha_usage_set(table->round.usage, "vm:1", "node1", NULL, true, NULL);
    choose(table, HA_PREFER_BEST, "node2");
    ha_usage_set(table->round.usage, "vm:2", "node2", "node3", true,
                 NULL); /* a moving one counts twice */
    choose(table, HA_PREFER_BEST, "node1");
    ha_usage_set(table->round.usage, "vm:2", "node1", NULL, true, NULL);
    choose(table, HA_PREFER_BEST, "node2");
    table_free(table);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/placement/sequence", test_sequence);
    g_test_add_func("/ha/core/placement/counts", test_counts);
    return g_test_run();
}
