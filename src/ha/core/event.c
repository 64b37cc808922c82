#include "ha/core/event.h"
#include <stdarg.h>
#include <string.h>

typedef enum {
    VALUE_NONE,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_BOOL
} ValueType;

/* clang-format off */
static const struct { const char *name; ValueType type; } fields[HA_FIELDS] = {
    [HA_F_SID] = { "sid", VALUE_STRING },         [HA_F_NODE] = { "node", VALUE_STRING },
    [HA_F_FROM] = { "from", VALUE_STRING },       [HA_F_TO] = { "to", VALUE_STRING },
    [HA_F_TARGET] = { "target", VALUE_STRING },   [HA_F_ACTION] = { "action", VALUE_STRING },
    [HA_F_CAUSE] = { "cause", VALUE_STRING },     [HA_F_REASON] = { "reason", VALUE_STRING },
    [HA_F_LOCK] = { "lock", VALUE_STRING },       [HA_F_MODE] = { "mode", VALUE_STRING },
    [HA_F_OP] = { "op", VALUE_STRING },           [HA_F_ROLE] = { "role", VALUE_STRING },
    [HA_F_KIND] = { "kind", VALUE_STRING },       [HA_F_PLAN] = { "plan", VALUE_STRING },
    [HA_F_POLICY] = { "policy", VALUE_STRING },   [HA_F_IGNORED] = { "ignored", VALUE_STRING },
    [HA_F_STATE] = { "state", VALUE_STRING },     [HA_F_STEP] = { "step", VALUE_STRING },
    [HA_F_VERSION] = { "version", VALUE_STRING }, [HA_F_BLOCKER] = { "blocker", VALUE_STRING },
    [HA_F_WITH] = { "with", VALUE_STRING },       [HA_F_WAS] = { "was", VALUE_STRING },
    [HA_F_TEXT] = { "text", VALUE_STRING },       [HA_F_GENERATION] = { "generation", VALUE_STRING },
    [HA_F_ARGV] = { "argv", VALUE_LIST },         [HA_F_NODES] = { "nodes", VALUE_LIST },
    [HA_F_RC] = { "rc", VALUE_INT },              [HA_F_TIMEOUT] = { "timeout", VALUE_INT },
    [HA_F_TRIES] = { "tries", VALUE_INT },        [HA_F_ROUNDS] = { "rounds", VALUE_INT },
    [HA_F_SERVICES] = { "services", VALUE_INT },  [HA_F_SECONDS] = { "seconds", VALUE_INT },
    [HA_F_BEFORE] = { "before", VALUE_DOUBLE },   [HA_F_AFTER] = { "after", VALUE_DOUBLE },
    [HA_F_MOVED] = { "moved", VALUE_BOOL },       [HA_F_MAINTENANCE] = { "maintenance", VALUE_BOOL },
};

/*
 * Name, level, and the line for people: {field} is replaced by its value; what stands between
 * [ and ] appears only if all fields in it are there.
 */
