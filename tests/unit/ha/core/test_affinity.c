#include "ha/core/rules.h"

static GPtrArray *
node_names(void)
{
    static const char *const names[] = { "node1", "node2", "node3" };
    GPtrArray *nodes = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_ptr_array_add(nodes, (gpointer)names[i]);
    return nodes;
}

static void
test_bad_sections(void)
{
    static const char text[] =
        "node-affinity: ok\n\tresources vm:1\n\tnodes node1\n\n"
        "node-affinity: no-nodes\n\tresources vm:1\n\n"
        "node-affinity: bad-priority\n\tresources vm:1\n\tnodes node1:x\n\n"
        "resource-affinity: bad-word\n\tresources vm:1,vm:2\n\taffinity maybe\n\n"
        "odd: type\n\tresources vm:1\n";
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) rules = ha_rules_parse(text, warnings);

    g_assert_cmpuint(rules->len, ==, 1);
    g_assert_cmpuint(warnings->len, ==, 4);
}

/* A rule that is off neither counts nor goes away. */
static void
test_disabled(void)
{
    g_autoptr(GPtrArray) nodes = node_names();
    g_autoptr(GPtrArray) rules = ha_rules_parse(
        "node-affinity: off\n\tresources vm:1\n\tnodes node1\n\tstrict 1\n\tdisable 0\n", NULL);
    g_autoptr(GPtrArray) problems = ha_rules_transform(rules, nodes->len);
    g_autoptr(HaAffinity) affinity = ha_affinity_new(rules, nodes);

    g_assert_cmpuint(rules->len, ==, 1);
    g_assert_cmpuint(problems->len, ==, 0);
    g_assert_null(ha_affinity_nodes(affinity, "vm:1"));
}

/* Without `strict` every other node is allowed, at the end of the line. */
static void
test_priorities(void)
{
    g_autoptr(GPtrArray) nodes = node_names();
    g_autoptr(GPtrArray) rules =
        ha_rules_parse("node-affinity: a\n\tresources vm:1\n\tnodes node2:5\n", NULL);
    g_autoptr(GPtrArray) problems = ha_rules_transform(rules, nodes->len);
    g_autoptr(HaAffinity) affinity = ha_affinity_new(rules, nodes);
    GHashTable *priorities = ha_affinity_nodes(affinity, "vm:1");

    g_assert_cmpuint(problems->len, ==, 0);
    g_assert_cmpint(GPOINTER_TO_INT(g_hash_table_lookup(priorities, "node2")), ==, 5);
    g_assert_cmpint(GPOINTER_TO_INT(g_hash_table_lookup(priorities, "node1")), ==, -1);
    g_assert_cmpuint(g_hash_table_size(priorities), ==, 3);
}

/* What is apart from one of those together is apart from all of them. */
static void
test_implied(void)
{
    g_autoptr(GPtrArray) nodes = node_names();
    g_autoptr(GPtrArray) rules =
        ha_rules_parse("resource-affinity: t\n\tresources vm:1,vm:2\n\taffinity positive\n\n"
                       "resource-affinity: s\n\tresources vm:2,vm:3\n\taffinity negative\n",
                       NULL);
    g_autoptr(GPtrArray) problems = ha_rules_transform(rules, nodes->len);
    g_autoptr(HaAffinity) affinity = ha_affinity_new(rules, nodes);

    g_assert_cmpuint(problems->len, ==, 0);
    g_assert_cmpuint(ha_affinity_apart(affinity, "vm:3")->len, ==, 2);
    g_assert_cmpstr(ha_affinity_apart(affinity, "vm:1")->pdata[0], ==, "vm:3");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/rules/bad-sections", test_bad_sections);
    g_test_add_func("/ha/core/rules/disabled", test_disabled);
    g_test_add_func("/ha/core/rules/priorities", test_priorities);
    g_test_add_func("/ha/core/rules/implied", test_implied);
    return g_test_run();
}
