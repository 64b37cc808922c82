#include "cfs/daemon.h"
#include <string.h>
#include "cfs/update_json.h"
#include "sys/clock.h"

/*
 * The operations of the control socket. Formats: docs/internals/cfs-socket.md. Whoever is not root
 * sees nothing private. All that is read is committed.
 */

enum {
    LEASE_HOLD_MS = 4000, /* K and L of profile fast (safety.md S38), for who names none */
    LEASE_LAPSE_MS = 8000,
    LEASE_MAX_MS = 10 * 60 * 1000,
    LOG_SHOWN_MAX = 1000,
};

static void refuse(CfsRequest *request, QError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
refuse(CfsRequest *request, QError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cfs_request_refuse(request, g_error_new_valist(Q_ERROR, code, format, args));
    va_end(args);
}

/* ------------------------------------------------------------------ files */

/* The path, or NULL after the request was refused. */
static const char *
readable_path(CfsRequest *request)
{
    const char *path = q_json_string(cfs_request_arguments(request), "path", NULL);

    if (path == NULL || path[0] == '/') {
        refuse(request, Q_ERROR_INVALID, "\"path\" must be relative to /etc/pve");
        return NULL;
    }
    if (!cfs_request_root(request) && tree_path_is_private(path)) {
        refuse(request, Q_ERROR_DENIED, "'%s' is for root only", path);
        return NULL;
    }
    return path;
}

static JsonObject *
content_object(uint64_t version, int64_t mtime_s, const void *data, size_t length)
{
    JsonObject *ok = json_object_new();

    json_object_set_int_member(ok, "version", version);
    json_object_set_int_member(ok, "mtime", mtime_s);
    json_object_set_int_member(ok, "size", length);
    cfs_json_set_bytes(ok, data, length);
    return ok;
}

static void
op_get(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const char *path = readable_path(request);

    if (path == NULL) {
        return;
    }
    int index = cfs_virtual_find(path);
    if (index >= 0 && cfs_virtual_entry(index)->kind == VIRTUAL_TEXT) {
        g_autofree char *text = cfs_virtual_text(daemon->virtual, index);
        cfs_request_ok(request, content_object(0, q_clock_wall_s(), text, strlen(text)));
        return;
    }
    const TreeEntry *entry = tree_lookup(cfs_host_tree(daemon->host), path);
    if (entry == NULL) {
        refuse(request, Q_ERROR_NOT_FOUND, "'%s': no such file", path);
    } else if (entry->type != TREE_FILE) {
        refuse(request, Q_ERROR_INVALID, "'%s' is a folder", path);
    } else {
        gsize length;
        const void *bytes = g_bytes_get_data(entry->data, &length);
        cfs_request_ok(request, content_object(entry->version, entry->mtime_s, bytes, length));
    }
}

static void
op_list(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const Tree *tree = cfs_host_tree(daemon->host);
    const char *path = readable_path(request);

    if (path == NULL) {
        return;
    }
    const TreeEntry *folder = tree_lookup(tree, path);
    if (folder == NULL || folder->type != TREE_DIR) {
        refuse(request, folder == NULL ? Q_ERROR_NOT_FOUND : Q_ERROR_INVALID,
               folder == NULL ? "'%s': no such folder" : "'%s' is a file", path);
        return;
    }
    g_autoptr(GPtrArray) entries = tree_list(tree, folder->inode);
    JsonArray *rows = json_array_sized_new(entries->len);
    for (guint i = 0; i < entries->len; i++) {
        const TreeEntry *entry = entries->pdata[i];
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "name", entry->name);
        json_object_set_string_member(row, "kind", entry->type == TREE_DIR ? "dir" : "file");
        json_object_set_int_member(row, "version", entry->version);
        json_object_set_int_member(row, "size", tree_entry_size(entry));
        json_object_set_int_member(row, "mtime", entry->mtime_s);
        json_array_add_object_element(rows, row);
    }
    JsonObject *ok = json_object_new();
    json_object_set_array_member(ok, "entries", rows);
    cfs_request_ok(request, ok);
}

/* ------------------------------------------------------------------ updates */