static const struct { const char *name; HaLevel level; const char *text; } kinds[HA_EVENT_KINDS] = {
    [HA_EVENT_SIM_START] = { "sim-start", HA_INFO, "simulation begins" },
    [HA_EVENT_SIM_END] = { "sim-end", HA_INFO, "simulation ends" },
    [HA_EVENT_COMMAND] = { "command", HA_INFO, "execute {argv}" },
    [HA_EVENT_WATCHDOG_POWEROFF] = { "watchdog-poweroff", HA_INFO, "{node}: its watchdog expired, it is off" },
    [HA_EVENT_ROUND_SKIPPED] = { "round-skipped", HA_INFO, "this round of the {role} is skipped" },
    [HA_EVENT_KILLED] = { "killed", HA_INFO, "killed by power off" },
    [HA_EVENT_EXITED] = { "exited", HA_INFO, "left in order" },
    [HA_EVENT_CRM_STATUS] = { "crm-status", HA_INFO, "cluster manager: {from} => {to}" },
    [HA_EVENT_LRM_STATUS] = { "lrm-status", HA_INFO, "local manager: {from} => {to}" },
    [HA_EVENT_LOCK_ACQUIRED] = { "lock-acquired", HA_INFO, "got the {lock} lease[ of {node}][ at {generation}]" },
    [HA_EVENT_ROUND_INCONSISTENT] = { "round-inconsistent", HA_NOTICE, "the view could not be refreshed, this round is skipped" },
    [HA_EVENT_CFS_ERROR] = { "cfs-error", HA_ERR, "cluster filesystem: {op} failed[: {text}]" },
    [HA_EVENT_SCHEDULER_MODE] = { "scheduler-mode", HA_INFO, "placement by '{mode}' load" },
    [HA_EVENT_CRM_SHUTDOWN_REQUESTED] = { "crm-shutdown-requested", HA_INFO, "asked to leave" },
    [HA_EVENT_MANAGER_LOCK_RELEASED] = { "manager-lock-released", HA_INFO, "gave the manager lease back" },
    [HA_EVENT_CRM_IDLE] = { "crm-idle", HA_INFO, "nothing to manage for {rounds} rounds: passive" },
    [HA_EVENT_NODE_STATE] = { "node-state", HA_INFO, "node {node}: {from} => {to}" },
    [HA_EVENT_SERVICE_ADDED] = { "service-added", HA_INFO, "service {sid} on {node}: under management" },
    [HA_EVENT_SERVICE_REMOVED] = { "service-removed", HA_INFO, "service {sid}: no longer managed ({reason})" },
    [HA_EVENT_SERVICE_STATE] = { "service-state", HA_INFO, "service {sid}: {from} => {to}[, node {node}][, target {target}][, timeout {timeout} s][ ({reason})]" },
    [HA_EVENT_NOTIFICATION] = { "notification", HA_NOTIFY, "node {node}: {kind}" },
    [HA_EVENT_FENCE_ACKNOWLEDGED] = { "fence-acknowledged", HA_INFO, "node {node} is fenced: its lease is ours" },
    [HA_EVENT_FENCE_WITHOUT_SERVICES] = { "fence-without-services", HA_NOTICE, "node {node} waits to be fenced, though no service waits for it" },
    [HA_EVENT_SERVICE_RECOVERED] = { "service-recovered", HA_INFO, "service {sid} recovered from {from} to {to}" },
    [HA_EVENT_NO_RECOVERY_NODE] = { "no-recovery-node", HA_ERR, "service {sid}, lost with {node}: no node may take it now[: {reason}]" },
    [HA_EVENT_LEFTOVER_LOCK_REMOVED] = { "leftover-lock-removed", HA_WARN, "service {sid}: removed the lock '{lock}' that its lost node left" },
    [HA_EVENT_MOVE_DECIDED] = { "move-decided", HA_INFO, "service {sid}: {action} to {to} ({cause})" },
    [HA_EVENT_MOVE_FAILED] = { "move-failed", HA_ERR, "service {sid}: the move failed[, result {rc}]" },
    [HA_EVENT_MOVE_WRONG_NODE] = { "move-wrong-node", HA_ERR, "service {sid}: not moved, the configuration says it is elsewhere" },
    [HA_EVENT_START_BALANCE] = { "start-balance", HA_INFO, "service {sid}: to be started on {node} (another node: {moved})" },
    [HA_EVENT_START_BALANCE_IGNORED] = { "start-balance-ignored", HA_INFO, "service {sid}: runs already, not placed anew" },
    [HA_EVENT_AUTO_REBALANCE] = { "auto-rebalance", HA_INFO, "rebalancing: {action} {sid} to {to}, imbalance {before} => {after}" },
    [HA_EVENT_START_FAILED_RELOCATING] = { "start-failed-relocating", HA_WARN, "service {sid}: did not start on {node}, trying another node" },
    [HA_EVENT_START_RELOCATION_SUCCEEDED] = { "start-relocation-succeeded", HA_INFO, "service {sid}: started on {node} after failures on {nodes}" },
    [HA_EVENT_START_POLICY_EXHAUSTED] = { "start-policy-exhausted", HA_ERR, "service {sid}: failed on {nodes}, no tries left: error" },
    [HA_EVENT_ALL_NODES_TRIED] = { "all-nodes-tried", HA_WARN, "service {sid}: tried {nodes}, no other node is left: again here" },
    [HA_EVENT_STOP_FAILED] = { "stop-failed", HA_ERR, "service {sid}: did not stop[, result {rc}]" },
    [HA_EVENT_CRM_COMMAND] = { "crm-command", HA_INFO, "command: {argv}" },
    [HA_EVENT_CRM_COMMAND_REJECTED] = { "crm-command-rejected", HA_ERR, "command '{argv}' refused: {reason}" },
    [HA_EVENT_CRM_COMMAND_BLOCKED] = { "crm-command-blocked", HA_ERR, "command '{argv}' refused: {blocker}, to be kept apart from {sid}, is on {node}" },
    [HA_EVENT_CO_MOVE] = { "co-move", HA_INFO, "command '{argv}': {action} {sid} to {to} too, it stays with {with}" },
    [HA_EVENT_REQUEST_IGNORED] = { "request-ignored", HA_INFO, "service {sid}: {action} ignored ({reason})" },
    [HA_EVENT_STOP_REQUESTED] = { "stop-requested", HA_INFO, "service {sid}: stop within {timeout} s" },
    [HA_EVENT_MAINTENANCE_RETURN] = { "maintenance-return", HA_INFO, "service {sid}: returns to {node} after its maintenance" },
    [HA_EVENT_MAINTENANCE_NODE_CLEARED] = { "maintenance-node-cleared", HA_INFO, "service {sid}: still on {node} after its maintenance" },
    [HA_EVENT_DISARM_FREEZE] = { "disarm-freeze", HA_INFO, "disarm: service {sid} frozen, was {was}" },
    [HA_EVENT_DISARM_SUSPEND] = { "disarm-suspend", HA_INFO, "disarm: service {sid} not tracked" },
    [HA_EVENT_DISARM_DEFERRED] = { "disarm-deferred", HA_WARN, "disarm waits for service {sid} in state {state}" },
    [HA_EVENT_DISARM_COMPLETE] = { "disarm-complete", HA_INFO, "disarmed: no node will be reset" },
    [HA_EVENT_DISARM_WATCHDOG_RELEASED] = { "disarm-watchdog-released", HA_INFO, "disarmed: closed the manager's watchdog" },
    [HA_EVENT_REARMING] = { "rearming", HA_INFO, "armed again" },
    [HA_EVENT_DISARMED_TAKEOVER] = { "disarmed-takeover", HA_INFO, "master while disarmed: no watchdog" },
    [HA_EVENT_DISARM_IGNORED] = { "disarm-ignored", HA_NOTICE, "disarm ignored: already {state}" },
    [HA_EVENT_ARM_IGNORED] = { "arm-ignored", HA_NOTICE, "arm ignored: not disarmed" },
    [HA_EVENT_SERVICE_NODE_UPDATED] = { "service-node-updated", HA_INFO, "service {sid}: moved by hand from {from} to {to}" },
    [HA_EVENT_GROUPS_MIGRATION] = { "groups-migration", HA_NOTICE, "groups to rules: {step}" },
    [HA_EVENT_GROUPS_CHECK_NODE] = { "groups-check-node", HA_NOTICE, "groups to rules: node {node} is {state}" },
    [HA_EVENT_GROUPS_CHECK_LRM] = { "groups-check-lrm", HA_NOTICE, "groups to rules: local manager of {node}: {state}, {mode}" },
    [HA_EVENT_GROUPS_CHECK_VERSION] = { "groups-check-version", HA_NOTICE, "groups to rules: {node} has {version}" },
    [HA_EVENT_GROUPS_MIGRATION_ABORT] = { "groups-migration-abort", HA_ERR, "groups to rules: not yet, {node}: {reason}[, {version} needed]" },
    [HA_EVENT_GROUPS_MIGRATION_RETRY] = { "groups-migration-retry", HA_NOTICE, "groups to rules: again in {rounds} rounds" },
    [HA_EVENT_LRM_DISARMED] = { "lrm-disarmed", HA_INFO, "disarmed: gave up lease and watchdog" },
    [HA_EVENT_SHUTDOWN_REQUESTED] = { "shutdown-requested", HA_INFO, "the node goes down, policy {policy}" },
    [HA_EVENT_SHUTDOWN_PLAN] = { "shutdown-plan", HA_INFO, "{kind}: {plan}[ (ignored: {ignored})]" },
    [HA_EVENT_SHUTDOWN_BLOCKED] = { "shutdown-blocked", HA_ERR, "cannot leave: lease lost with {services} active services" },
    [HA_EVENT_LRM_IDLE] = { "lrm-idle", HA_INFO, "no service here for {rounds} rounds: gave up lease and watchdog" },
    [HA_EVENT_SERVICE_STARTING] = { "service-starting", HA_INFO, "service {sid}: starting" },
    [HA_EVENT_SERVICE_STARTED] = { "service-started", HA_INFO, "service {sid}: started" },
    [HA_EVENT_START_FAILED] = { "start-failed", HA_WARN, "service {sid}: did not start" },
    [HA_EVENT_START_RETRY] = { "start-retry", HA_WARN, "service {sid}: start again here, retry {tries}" },
    [HA_EVENT_START_RETRIES_EXHAUSTED] = { "start-retries-exhausted", HA_ERR, "service {sid}: did not start, {tries} retries used up here" },
    [HA_EVENT_SERVICE_STOPPING] = { "service-stopping", HA_INFO, "service {sid}: stopping[ within {timeout} s][ ({reason})]" },
    [HA_EVENT_SERVICE_STOPPED] = { "service-stopped", HA_INFO, "service {sid}: stopped" },
    [HA_EVENT_MOVE_BEGIN] = { "move-begin", HA_INFO, "service {sid}: {action} to {to} begins" },
    [HA_EVENT_MOVE_END] = { "move-end", HA_INFO, "service {sid}: {action} to {to} done" },
    [HA_EVENT_SERVICE_LOCKED] = { "service-locked", HA_ERR, "service {sid}: {action} refused, it is locked ({lock})" },
    [HA_EVENT_SERVICE_NOT_HERE] = { "service-not-here", HA_ERR, "service {sid}: the configuration says it is not on this node" },
    [HA_EVENT_SERVICE_IN_ERROR] = { "service-in-error", HA_ERR, "service {sid} is in state error: disable it, then start it again" },
    [HA_EVENT_REPORT] = { "report", HA_INFO, "[{sid}: ]{text}" },
    [HA_EVENT_LOCAL_END] = { "local-end", HA_ERR, "lease {generation} ran out: ending the guests that it guards" },
    [HA_EVENT_LOCAL_END_PROVEN] = { "local-end-proven", HA_NOTICE, "lease {generation}: its guests are dead, the watchdog is closed" },
    [HA_EVENT_LEASE_ADOPTED] = { "lease-adopted", HA_NOTICE, "going on with lease {generation} of the local manager before" },
    [HA_EVENT_LEASE_GIVEN] = { "lease-given", HA_INFO, "node {node} may take its lease again" },
    [HA_EVENT_RECOVERY_UNPROVEN] = { "recovery-unproven", HA_ERR, "service {sid} stays where {node} had it: nothing proves it dead; when it is, say so: qm recover VMID --node-is-off {node}" },
    [HA_EVENT_FENCE_BRAKE] = { "fence-brake", HA_WARN, "fencing {nodes} would take most of the cluster: looking twice" },
    [HA_EVENT_GUEST_GUARDED] = { "guest-guarded", HA_INFO, "service {sid}: guarded by lease {generation}" },
    [HA_EVENT_GUEST_UNGUARDED] = { "guest-unguarded", HA_INFO, "service {sid}: runs on, no longer guarded" },
    [HA_EVENT_SERVICE_FOUND_DEAD] = { "service-found-dead", HA_WARN, "service {sid}: ended by itself" },
};
/* clang-format on */

