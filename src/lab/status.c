#include "lab/status.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "lab/enter.h"
#include "lab/hardware.h"
#include "lab/net.h"
#include "sys/clock.h"

enum { PROBE_WAIT_MS = 2000, HARDWARE_WAIT_MS = 5000 };

/* What one host's own files say of the cluster. */
typedef struct {
    JsonObject *members; /* .members; NULL: off, frozen, not mounted */
    char *master;        /* of ha/manager_status, or NULL */
} View;

static void
read_view(const Lab *lab, int node, View *view)
{
    static const char script[] =
        "cat /etc/pve/.members; echo; echo ---; cat /etc/pve/ha/manager_status 2>/dev/null";
    const char *argv[] = { "sh", "-c", script, NULL };
    g_autofree char *out = NULL;

    if (lab_enter_output(lab, node, argv, PROBE_WAIT_MS, true, &out, NULL) < 0 || out == NULL) {
        return;
    }
    char *second = strstr(out, "---");
    if (second != NULL) {
        *second = '\0';
        g_autoptr(JsonObject) manager = q_json_parse_object(second + 3, -1, NULL);
        view->master =
            manager != NULL ? g_strdup(q_json_string(manager, "master_node", NULL)) : NULL;
    }
    view->members = q_json_parse_object(out, -1, NULL);
}

static bool
view_is_quorate(const View *view)
{
    JsonObject *cluster = view->members != NULL ? q_json_object(view->members, "cluster") : NULL;

    return cluster != NULL && q_json_bool(cluster, "quorate", false);
}

static bool
view_has_online(const View *view, const char *node)
{
    JsonObject *list = view->members != NULL ? q_json_object(view->members, "nodelist") : NULL;
    JsonObject *entry = list != NULL ? q_json_object(list, node) : NULL;

    return entry != NULL && q_json_bool(entry, "online", false);
}

static JsonObject *
ask_state(const Lab *lab)
{
    g_autoptr(JsonObject) request = json_object_new();

    json_object_set_string_member(request, "op", "state");
    return lab_hardware_ask(lab, request, HARDWARE_WAIT_MS, NULL);
}

static JsonObject *
node_json(const Lab *lab, int node, const View *own, const View *quorate)
{
    JsonObject *object = json_object_new();
    JsonArray *links = json_array_new();
    g_autofree char *name = g_strdup_printf("node%d", node);
    pid_t pid = lab_host_pid(lab, node, NULL);
    const View *judge = quorate != NULL ? quorate : own;

    for (int link = 0; link < LAB_LINKS; link++) {
        bool up = pid != 0 && lab_net_link_is_up(lab, node, link);
        json_array_add_string_element(links, up ? "up" : "down");
    }
    json_object_set_string_member(object, "node", name);
    json_object_set_string_member(object, "power", pid != 0 ? "on" : "off");
    json_object_set_boolean_member(object, "frozen", pid != 0 && lab_host_frozen(lab, node));
    if (pid != 0) {
        json_object_set_int_member(object, "pid", pid);
    } else {
        json_object_set_null_member(object, "pid");
    }
    json_object_set_array_member(object, "links", links);
    json_object_set_boolean_member(object, "member", pid != 0 && view_has_online(judge, name));
    json_object_set_boolean_member(object, "quorate", view_is_quorate(own));
    json_object_set_boolean_member(
        object, "master", pid != 0 && quorate != NULL && g_strcmp0(quorate->master, name) == 0);
    return object;
}

JsonObject *
lab_status(const Lab *lab)
{
    JsonObject *object = json_object_new();
    JsonArray *nodes = json_array_new();
    g_autoptr(JsonObject) state = ask_state(lab);
    JsonArray *guests = state != NULL ? q_json_array(state, "guests") : NULL;
    g_autofree View *views = g_new0(View, LAB_NODES_MAX + 1);
    const View *quorate = NULL;

    for (int i = 1; i <= lab->nodes; i++) {
        if (lab_host_pid(lab, i, NULL) != 0 && !lab_host_frozen(lab, i)) {
            read_view(lab, i, &views[i]);
        }
        if (quorate == NULL && view_is_quorate(&views[i])) {
            quorate = &views[i];
        }
    }
    for (int i = 1; i <= lab->nodes; i++) {
        json_array_add_object_element(nodes, node_json(lab, i, &views[i], quorate));
    }
    json_object_set_string_member(object, "lab", lab->name);
    json_object_set_string_member(object, "profile", lab->profile);
    json_object_set_boolean_member(object, "hardware", state != NULL);
    json_object_set_array_member(object, "nodes", nodes);
    json_object_set_array_member(object, "guests",
                                 guests != NULL ? json_array_ref(guests) : json_array_new());
    for (int i = 1; i <= lab->nodes; i++) {
        g_clear_pointer(&views[i].members, json_object_unref);
        g_free(views[i].master);
    }
    return object;
}

