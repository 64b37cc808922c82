#include "lab/history.h"
#include <string.h>

struct LabHistory {
    GArray *intervals; /* LabInterval, in the order in which they were seen */
    GArray *ran;       /* guint: those that ran in the last look */
    GArray *pairs;     /* guint[2]: those that ran at once */
};

LabHistory *
lab_history_new(void)
{
    LabHistory *history = g_new0(LabHistory, 1);

    history->intervals = g_array_new(FALSE, FALSE, sizeof(LabInterval));
    history->ran = g_array_new(FALSE, FALSE, sizeof(guint));
    history->pairs = g_array_new(FALSE, FALSE, sizeof(guint[2]));
    return history;
}

void
lab_history_free(LabHistory *history)
{
    if (history == NULL) {
        return;
    }
    g_array_unref(history->intervals);
    g_array_unref(history->ran);
    g_array_unref(history->pairs);
    g_free(history);
}

guint
lab_history_add(LabHistory *history, const LabInterval *interval)
{
    g_array_append_vals(history->intervals, interval, 1);
    return history->intervals->len - 1;
}

LabInterval *
lab_history_at(LabHistory *history, guint number)
{
    return &g_array_index(history->intervals, LabInterval, number);
}

guint
lab_history_length(const LabHistory *history)
{
    return history->intervals->len;
}

static bool
contains(const GArray *numbers, guint number)
{
    for (guint i = 0; i < numbers->len; i++) {
        if (g_array_index(numbers, guint, i) == number) {
            return true;
        }
    }
    return false;
}

static bool
pair_is_known(const LabHistory *history, guint a, guint b)
{
    for (guint i = 0; i < history->pairs->len; i++) {
        const guint *pair = (const guint *)(void *)history->pairs->data + 2 * i;
        if (pair[0] == a && pair[1] == b) {
            return true;
        }
    }
    return false;
}

void
lab_history_look(LabHistory *history, int64_t now_ms, GArray *ran)
{
    for (guint i = 0; i < ran->len; i++) {
        guint a = g_array_index(ran, guint, i);
        LabInterval *first = lab_history_at(history, a);

        first->cont_ms = first->cont_ms < 0 ? now_ms : first->cont_ms;
        first->ran_ms = now_ms;
        for (guint j = 0; j < ran->len; j++) {
            guint b = g_array_index(ran, guint, j);
            const LabInterval *second = lab_history_at(history, b);

            if (a < b && first->vmid == second->vmid && (first->incoming || second->incoming)
                && contains(history->ran, a) && contains(history->ran, b)
                && !pair_is_known(history, a, b)) {
                g_array_append_vals(history->pairs, (guint[2]){ a, b }, 1);
            }
        }
    }
    g_array_set_size(history->ran, 0);
    g_array_append_vals(history->ran, ran->data, ran->len);
}

static void
add_time(JsonObject *object, const char *name, int64_t time_ms)
{
    if (time_ms < 0) {
        json_object_set_null_member(object, name);
    } else {
        json_object_set_int_member(object, name, time_ms);
    }
}

static JsonObject *
interval_json(const LabInterval *interval)
{
    JsonObject *object = json_object_new();
    g_autofree char *node = g_strdup_printf("node%d", interval->node);

    json_object_set_int_member(object, "vmid", interval->vmid);
    json_object_set_string_member(object, "node", node);
    json_object_set_int_member(object, "pid", interval->pid);
    add_time(object, "start_ms", interval->start_ms);
    add_time(object, "end_ms", interval->end_ms);
    json_object_set_string_member(object, "how", interval->incoming ? "incoming" : "started");
    add_time(object, "cont_ms", interval->cont_ms);
    add_time(object, "ran_ms", interval->ran_ms);
    if (interval->end != NULL) {
        json_object_set_string_member(object, "end", interval->end);
    } else {
        json_object_set_null_member(object, "end");
    }
    return object;
}

JsonArray *
lab_history_json(const LabHistory *history, int vmid)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < history->intervals->len; i++) {
        const LabInterval *interval = &g_array_index(history->intervals, LabInterval, i);
        if (vmid == 0 || interval->vmid == vmid) {
            json_array_add_object_element(array, interval_json(interval));
        }
    }
    return array;
}

static bool
have_common_time(const LabInterval *a, const LabInterval *b)
{
    return (b->end_ms < 0 || a->start_ms < b->end_ms) && (a->end_ms < 0 || b->start_ms < a->end_ms);
}

JsonArray *
lab_history_overlaps(const LabHistory *history, int vmid)
{
    JsonArray *array = json_array_new();

    for (guint b = 0; b < history->intervals->len; b++) {
        const LabInterval *second = &g_array_index(history->intervals, LabInterval, b);
        for (guint a = 0; a < b; a++) {
            const LabInterval *first = &g_array_index(history->intervals, LabInterval, a);

            if (first->vmid != second->vmid || (vmid != 0 && first->vmid != vmid)) {
                continue;
            }
            if (first->incoming || second->incoming ? pair_is_known(history, a, b)
                                                    : have_common_time(first, second)) {
                JsonArray *pair = json_array_new();
                json_array_add_object_element(pair, interval_json(first));
                json_array_add_object_element(pair, interval_json(second));
                json_array_add_array_element(array, pair);
            }
        }
    }
    return array;
}