/* Which condition or change it was. */
static GError *
update_error(CfsRequest *request, const CfsOutcome *outcome)
{
    bool condition = outcome->result.code == UPDATE_CONFLICT;
    bool decided = outcome->result.code < UPDATE_NO_QUORUM;
    g_autofree char *part = cfs_update_part(cfs_request_arguments(request), condition ? "if" : "do",
                                            outcome->result.which);

    return cfs_outcome_error(outcome, decided ? part : "update");
}

static void
on_update(const CfsOutcome *outcome, gpointer data)
{
    CfsRequest *request = data;

    if (outcome->result.code != UPDATE_DONE) {
        cfs_request_refuse(request, update_error(request, outcome));
        return;
    }
    JsonObject *ok = json_object_new();
    json_object_set_int_member(ok, "sequence", outcome->result.sequence);
    cfs_request_ok(request, ok);
}

static void
op_update(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    GError *error = NULL;
    Update *update = cfs_update_from_request(request, daemon->host, &error);

    if (update == NULL) {
        cfs_request_refuse(request, error);
        return;
    }
    cfs_host_update(daemon->host, update, on_update, request, NULL);
}

/* ------------------------------------------------------------------ quorum */

static JsonArray *
voters_json(const Replica *replica)
{
    g_autoptr(GArray) voters = replica_voters(replica);
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < voters->len; i++) {
        const ReplicaVoter *voter = &g_array_index(voters, ReplicaVoter, i);
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "node", voter->node);
        json_object_set_int_member(row, "id", voter->node_id);
        json_object_set_int_member(row, "weight", voter->weight);
        json_object_set_boolean_member(row, "present", voter->present);
        json_object_set_boolean_member(row, "installed", voter->installed);
        json_array_add_object_element(rows, row);
    }
    return rows;
}

static void
op_quorum(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const Replica *replica = cfs_host_replica(daemon->host);
    ReplicaQuorum quorum = replica_quorum(replica);
    g_autofree char *disk = cfs_host_disk_error(daemon->host);
    JsonObject *ok = json_object_new();

    json_object_set_boolean_member(ok, "quorate", quorum.state == QUORUM_YES);
    json_object_set_boolean_member(ok, "forming", quorum.state == QUORUM_FORMING);
    json_object_set_int_member(ok, "epoch", quorum.epoch.number);
    json_object_set_int_member(ok, "sequence", quorum.sequence);
    json_object_set_string_member(ok, "why", quorum.why);
    json_object_set_array_member(ok, "voters", voters_json(replica));
    if (disk != NULL) {
        json_object_set_string_member(ok, "disk", disk);
    }
    cfs_request_ok(request, ok);
}

static void
op_members(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;

    cfs_request_ok(request, cfs_virtual_members_json(daemon->virtual));
}

/* ------------------------------------------------------------------ leases */

/* The name, or NULL after the request was refused. */
static const char *
lease_name(CfsRequest *request)
{
    const char *name = q_json_string(cfs_request_arguments(request), "name", "");

    if (name[0] == '\0' || strlen(name) > LEASE_NAME_MAX) {
        refuse(request, Q_ERROR_INVALID, "a lease's name has 1 to %d bytes", LEASE_NAME_MAX);
        return NULL;
    }
    return name;
}

static void
on_lease(const CfsOutcome *outcome, gpointer data)
{
    CfsRequest *request = data;
    const UpdateResult *result = &outcome->result;
    const char *name = q_json_string(cfs_request_arguments(request), "name", "");

    if (result->code == UPDATE_HELD) {
        cfs_request_refuse_for(request, cfs_outcome_error(outcome, name), result->left_ms);
        return;
    }
    if (result->code != UPDATE_DONE) {
        cfs_request_refuse(request, cfs_outcome_error(outcome, name));
        return;
    }
    JsonObject *ok = json_object_new();
    if (!generation_is_none(result->generation)) {
        cfs_set_generation(ok, "generation", result->generation);
    }
    if (result->sent_ms != 0) {
        json_object_set_int_member(ok, "heard_ms", result->sent_ms);
    }
    cfs_request_ok(request, ok);
}

/* Who holds a lease beyond its node and boot (S18): an LRM goes on with what its predecessor of
 * this boot held, everybody else begins anew. */
