#include "lab/history.h"

/* Times in ms; -1: still there. */
static guint
add(LabHistory *history, int vmid, int node, int64_t start_ms, int64_t end_ms, bool incoming)
{
    LabInterval interval = { .vmid = vmid,
                             .node = node,
                             .pid = 1000 + node,
                             .start_ms = start_ms,
                             .end_ms = end_ms,
                             .incoming = incoming,
                             .cont_ms = -1,
                             .ran_ms = -1 };

    return lab_history_add(history, &interval);
}

static guint
overlaps(const LabHistory *history, int vmid)
{
    g_autoptr(JsonArray) pairs = lab_history_overlaps(history, vmid);

    return json_array_get_length(pairs);
}

static void
look(LabHistory *history, int64_t now_ms, guint a, guint b)
{
    g_autoptr(GArray) ran = g_array_new(FALSE, FALSE, sizeof(guint));

    g_array_append_val(ran, a);
    if (b != a) {
        g_array_append_val(ran, b);
    }
    lab_history_look(history, now_ms, ran);
}

static void
test_common_time(void)
{
    static const struct {
        const char *name;
        int64_t start_ms, end_ms;
        guint pairs;
    } cases[] = {
        { "before", 0, 100, 0 },      { "touches", 50, 100, 0 },
        { "reaches in", 50, 101, 1 }, { "within", 120, 150, 1 },
        { "around", 50, 300, 1 },     { "from its end on", 200, -1, 0 },
        { "until now", 199, -1, 1 },  { "always there", 0, -1, 1 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(LabHistory) history = lab_history_new();

        g_test_message("%s", cases[i].name);
        add(history, 100, 1, 100, 200, false);
        add(history, 100, 2, cases[i].start_ms, cases[i].end_ms, false);
        add(history, 101, 3, 0, -1, false); /* another guest overlaps nobody */
        g_assert_cmpuint(overlaps(history, 100), ==, cases[i].pairs);
        g_assert_cmpuint(overlaps(history, 0), ==, cases[i].pairs);
        g_assert_cmpuint(overlaps(history, 101), ==, 0);
    }
}

static void
test_both_alive(void)
{
    g_autoptr(LabHistory) history = lab_history_new();

    add(history, 100, 1, 100, -1, false);
    add(history, 100, 2, 5000, -1, false);
    g_assert_cmpuint(overlaps(history, 100), ==, 1);
}

/* A migration's target waits beside its source: that is no second run until both run. */
static void
test_incoming(void)
{
    g_autoptr(LabHistory) history = lab_history_new();
    guint source = add(history, 100, 1, 100, -1, false);
    guint target = add(history, 100, 2, 5000, -1, true);

    look(history, 5100, source, source);
    look(history, 5200, source, target); /* the hand-over lies within one look */
    look(history, 5300, target, target);
    g_assert_cmpuint(overlaps(history, 0), ==, 0);
    g_assert_cmpint(lab_history_at(history, source)->cont_ms, ==, 5100);
    g_assert_cmpint(lab_history_at(history, source)->ran_ms, ==, 5200);
    g_assert_cmpint(lab_history_at(history, target)->cont_ms, ==, 5200);

    look(history, 5400, source, target);
    g_assert_cmpuint(overlaps(history, 0), ==, 0);
    look(history, 5500, source, target);
    look(history, 5600, source, target);
    g_assert_cmpuint(overlaps(history, 0), ==, 1);
}

static void
test_json(void)
{
    g_autoptr(LabHistory) history = lab_history_new();

    add(history, 100, 1, 100, -1, false);
    add(history, 101, 2, 100, 300, true);
    lab_history_at(history, 1)->end = "power";
    g_autoptr(JsonNode) all = q_json_node_array(lab_history_json(history, 0));
    g_autofree char *text = q_json_text(all, Q_JSON_COMPACT);
    g_assert_cmpstr(text, ==,
                    "[{\"cont_ms\":null,\"end\":null,\"end_ms\":null,\"how\":\"started\",\"node\":"
                    "\"node1\",\"pid\":1001,\"ran_ms\":null,\"start_ms\":100,\"vmid\":100},"
                    "{\"cont_ms\":null,\"end\":\"power\",\"end_ms\":300,\"how\":\"incoming\","
                    "\"node\":\"node2\",\"pid\":1002,\"ran_ms\":null,\"start_ms\":100,"
                    "\"vmid\":101}]");
    g_autoptr(JsonArray) one = lab_history_json(history, 101);
    g_assert_cmpuint(json_array_get_length(one), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lab/history/common-time", test_common_time);
    g_test_add_func("/lab/history/both-alive", test_both_alive);
    g_test_add_func("/lab/history/incoming", test_incoming);
    g_test_add_func("/lab/history/json", test_json);
    return g_test_run();
}
