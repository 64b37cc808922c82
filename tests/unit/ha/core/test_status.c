#include "ha/core/env.h"

static void
test_round_trip(void)
{
    static const char text[] =
        "{\"disarm\":{\"mode\":\"freeze\",\"state\":\"disarming\"},\"master_node\":\"node1\","
        "\"node_request\":{\"node2\":{\"maintenance\":1}},\"node_status\":{\"node1\":\"online\","
        "\"node2\":\"maintenance\"},"
        "\"service_status\":{\"vm:100\":{\"cmd\":[\"migrate\",\"node2\"],\"failed_nodes\":["
        "\"node3\",\"node3\"],"
        "\"node\":\"node1\",\"running\":1,\"state\":\"started\",\"uid\":\"1.2-3\"},"
        "\"vm:101\":{\"cmd\":[\"stop\",60],\"node\":\"node2\",\"state\":\"request_stop\","
        "\"timeout\":0}},\"timestamp\":10}";
    g_autoptr(HaStatus) status = ha_status_parse(text, NULL);
    g_assert_nonnull(status);
    g_autoptr(HaStatus) copy = ha_status_copy(status);
    g_autofree char *again = ha_status_text(copy);

    g_assert_cmpstr(again, ==, text);
}

static void
test_bad(void)
{
    static const char *const cases[] = { "[]", "{",
                                         "{\"service_status\":{\"vm:1\":{\"state\":\"odd\"}}}",
                                         "{\"service_status\":{\"vm:1\":3}}" };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i]);
        g_assert_null(ha_status_parse(cases[i], &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
    g_autoptr(HaStatus) empty = ha_status_parse("", NULL);
    g_assert_nonnull(empty);
}

static void
test_generation(void)
{
    HaGeneration parsed;

    g_assert_true(ha_generation_parse("3.17", &parsed));
    g_assert_cmpint(ha_generation_compare(parsed, (HaGeneration){ 3, 17 }), ==, 0);
    g_assert_cmpint(ha_generation_compare((HaGeneration){ 2, 99 }, parsed), <, 0);
    g_assert_false(ha_generation_parse("3", &parsed));
    g_assert_false(ha_generation_parse("3.1x", &parsed));
    g_assert_false(ha_generation_parse("u", &parsed));
}

static void
test_datacenter(void)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    HaDatacenter *datacenter =
        ha_datacenter_parse("ha: shutdown_policy=migrate,profile=steady\n"
                            "crs: ha=static,ha-auto-rebalance=1,odd=2\nmax_workers: 9\n",
                            "fast", warnings);

    g_assert_cmpstr(datacenter->profile, ==, "steady");
    g_assert_cmpstr(datacenter->shutdown_policy, ==, "migrate");
    g_assert_cmpstr(datacenter->mode, ==, "static");
    g_assert_true(datacenter->auto_rebalance);
    g_assert_cmpint(datacenter->max_workers, ==, 9);
    g_assert_cmpuint(warnings->len, ==, 1);
    ha_datacenter_free(datacenter);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/status/round-trip", test_round_trip);
    g_test_add_func("/ha/core/status/bad", test_bad);
    g_test_add_func("/ha/core/env/generation", test_generation);
    g_test_add_func("/ha/core/env/datacenter", test_datacenter);
    return g_test_run();
}