static char *
holder_process(CfsRequest *request, const char *name)
{
    CfsPeer *peer = cfs_request_peer(request);

    return g_str_has_prefix(name, "ha_agent_")
               ? g_strdup("lrmd")
               : g_strdup_printf("%s-%d", cfs_peer_program(peer), cfs_peer_pid(peer));
}

static void
op_lease_take(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    const char *name = lease_name(request);

    if (name == NULL) {
        return;
    }
    g_autofree char *process = holder_process(request, name);
    LeaseOp op = { .kind = LEASE_TAKE,
                   .name = name,
                   .process = q_json_string(arguments, "process", process),
                   .hold_ms = q_json_int(arguments, "hold_ms", LEASE_HOLD_MS),
                   .lapse_ms = q_json_int(arguments, "lapse_ms", LEASE_LAPSE_MS) };
    if (op.hold_ms <= 0 || op.lapse_ms <= op.hold_ms || op.lapse_ms > LEASE_MAX_MS) {
        refuse(
            request, Q_ERROR_INVALID,
            "lease '%s': hold_ms must be positive and smaller than lapse_ms, and that at most %d",
            name, LEASE_MAX_MS);
        return;
    }
    cfs_host_lease(daemon->host, &op, on_lease, request, NULL);
}

static void
op_lease_release(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const char *name = lease_name(request);

    if (name != NULL) {
        LeaseOp op = { .kind = LEASE_RELEASE,
                       .name = name,
                       .generation =
                           cfs_generation_member(cfs_request_arguments(request), "generation") };
        cfs_host_lease(daemon->host, &op, on_lease, request, NULL);
    }
}

static void
op_lease_renew(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    const char *name = lease_name(request);

    if (name == NULL) {
        return;
    }
    LeaseOp op = { .kind = LEASE_RENEW,
                   .name = name,
                   .generation = cfs_generation_member(arguments, "generation"),
                   .sent_ms = q_json_int(arguments, "sent_ms", 0) };
    if (op.sent_ms <= 0) {
        refuse(request, Q_ERROR_INVALID, "lease '%s': sent_ms is the clock, read before asking",
               name);
        return;
    }
    cfs_host_lease(daemon->host, &op, on_lease, request, NULL);
}

static const char *
lease_state(const LeaseView *view)
{
    switch (view->state) {
    case LEASE_FREE:
        return "free";
    case LEASE_FENCED:
        return "fenced";
    default:
        return view->left_ms > 0 ? "held" : "lapsed";
    }
}

/* When the newest renewal that is known here was made, on this node's CLOCK_BOOTTIME; 0: unknown.
 */
static int64_t
lease_heard_ms(const LeaseView *view, const Clocks *now)
{
    if (view->heard_sent_ms != 0) {
        return view->heard_sent_ms;
    }
    return view->renewed_mono_ms != 0 ? now->boot_ms - (now->mono_ms - view->renewed_mono_ms) : 0;
}

static void
op_lease_get(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const char *name = lease_name(request);
    Clocks now = cfs_host_clocks();
    LeaseView view;

    if (name == NULL) {
        return;
    }
    JsonObject *ok = json_object_new();
    if (!replica_lease(cfs_host_replica(daemon->host), name, &now, &view)) {
        json_object_set_string_member(ok, "state", "free");
        cfs_set_generation(ok, "generation", (Generation){ 0, 0 });
        cfs_request_ok(request, ok);
        return;
    }
    json_object_set_string_member(ok, "node", view.node);
    json_object_set_string_member(ok, "boot", view.boot);
    json_object_set_string_member(ok, "process", view.process);
    cfs_set_generation(ok, "generation", view.generation);
    json_object_set_string_member(ok, "state", lease_state(&view));
    json_object_set_int_member(ok, "left_ms", view.left_ms);
    json_object_set_int_member(ok, "heard_ms", lease_heard_ms(&view, &now));
    json_object_set_int_member(ok, "hold_ms", view.hold_ms);
    json_object_set_int_member(ok, "lapse_ms", view.lapse_ms);
    cfs_request_ok(request, ok);
}

/* ------------------------------------------------------------------ records */

