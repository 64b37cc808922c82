#include "ha/mirror.h"
#include <string.h>
#include "base/sorted.h"
#include "ha/core/status.h"
#include "sys/log.h"

enum {
    IN_FLIGHT_MAX = 32, /* of the 64 that a client may have */
    LOOK_MS = 250,      /* members and quorum; leases each fourth time */
    RETRY_MS = 200,
};

static const char *const single_files[] = {
    "ha/manager_status", "ha/resources.cfg", "ha/rules.cfg",
    "ha/groups.cfg",     "ha/crm_commands",  "datacenter.cfg",
    "corosync.conf",     "storage.cfg",      NULL,
};

typedef enum {
    ASK_FILE,
    ASK_NODES,
    ASK_GUESTS,
    ASK_RECORDS,
    ASK_LEASE,
    ASK_MEMBERS,
    ASK_QUORUM
} AskKind;

typedef struct {
    HaMirror *mirror;
    guint era; /* of the connection that it was sent on */
    AskKind kind;
    char *path; /* of the file, folder or lease */
} Ask;

struct HaMirror {
    CfsClient *client;
    HaMirrorNews news;
    gpointer data;
    guint era;
    bool connected;
    bool alive;  /* settled once since it was connected */
    bool failed; /* an answer was missing: read all again soon */
    bool changed;
    GQueue waiting; /* Ask */
    int in_flight;
    uint64_t sequence;
    GHashTable *files;  /* path -> HaFile */
    GHashTable *leases; /* name -> JsonObject */
    JsonArray *records;
    JsonObject *members;
    bool quorate;
    uint64_t epoch;
    guint look_source, retry_source;
    guint looks;
};

HaGeneration
ha_generation_from_json(JsonObject *object, const char *name)
{
    JsonArray *pair = q_json_array(object, name);

    if (pair == NULL || json_array_get_length(pair) != 2) {
        return (HaGeneration){ 0, 0 };
    }
    return (HaGeneration){ json_array_get_int_element(pair, 0),
                           json_array_get_int_element(pair, 1) };
}

void
ha_generation_to_json(JsonObject *object, const char *name, HaGeneration generation)
{
    JsonArray *pair = json_array_new();

    json_array_add_int_element(pair, generation.epoch);
    json_array_add_int_element(pair, generation.sequence);
    json_object_set_array_member(object, name, pair);
}

static void
file_free(gpointer data)
{
    HaFile *file = data;

    if (file->derived != NULL) {
        file->derived_free(file->derived);
    }
    g_free(file->text);
    g_free(file);
}

void
ha_file_derive(const HaFile *file, gpointer derived, GDestroyNotify free_func)
{
    ((HaFile *)file)->derived = derived;
    ((HaFile *)file)->derived_free = free_func;
}

static void
ask_free(gpointer data)
{
    Ask *ask = data;

    g_free(ask->path);
    g_free(ask);
}

/* ------------------------------------------------------------------ asking */

static void pump(HaMirror *mirror);

static void
want(HaMirror *mirror, AskKind kind, const char *path)
{
    for (GList *item = mirror->waiting.head; item != NULL; item = item->next) {
        const Ask *other = item->data;

        if (other->kind == kind && g_strcmp0(other->path, path) == 0) {
            return; /* not sent yet: its answer will be new enough */
        }
    }
    Ask *ask = g_new0(Ask, 1);
    *ask = (Ask){ mirror, mirror->era, kind, g_strdup(path) };
    g_queue_push_tail(&mirror->waiting, ask);
}

static bool
is_guest_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 5);

    return g_strv_length(parts) == 4 && strcmp(parts[0], "nodes") == 0
           && strcmp(parts[2], "qemu-server") == 0 && g_str_has_suffix(parts[3], ".conf");
}

static bool
is_status_path(const char *path)
{
    return g_str_has_prefix(path, "nodes/") && g_str_has_suffix(path, "/lrm_status");
}

/* What changed: a file of ours, or a folder that has some. */
static void
want_path(HaMirror *mirror, const char *path)
{
    if (g_strv_contains(single_files, path) || is_guest_path(path) || is_status_path(path)) {
        want(mirror, ASK_FILE, path);
    }
    if (strcmp(path, "corosync.conf") == 0 || strcmp(path, "nodes") == 0) {
        want(mirror, ASK_NODES, NULL);
    }
}

static void
want_leases(HaMirror *mirror)
{
    g_autoptr(GPtrArray) names = ha_mirror_lease_names(mirror);

    for (guint i = 0; i < names->len; i++) {
        want(mirror, ASK_LEASE, names->pdata[i]);
    }
}