static const char *const level_names[] = { "info", "notice", "warn", "err", "notify" };

typedef struct {
    HaField field;
    char *string;
    char **list;
    int number;
    double real;
} Value;

struct HaEvent {
    HaEventKind kind;
    HaLevel level;
    GArray *values; /* Value */
};

static void
value_clear(gpointer data)
{
    Value *value = data;

    g_free(value->string);
    g_strfreev(value->list);
}

/* Takes the next argument; false: it is absent and the field with it. */
static bool
value_take(Value *value, va_list *arguments)
{
    switch (fields[value->field].type) {
    case VALUE_STRING:
        value->string = g_strdup(va_arg(*arguments, const char *));
        return value->string != NULL;
    case VALUE_LIST:
        value->list = g_strdupv((char **)va_arg(*arguments, const char *const *));
        return value->list != NULL;
    case VALUE_DOUBLE:
        value->real = va_arg(*arguments, double);
        return true;
    default:
        value->number = va_arg(*arguments, int);
        return value->number != -1 || value->field == HA_F_RC;
    }
}

HaEvent *
ha_event_new(HaEventKind kind, ...)
{
    HaEvent *event = g_new0(HaEvent, 1);
    va_list arguments;

    event->kind = kind;
    event->level = kinds[kind].level;
    event->values = g_array_new(FALSE, TRUE, sizeof(Value));
    g_array_set_clear_func(event->values, value_clear);
    va_start(arguments, kind);
    for (HaField field; (field = va_arg(arguments, HaField)) != HA_F_END;) {
        Value value = { .field = field };
        if (value_take(&value, &arguments))
            g_array_append_val(event->values, value);
    }
    va_end(arguments);
    return event;
}

