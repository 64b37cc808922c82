#include <string.h>
#include "ha/core/event.h"

/* Every kind has a name, words, and survives without any field. */
static void
test_all(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (int kind = 0; kind < HA_EVENT_KINDS; kind++) {
        g_autoptr(HaEvent) event = ha_event_new((HaEventKind)kind, HA_F_END);
        g_autofree char *text = ha_event_text(event);
        g_autofree char *json = ha_event_json(event, 1, "node1/crm");
        g_assert_nonnull(ha_event_name(event));
        g_assert_true(g_hash_table_add(names, (gpointer)ha_event_name(event)));
        g_autoptr(JsonObject) object = q_json_parse_object(json, -1, NULL);
        g_assert_nonnull(object);
        g_assert_cmpstr(q_json_string(object, "event", NULL), ==, ha_event_name(event));
    }
}

static void
test_fields(void)
{
    static const char *const argv[] = { "migrate", "vm:\"1\"", NULL };
    g_autoptr(HaEvent) event =
        ha_event_new(HA_EVENT_SERVICE_STATE, HA_F_SID, "vm:1", HA_F_FROM, "started", HA_F_TO,
                     "fence", HA_F_NODE, NULL, HA_F_TIMEOUT, -1, HA_F_END);
    g_autoptr(HaEvent) list = ha_event_new(HA_EVENT_CRM_COMMAND, HA_F_ARGV, argv, HA_F_END);
    g_autoptr(HaEvent) numbers =
        ha_event_new(HA_EVENT_AUTO_REBALANCE, HA_F_BEFORE, 1.0, HA_F_AFTER, 0.456, HA_F_END);
    g_autofree char *text = ha_event_text(event);
    g_autofree char *first = ha_event_json(event, 7, "node1/crm");
    g_autofree char *second = ha_event_json(list, 7, "node1/crm");
    g_autofree char *third = ha_event_json(numbers, 7, "node1/crm");

    /* What is absent leaves no trace, neither in the line nor in the value. */
    g_assert_cmpstr(text, ==, "service vm:1: started => fence");
    g_assert_cmpstr(
        first, ==,
        "{\"t\": 7, \"by\": \"node1/crm\", \"event\": \"service-state\", \"level\": \"info\", "
        "\"sid\": \"vm:1\", \"from\": \"started\", \"to\": \"fence\"}");
    g_assert_nonnull(strstr(second, "[\"migrate\", \"vm:\\\"1\\\"\"]"));
    g_assert_nonnull(strstr(third, "\"before\": 1.0, \"after\": 0.46"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/event/all", test_all);
    g_test_add_func("/ha/core/event/fields", test_fields);
    return g_test_run();
}