static void
want_all(HaMirror *mirror)
{
    for (int i = 0; single_files[i] != NULL; i++) {
        want(mirror, ASK_FILE, single_files[i]);
    }
    g_hash_table_remove_all(mirror->leases);
    want(mirror, ASK_LEASE, HA_MANAGER_LEASE);
    want(mirror, ASK_QUORUM, NULL);
    want(mirror, ASK_MEMBERS, NULL);
    want(mirror, ASK_NODES, NULL);
    want(mirror, ASK_RECORDS, NULL);
    pump(mirror);
}

static gboolean
on_retry(gpointer data)
{
    HaMirror *mirror = data;

    mirror->retry_source = 0;
    mirror->failed = false;
    if (mirror->connected) {
        want_all(mirror);
    }
    return G_SOURCE_REMOVE;
}

static gboolean
on_look(gpointer data)
{
    HaMirror *mirror = data;

    /* A backlog is not made longer; what is under way brings news enough. */
    if (mirror->connected && g_queue_is_empty(&mirror->waiting)) {
        want(mirror, ASK_QUORUM, NULL);
        want(mirror, ASK_MEMBERS, NULL);
        if (++mirror->looks % 4 == 0) {
            want_leases(mirror);
        }
        pump(mirror);
    }
    return G_SOURCE_CONTINUE;
}

void
ha_mirror_look(HaMirror *mirror)
{
    if (mirror->connected) {
        want(mirror, ASK_QUORUM, NULL);
        want(mirror, ASK_MEMBERS, NULL);
        want_leases(mirror);
        pump(mirror);
    }
}

/* ------------------------------------------------------------------ answers */

static char *
content(JsonObject *ok)
{
    const char *text = q_json_string(ok, "text", NULL);
    const char *base64 = q_json_string(ok, "base64", NULL);
    gsize length = 0;

    if (text != NULL || base64 == NULL) {
        return g_strdup(text != NULL ? text : "");
    }
    g_autofree guchar *bytes = g_base64_decode(base64, &length);
    return g_strndup((char *)bytes, length);
}

static void
take_file(HaMirror *mirror, const char *path, JsonObject *ok)
{
    const HaFile *old = g_hash_table_lookup(mirror->files, path);
    uint64_t version = ok != NULL ? (uint64_t)q_json_int(ok, "version", 0) : 0;

    if (ok == NULL) {
        mirror->changed |= g_hash_table_remove(mirror->files, path);
        return;
    }
    if (old != NULL && old->version == version) {
        return;
    }
    HaFile *file = g_new0(HaFile, 1);
    file->text = content(ok);
    file->version = version;
    g_hash_table_replace(mirror->files, g_strdup(path), file);
    mirror->changed = true;
}

/* Files that we hold below @folder, but which are not in the listing, are gone. */
static void
forget_missing(HaMirror *mirror, const char *folder, GHashTable *present)
{
    GHashTableIter iter;
    gpointer path;
    g_autofree char *prefix = g_strdup_printf("%s/", folder);

    g_hash_table_iter_init(&iter, mirror->files);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        if (g_str_has_prefix(path, prefix) && !g_hash_table_contains(present, path)) {
            g_hash_table_iter_remove(&iter);
            mirror->changed = true;
        }
    }
}

static void
take_guests(HaMirror *mirror, const char *folder, JsonObject *ok)
{
    JsonArray *rows = ok != NULL ? q_json_array(ok, "entries") : NULL;
    g_autoptr(GHashTable) present = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        char *path = g_strdup_printf("%s/%s", folder, q_json_string(row, "name", ""));
        const HaFile *old = g_hash_table_lookup(mirror->files, path);

        if (is_guest_path(path)
            && (old == NULL || old->version != (uint64_t)q_json_int(row, "version", 0))) {
            want(mirror, ASK_FILE, path);
        }
        g_hash_table_add(present, path);
    }
    forget_missing(mirror, folder, present);
}

static void
take_nodes(HaMirror *mirror, JsonObject *ok)
{
    JsonArray *rows = ok != NULL ? q_json_array(ok, "entries") : NULL;

    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        const char *name = q_json_string(json_array_get_object_element(rows, i), "name", "");
        g_autofree char *status = g_strdup_printf("nodes/%s/lrm_status", name);
        g_autofree char *guests = g_strdup_printf("nodes/%s/qemu-server", name);
        g_autofree char *lease = ha_agent_lease(name);

        want(mirror, ASK_FILE, status);
        want(mirror, ASK_GUESTS, guests);
        want(mirror, ASK_LEASE, lease);
    }
}

static bool
same_json(JsonNode *a, JsonNode *b)
{
    return json_node_equal(a, b);
}