void
ha_event_set_level(HaEvent *event, HaLevel level)
{
    event->level = level;
}

void
ha_event_free(HaEvent *event)
{
    if (event == NULL)
        return;
    g_array_unref(event->values);
    g_free(event);
}

HaEventKind
ha_event_kind(const HaEvent *event)
{
    return event->kind;
}

const char *
ha_event_name(const HaEvent *event)
{
    return kinds[event->kind].name;
}

HaLevel
ha_event_level(const HaEvent *event)
{
    return event->level;
}

const char *
ha_event_level_name(const HaEvent *event)
{
    return level_names[event->level];
}

static const Value *
find_value(const HaEvent *event, const char *name, size_t length)
{
    for (guint i = 0; i < event->values->len; i++) {
        const Value *value = &g_array_index(event->values, Value, i);
        const char *own = fields[value->field].name;
        if (strlen(own) == length && memcmp(own, name, length) == 0)
            return value;
    }
    return NULL;
}

const char *
ha_event_string(const HaEvent *event, HaField field)
{
    const Value *value = find_value(event, fields[field].name, strlen(fields[field].name));
    return value != NULL ? value->string : NULL;
}

static void
append_plain(GString *text, const Value *value)
{
    switch (fields[value->field].type) {
    case VALUE_STRING:
        g_string_append(text, value->string);
        break;
    case VALUE_LIST: {
        g_autofree char *joined = g_strjoinv(" ", value->list);
        g_string_append(text, joined);
        break;
    }
    case VALUE_DOUBLE: {
        char number[G_ASCII_DTOSTR_BUF_SIZE];
        g_string_append(text, g_ascii_formatd(number, sizeof number, "%.2f", value->real));
        break;
    }
    case VALUE_BOOL:
        g_string_append(text, value->number ? "yes" : "no");
        break;
    default:
        g_string_append_printf(text, "%d", value->number);
    }
}