static JsonObject *
run_json(const Replica *replica, const RunView *run)
{
    JsonObject *row = json_object_new();
    MigView mig;

    json_object_set_int_member(row, "vmid", run->vmid);
    json_object_set_string_member(row, "node", run->node);
    json_object_set_string_member(row, "boot", run->boot);
    json_object_set_string_member(row, "start", run->start_id);
    cfs_set_generation(row, "guard", run->guard);
    json_object_set_boolean_member(row, "dead", run->dead);
    if (replica_mig(replica, run->vmid, &mig)) {
        json_object_set_string_member(row, "mig", mig.mig_id);
    } else {
        json_object_set_null_member(row, "mig");
    }
    return row;
}

static JsonObject *
mig_json(const MigView *mig)
{
    JsonObject *row = json_object_new();

    json_object_set_int_member(row, "vmid", mig->vmid);
    json_object_set_string_member(row, "id", mig->mig_id);
    json_object_set_string_member(row, "start", mig->start_id);
    json_object_set_string_member(row, "target", mig->target);
    json_object_set_string_member(row, "target_boot", mig->target_boot);
    json_object_set_string_member(row, "phase", mig->phase);
    return row;
}

static const char *
off_state_name(OffState state)
{
    switch (state) {
    case OFF_DONE:
        return "done";
    case OFF_FAILED:
        return "failed";
    default:
        return "running";
    }
}

static JsonArray *
offs_json(const Replica *replica)
{
    g_autoptr(GArray) offs = replica_offs(replica);
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < offs->len; i++) {
        const OffView *off = &g_array_index(offs, OffView, i);
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "node", off->node);
        json_object_set_string_member(row, "boot", off->boot);
        cfs_set_generation(row, "manager", off->manager);
        json_object_set_int_member(row, "deadline", off->deadline_s);
        json_object_set_string_member(row, "state", off_state_name(off->state));
        json_array_add_object_element(rows, row);
    }
    return rows;
}

static void
op_records(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    const Replica *replica = cfs_host_replica(daemon->host);
    int64_t vmid = q_json_int(cfs_request_arguments(request), "vmid", 0);
    g_autoptr(GArray) runs = replica_runs(replica);
    g_autoptr(GArray) migs = replica_migs(replica);
    JsonArray *run_rows = json_array_new();
    JsonArray *mig_rows = json_array_new();
    JsonObject *ok = json_object_new();

    for (guint i = 0; i < runs->len; i++) {
        const RunView *run = &g_array_index(runs, RunView, i);
        if (vmid == 0 || run->vmid == vmid) {
            json_array_add_object_element(run_rows, run_json(replica, run));
        }
    }
    for (guint i = 0; i < migs->len; i++) {
        const MigView *mig = &g_array_index(migs, MigView, i);
        if (vmid == 0 || mig->vmid == vmid) {
            json_array_add_object_element(mig_rows, mig_json(mig));
        }
    }
    json_object_set_array_member(ok, "records", run_rows);
    json_object_set_array_member(ok, "migrations", mig_rows);
    if (vmid == 0) {
        json_object_set_array_member(ok, "offs", offs_json(replica));
    }
    cfs_request_ok(request, ok);
}

/* ------------------------------------------------------------------ status, log, tokens */

static void
op_status_set(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    GError *error = NULL;

    if (!cfs_status_set_own(daemon->status, q_json_string(arguments, "key", ""),
                            q_json_string(arguments, "text", ""), &error)) {
        cfs_request_refuse(request, error);
        return;
    }
    cfs_request_ok(request, NULL);
}

static void
op_status_get(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    const char *node = q_json_string(arguments, "node", "");
    const char *key = q_json_string(arguments, "key", "");

    if (node[0] == '\0') {
        node = cfs_host_node(daemon->host);
    }
    const char *value = cfs_status_value(daemon->status, node, key);
    if (value == NULL) {
        refuse(request, Q_ERROR_NOT_FOUND, "node '%s' has no status key '%s'", node, key);
        return;
    }
    JsonObject *ok = json_object_new();
    json_object_set_string_member(ok, "text", value);
    cfs_request_ok(request, ok);
}

static void
op_log(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    CfsPeer *peer = cfs_request_peer(request);
    GError *error = NULL;
    CfsLogEntry entry = { .priority = q_json_int(arguments, "priority", 6),
                          .tag = q_json_string(arguments, "tag", cfs_peer_program(peer)),
                          .user = q_json_string(arguments, "user", "root@pam"),
                          .message = q_json_string(arguments, "message", NULL),
                          .pid = q_json_int(arguments, "pid", cfs_peer_pid(peer)) };

    if (!cfs_status_log(daemon->status, &entry, &error)) {
        cfs_request_refuse(request, error);
        return;
    }
    cfs_request_ok(request, NULL);
}