static void
take_lease(HaMirror *mirror, const char *name, JsonObject *ok)
{
    static const char *const telling[] = { "state", "node", "boot" };
    JsonObject *old = g_hash_table_lookup(mirror->leases, name);
    bool differs = old == NULL || ok == NULL;

    for (size_t i = 0; !differs && i < G_N_ELEMENTS(telling); i++) {
        differs =
            g_strcmp0(q_json_string(old, telling[i], ""), q_json_string(ok, telling[i], "")) != 0;
    }
    if (!differs) {
        differs = ha_generation_compare(ha_generation_from_json(old, "generation"),
                                        ha_generation_from_json(ok, "generation"))
                  != 0;
    }
    mirror->changed |= differs;
    g_hash_table_replace(mirror->leases, g_strdup(name),
                         ok != NULL ? json_object_ref(ok) : json_object_new());
}

static void
take_records(HaMirror *mirror, JsonObject *ok)
{
    JsonArray *rows = ok != NULL ? q_json_array(ok, "records") : NULL;

    g_clear_pointer(&mirror->records, json_array_unref);
    mirror->records = rows != NULL ? json_array_ref(rows) : json_array_new();
    mirror->changed = true;
}

static void
take_members(HaMirror *mirror, JsonObject *ok)
{
    if (ok == NULL) {
        return;
    }
    g_autoptr(JsonNode) fresh = q_json_node_object(json_object_ref(ok));
    g_autoptr(JsonNode) old =
        mirror->members != NULL ? q_json_node_object(json_object_ref(mirror->members)) : NULL;
    if (old == NULL || !same_json(old, fresh)) {
        g_clear_pointer(&mirror->members, json_object_unref);
        mirror->members = json_object_ref(ok);
        mirror->changed = true;
    }
}

static void
take(HaMirror *mirror, const Ask *ask, JsonObject *ok)
{
    switch (ask->kind) {
    case ASK_FILE:
        take_file(mirror, ask->path, ok);
        break;
    case ASK_GUESTS:
        take_guests(mirror, ask->path, ok);
        break;
    case ASK_NODES:
        take_nodes(mirror, ok);
        break;
    case ASK_RECORDS:
        take_records(mirror, ok);
        break;
    case ASK_LEASE:
        take_lease(mirror, ask->path, ok);
        break;
    case ASK_MEMBERS:
        take_members(mirror, ok);
        break;
    case ASK_QUORUM: {
        bool quorate = ok != NULL && q_json_bool(ok, "quorate", false);
        uint64_t epoch = ok != NULL ? (uint64_t)q_json_int(ok, "epoch", 0) : mirror->epoch;
        mirror->changed |= quorate != mirror->quorate || epoch != mirror->epoch;
        mirror->quorate = quorate;
        mirror->epoch = epoch;
        break;
    }
    }
}