static const char *
yes(bool value)
{
    return value ? "yes" : "-";
}

void
lab_status_print(JsonObject *status)
{
    JsonArray *nodes = q_json_array(status, "nodes"), *guests = q_json_array(status, "guests");
    int64_t now = q_clock_mono_ms();

    printf("Lab %s, profile %s\n\n", q_json_string(status, "lab", ""),
           q_json_string(status, "profile", ""));
    if (!q_json_bool(status, "hardware", true)) {
        printf("Its hardware process is gone: no power, no watchdogs, no guests seen.\n"
               "Take the lab down.\n\n");
    }
    printf("%-8s %-7s %8s  %-10s %-7s %-8s %s\n", "NODE", "POWER", "PID", "LINKS", "MEMBER",
           "QUORATE", "MASTER");
    for (guint i = 0; i < json_array_get_length(nodes); i++) {
        JsonObject *node = json_array_get_object_element(nodes, i);
        JsonArray *links = q_json_array(node, "links");
        g_autofree char *both = g_strdup_printf("%s %s", json_array_get_string_element(links, 0),
                                                json_array_get_string_element(links, 1));
        printf("%-8s %-7s %8" PRId64 "  %-10s %-7s %-8s %s\n", q_json_string(node, "node", ""),
               q_json_bool(node, "frozen", false) ? "frozen" : q_json_string(node, "power", ""),
               q_json_int(node, "pid", 0), both, yes(q_json_bool(node, "member", false)),
               yes(q_json_bool(node, "quorate", false)), yes(q_json_bool(node, "master", false)));
    }
    if (json_array_get_length(guests) > 0) {
        printf("\n%-8s %-8s %8s  %s\n", "GUEST", "NODE", "PID", "RUNS FOR");
    }
    for (guint i = 0; i < json_array_get_length(guests); i++) {
        JsonObject *guest = json_array_get_object_element(guests, i);
        printf("%-8" PRId64 " %-8s %8" PRId64 "  %.1f s\n", q_json_int(guest, "vmid", 0),
               q_json_string(guest, "node", ""), q_json_int(guest, "pid", 0),
               (now - q_json_int(guest, "since_ms", now)) / 1000.0);
    }
}

static void
print_interval(JsonObject *interval)
{
    int64_t end = q_json_int(interval, "end_ms", -1);

    printf("%-6" PRId64 " %-7s %8" PRId64 "  %12.3f  ", q_json_int(interval, "vmid", 0),
           q_json_string(interval, "node", ""), q_json_int(interval, "pid", 0),
           q_json_int(interval, "start_ms", 0) / 1000.0);
    if (end >= 0) {
        printf("%12.3f", end / 1000.0);
    } else {
        printf("%12s", "-");
    }
    printf("  %-8s  %s\n", q_json_string(interval, "how", ""), q_json_string(interval, "end", "-"));
}

void
lab_history_print(JsonArray *intervals)
{
    printf("%-6s %-7s %8s  %12s  %12s  %-8s  %s\n", "GUEST", "NODE", "PID", "FROM s", "TO s", "HOW",
           "END");
    for (guint i = 0; i < json_array_get_length(intervals); i++) {
        print_interval(json_array_get_object_element(intervals, i));
    }
}

void
lab_overlaps_print(JsonArray *pairs)
{
    for (guint i = 0; i < json_array_get_length(pairs); i++) {
        JsonArray *pair = json_array_get_array_element(pairs, i);
        print_interval(json_array_get_object_element(pair, 0));
        print_interval(json_array_get_object_element(pair, 1));
        printf("\n");
    }
}