static void
op_log_get(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    int64_t max = CLAMP(q_json_int(arguments, "max", 0), 0, LOG_SHOWN_MAX);
    g_autofree char *text =
        cfs_status_log_text(daemon->status, max, q_json_string(arguments, "user", NULL));
    g_autoptr(GError) error = NULL;
    JsonObject *ok = q_json_parse_object(text, -1, &error);

    if (ok == NULL) {
        refuse(request, Q_ERROR_INTERNAL, "the log cannot be read: %s", error->message);
        return;
    }
    cfs_request_ok(request, ok);
}

/* Compares all of both, so that the time says nothing about where they differ. */
static bool
equal_in_constant_time(const char *a, const char *b, size_t length)
{
    unsigned char difference = 0;

    for (size_t i = 0; i < length; i++) {
        difference |= (unsigned char)a[i] ^ (unsigned char)b[i];
    }
    return difference == 0;
}

static bool
has_line(const char *text, size_t length, const char *line)
{
    size_t wanted = strlen(line);
    bool found = false;

    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t size = end != NULL ? (size_t)(end - text) : length;
        if (size == wanted && equal_in_constant_time(text, line, wanted)) {
            found = true;
        }
        size_t step = MIN(size + 1, length);
        text += step;
        length -= step;
    }
    return found;
}

static void
op_token_check(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    JsonObject *arguments = cfs_request_arguments(request);
    const char *id = q_json_string(arguments, "token", "");
    const char *secret = q_json_string(arguments, "secret", "");
    const TreeEntry *entry = tree_lookup(cfs_host_tree(daemon->host), "priv/token.cfg");
    g_autofree char *line = g_strdup_printf("%s %s", id, secret);
    gsize length = 0;
    const char *text =
        entry != NULL && entry->type == TREE_FILE ? g_bytes_get_data(entry->data, &length) : NULL;

    if (id[0] == '\0' || secret[0] == '\0' || strpbrk(line, "\r\n") != NULL || text == NULL
        || !has_line(text, length, line)) {
        refuse(request, Q_ERROR_NOT_FOUND, "no such token, or another secret");
        return;
    }
    cfs_request_ok(request, NULL);
}

/* ------------------------------------------------------------------ watch */

static void
op_watch(CfsRequest *request, gpointer data)
{
    CfsDaemon *daemon = data;
    ReplicaQuorum quorum = replica_quorum(cfs_host_replica(daemon->host));
    JsonObject *ok = json_object_new();

    cfs_watches_add(daemon->watches, request);
    json_object_set_int_member(ok, "sequence", quorum.sequence);
    json_object_set_boolean_member(ok, "quorate", quorum.state == QUORUM_YES);
    cfs_request_ok(request, ok);
}

/* clang-format off */
const CfsOp cfs_ops[] = {
    { "get",           CFS_OP_ALL,  op_get },
    { "list",          CFS_OP_ALL,  op_list },
    { "update",        CFS_OP_ROOT, op_update },
    { "quorum",        CFS_OP_ALL,  op_quorum },
    { "members",       CFS_OP_ALL,  op_members },
    { "lease.take",    CFS_OP_ROOT, op_lease_take },
    { "lease.release", CFS_OP_ROOT, op_lease_release },
    { "lease.renew",   CFS_OP_ROOT, op_lease_renew },
    { "lease.get",     CFS_OP_ALL,  op_lease_get },
    { "records",       CFS_OP_ALL,  op_records },
    { "status.set",    CFS_OP_ROOT, op_status_set },
    { "status.get",    CFS_OP_ALL,  op_status_get },
    { "log",           CFS_OP_ROOT, op_log },
    { "log.get",       CFS_OP_ALL,  op_log_get },
    { "token.check",   CFS_OP_ALL,  op_token_check },
    { "watch",         CFS_OP_ALL,  op_watch },
    { NULL,            CFS_OP_ROOT, NULL },
};
/* clang-format on */