static void
on_answer(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    Ask *ask = data;
    HaMirror *mirror = ask->mirror;

    if (mirror != NULL && ask->era == mirror->era) {
        mirror->in_flight--;
        if (ok == NULL && !g_error_matches(error, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            q_debug("asking quorate-cfsd for '%s': %s", ask->path != NULL ? ask->path : "state",
                    error->message);
            mirror->failed = true;
        } else {
            take(mirror, ask, ok);
        }
        pump(mirror);
    }
    ask_free(ask);
}

static void
send_ask(HaMirror *mirror, Ask *ask)
{
    static const struct {
        const char *op;
        const char *argument;
    } ops[] = {
        [ASK_FILE] = { "get", "path" },        [ASK_NODES] = { "list", "path" },
        [ASK_GUESTS] = { "list", "path" },     [ASK_RECORDS] = { "records", NULL },
        [ASK_LEASE] = { "lease.get", "name" }, [ASK_MEMBERS] = { "members", NULL },
        [ASK_QUORUM] = { "quorum", NULL },
    };
    JsonObject *arguments = json_object_new();

    if (ops[ask->kind].argument != NULL) {
        json_object_set_string_member(arguments, ops[ask->kind].argument,
                                      ask->kind == ASK_NODES ? "nodes" : ask->path);
    }
    mirror->in_flight++;
    cfs_client_send(mirror->client, ops[ask->kind].op, arguments, on_answer, ask);
}

static void
pump(HaMirror *mirror)
{
    while (mirror->connected && mirror->in_flight < IN_FLIGHT_MAX
           && !g_queue_is_empty(&mirror->waiting)) {
        send_ask(mirror, g_queue_pop_head(&mirror->waiting));
    }
    if (mirror->in_flight > 0 || !g_queue_is_empty(&mirror->waiting)) {
        return;
    }
    if (mirror->failed && mirror->retry_source == 0) {
        mirror->retry_source = g_timeout_add(RETRY_MS, on_retry, mirror);
    }
    if (!mirror->failed && (mirror->changed || !mirror->alive)) {
        mirror->changed = false;
        mirror->alive = true;
        mirror->news(mirror->data);
    }
}

/* ------------------------------------------------------------------ watching */

static void
on_watch(CfsClient *client, JsonObject *message, gpointer data)
{
    HaMirror *mirror = data;

    if (message == NULL || q_json_bool(message, "reread", false)) {
        want_all(mirror);
        return;
    }
    JsonArray *paths = q_json_array(message, "paths");
    for (guint i = 0; paths != NULL && i < json_array_get_length(paths); i++) {
        JsonArray *pair = json_array_get_array_element(paths, i);

        if (pair != NULL && json_array_get_length(pair) > 0) {
            want_path(mirror, json_array_get_string_element(pair, 0));
        }
    }
    /* A lease that is fenced proves guests dead: their records say so from then on. */
    if (json_object_has_member(message, "records") || json_object_has_member(message, "leases")) {
        want(mirror, ASK_RECORDS, NULL);
    }
    if (json_object_has_member(message, "leases")) {
        want_leases(mirror);
    }
    if (json_object_has_member(message, "quorate")) {
        want(mirror, ASK_QUORUM, NULL);
        want(mirror, ASK_MEMBERS, NULL);
        want_leases(mirror);
    }
    mirror->sequence = MAX(mirror->sequence, (uint64_t)q_json_int(message, "sequence", 0));
    mirror->changed = true; /* also a sequence alone is waited for */
    pump(mirror);
}

void
ha_mirror_connected(HaMirror *mirror)
{
    mirror->connected = true;
    mirror->failed = false;
    want_all(mirror);
}

void
ha_mirror_lost(HaMirror *mirror)
{
    mirror->connected = false;
    mirror->alive = false;
    mirror->quorate = false;
    mirror->era++;
    mirror->in_flight = 0;
    mirror->sequence = 0; /* numbers of a restarted cfsd go on, but who knows which it has told */
    g_queue_clear_full(&mirror->waiting, ask_free);
    mirror->news(mirror->data);
}

/* ------------------------------------------------------------------ looking */

bool
ha_mirror_settled(const HaMirror *mirror)
{
    return mirror->connected && !mirror->failed && mirror->in_flight == 0
           && g_queue_is_empty((GQueue *)&mirror->waiting) && mirror->members != NULL;
}

bool
ha_mirror_alive(const HaMirror *mirror)
{
    return mirror->connected && mirror->alive;
}

uint64_t
ha_mirror_sequence(const HaMirror *mirror)
{
    return mirror->sequence;
}

const HaFile *
ha_mirror_file(const HaMirror *mirror, const char *path)
{
    return g_hash_table_lookup(mirror->files, path);
}

GPtrArray *
ha_mirror_paths(const HaMirror *mirror)
{
    return q_sorted_keys(mirror->files);
}

JsonArray *
ha_mirror_records(const HaMirror *mirror)
{
    return mirror->records;
}

GPtrArray *
ha_mirror_lease_names(const HaMirror *mirror)
{
    return q_sorted_keys(mirror->leases);
}

JsonObject *
ha_mirror_lease(const HaMirror *mirror, const char *name)
{
    return g_hash_table_lookup(mirror->leases, name);
}

JsonObject *
ha_mirror_members(const HaMirror *mirror)
{
    return mirror->members;
}

bool
ha_mirror_quorate(const HaMirror *mirror)
{
    return mirror->connected && mirror->quorate;
}

uint64_t
ha_mirror_epoch(const HaMirror *mirror)
{
    return mirror->epoch;
}

HaMirror *
ha_mirror_new(CfsClient *client, HaMirrorNews news, gpointer data)
{
    static const char *const prefixes[] = { "ha", "nodes", "datacenter.cfg", "corosync.conf",
                                            NULL };
    static const char *const what[] = { "leases", "records", NULL };
    HaMirror *mirror = g_new0(HaMirror, 1);

    mirror->client = client;
    mirror->news = news;
    mirror->data = data;
    g_queue_init(&mirror->waiting);
    mirror->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, file_free);
    mirror->leases =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_object_unref);
    mirror->look_source = g_timeout_add(LOOK_MS, on_look, mirror);
    cfs_client_watch(client, prefixes, what, on_watch, mirror);
    return mirror;
}

void
ha_mirror_free(HaMirror *mirror)
{
    if (mirror == NULL) {
        return;
    }
    g_source_remove(mirror->look_source);
    if (mirror->retry_source != 0) {
        g_source_remove(mirror->retry_source);
    }
    g_queue_clear_full(&mirror->waiting, ask_free);
    g_hash_table_unref(mirror->files);
    g_hash_table_unref(mirror->leases);
    g_clear_pointer(&mirror->records, json_array_unref);
    g_clear_pointer(&mirror->members, json_object_unref);
    g_free(mirror);
}
