#include "ha/core/usage.h"

static GPtrArray *
three_nodes(void)
{
    static HaNode nodes[] = {
        { .name = (char *)"node1", .max_cpu = 8, .max_mem = 8e9, .has_capacity = true },
        { .name = (char *)"node2", .max_cpu = 8, .max_mem = 8e9, .has_capacity = true },
        { .name = (char *)"node3", .max_cpu = 8, .max_mem = 8e9, .has_capacity = true },
    };
    GPtrArray *list = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++)
        g_ptr_array_add(list, &nodes[i]);
    return list;
}

/* ha.md 11.4: a single loaded node of three gives 1.41; none, and equal ones, 0. */
static void
test_imbalance(void)
{
    HaConfig config = { .sid = (char *)"vm:1", .max_cpu = 4, .max_mem = 4e9, .has_static = true };
    g_autoptr(GPtrArray) nodes = three_nodes();
    g_autoptr(HaUsage) usage = ha_usage_new(HA_USAGE_STATIC, nodes);

    g_assert_cmpfloat(ha_usage_imbalance(usage), ==, 0);
    ha_usage_set(usage, "vm:1", "node2", NULL, true, &config);
    g_assert_cmpfloat_with_epsilon(ha_usage_imbalance(usage), 1.41421356, 1e-6);
    ha_usage_set(usage, "vm:2", "node1", NULL, true, &config);
    ha_usage_set(usage, "vm:3", "node3", NULL, true, &config);
    g_assert_cmpfloat(ha_usage_imbalance(usage), ==, 0);
    HaUsageMove move = { 0, 1, 4, 4e9 };
    g_assert_cmpfloat(ha_usage_imbalance_after(usage, &move), >, 0.8);
}

/* The emptiest node is the best; a service is not counted twice however often it is set. */
static void
test_score(void)
{
    HaConfig config = { .sid = (char *)"vm:1", .max_cpu = 4, .max_mem = 4e9, .has_static = true };
    g_autoptr(GPtrArray) nodes = three_nodes();
    g_autoptr(HaUsage) usage = ha_usage_new(HA_USAGE_STATIC, nodes);
    double scores[3];

    ha_usage_set(usage, "vm:1", "node1", NULL, true, &config);
    ha_usage_set(usage, "vm:2", "node3", NULL, true, &config);
    ha_usage_set(usage, "vm:2", "node3", NULL, true, &config);
    ha_usage_score(usage, &config, scores);
    g_assert_cmpfloat(scores[1], <, scores[0]);
    g_assert_cmpfloat(scores[0], ==, scores[2]);
    g_assert_true(ha_usage_has(usage, "vm:2"));
    ha_usage_set(usage, "vm:2", NULL, NULL, false, &config);
    g_assert_false(ha_usage_has(usage, "vm:2"));
    g_assert_cmpint(ha_usage_find(usage, "node9"), ==, -1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/usage/imbalance", test_imbalance);
    g_test_add_func("/ha/core/usage/score", test_score);
    return g_test_run();
}