/* Appends @form up to @end; false if a field in it is absent. */
static bool
append_form(GString *text, const HaEvent *event, const char *form, const char *end)
{
    bool complete = true;

    for (const char *c = form; c < end; c++) {
        if (*c == '[') {
            const char *close = memchr(c, ']', end - c);
            gsize before = text->len;
            if (!append_form(text, event, c + 1, close))
                g_string_truncate(text, before);
            c = close;
        } else if (*c == '{') {
            const char *close = memchr(c, '}', end - c);
            const Value *value = find_value(event, c + 1, close - c - 1);
            if (value != NULL)
                append_plain(text, value);
            else
                complete = false;
            c = close;
        } else {
            g_string_append_c(text, *c);
        }
    }
    return complete;
}

char *
ha_event_text(const HaEvent *event)
{
    GString *text = g_string_new(NULL);
    const char *form = kinds[event->kind].text;

    append_form(text, event, form, form + strlen(form));
    return g_string_free(text, FALSE);
}

static void
append_json_string(GString *text, const char *string)
{
    g_string_append_c(text, '"');
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_printf(text, "\\%c", *c);
        else if (*c < 0x20)
            g_string_append_printf(text, "\\u%04x", *c);
        else
            g_string_append_c(text, *c);
    }
    g_string_append_c(text, '"');
}

static void
append_json(GString *text, const Value *value)
{
    switch (fields[value->field].type) {
    case VALUE_STRING:
        append_json_string(text, value->string);
        break;
    case VALUE_LIST:
        g_string_append_c(text, '[');
        for (char **word = value->list; *word != NULL; word++) {
            if (word != value->list)
                g_string_append(text, ", ");
            append_json_string(text, *word);
        }
        g_string_append_c(text, ']');
        break;
    case VALUE_DOUBLE: {
        /* Two decimals at most, one at least: 1.41, 0.5, 1.0 */
        char number[G_ASCII_DTOSTR_BUF_SIZE];
        g_ascii_formatd(number, sizeof number, "%.2f", value->real);
        if (number[strlen(number) - 1] == '0')
            number[strlen(number) - 1] = '\0';
        g_string_append(text, number);
        break;
    }
    case VALUE_BOOL:
        g_string_append(text, value->number ? "true" : "false");
        break;
    default:
        g_string_append_printf(text, "%d", value->number);
    }
}

char *
ha_event_json(const HaEvent *event, int64_t t, const char *by)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "{\"t\": %" G_GINT64_FORMAT ", \"by\": ", t);
    append_json_string(text, by);
    g_string_append_printf(text, ", \"event\": \"%s\", \"level\": \"%s\"", ha_event_name(event),
                           ha_event_level_name(event));
    for (guint i = 0; i < event->values->len; i++) {
        const Value *value = &g_array_index(event->values, Value, i);
        g_string_append_printf(text, ", \"%s\": ", fields[value->field].name);
        append_json(text, value);
    }
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

void
ha_event_each(const HaEvent *event, HaEventFieldFunc field, gpointer data)
{
    for (guint i = 0; i < event->values->len; i++) {
        const Value *value = &g_array_index(event->values, Value, i);
        g_autoptr(GString) text = g_string_new(NULL);
        append_json(text, value);
        field(fields[value->field].name, text->str, data);
    }
}
