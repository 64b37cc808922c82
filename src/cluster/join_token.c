#include "cluster/join_token.h"
#include <string.h>
#include <sys/random.h>
#include "base/json.h"

#define SECRET_MIN 32 /* characters */

char *
join_secret_new(void)
{
    unsigned char bytes[JOIN_SECRET_BYTES];
    GString *text = g_string_new(NULL);

    while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        continue;
    for (size_t i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* ------------------------------------------------------------------ the text of a token */

bool
join_token_parse(const char *text, JoinToken *token, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "#", -1);

    if (g_strv_length(parts) != 3 || parts[0][0] == '\0' || parts[1][0] == '\0'
        || strlen(parts[2]) < SECRET_MIN)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "token: expected HOST#FINGERPRINT#SECRET, as 'pvecm token' prints it on a "
            "member");
    token->host = g_strdup(parts[0]);
    token->fingerprint = g_strdup(parts[1]);
    token->secret = g_strdup(parts[2]);
    return true;
}

char *
join_token_text(const char *host, const char *fingerprint, const char *secret)
{
    return g_strjoin("#", host, fingerprint, secret, NULL);
}

void
join_token_clear(JoinToken *token)
{
    g_clear_pointer(&token->host, g_free);
    g_clear_pointer(&token->fingerprint, g_free);
    g_clear_pointer(&token->secret, g_free);
}

/* ------------------------------------------------------------------ the files */

/* A file that cannot be read counts as empty: nobody is let in by it. */
static JsonObject *
read_file(const char *text)
{
    JsonObject *file = text != NULL ? q_json_parse_object(text, -1, NULL) : NULL;

    return file != NULL ? file : json_object_new();
}

static char *
write_file(JsonObject *file)
{
    g_autofree char *text = q_json_object_text(file, Q_JSON_COMPACT);

    return g_strconcat(text, "\n", NULL);
}

/* A random secret of 256 bits needs no slow hash. */
static char *
hash_of(const char *secret)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, secret, -1);
}

static bool
same_hash(const char *a, const char *b)
{
    unsigned int differ = strlen(a) != strlen(b);

    for (size_t i = 0; differ == 0 && a[i] != '\0'; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

/* The tokens that still count, without the one of @spent (nullable). */
static JsonArray *
live_tokens(JsonObject *file, const char *spent, int64_t now_s, bool *found)
{
    JsonArray *old = q_json_array(file, "tokens"), *live = json_array_new();

    for (guint i = 0; old != NULL && i < json_array_get_length(old); i++) {
        JsonNode *node = json_array_get_element(old, i);
        JsonObject *token = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        if (token == NULL || q_json_int(token, "expires", 0) <= now_s)
            continue;
        if (spent != NULL && same_hash(q_json_string(token, "hash", ""), spent))
            *found = true;
        else
            json_array_add_object_element(live, json_object_ref(token));
    }
    return live;
}

char *
join_tokens_add(const char *text, const char *secret, int64_t expires_s, int64_t now_s)
{
    g_autoptr(JsonObject) file = read_file(text);
    JsonArray *tokens = live_tokens(file, NULL, now_s, NULL);
    g_autofree char *hash = hash_of(secret);
    JsonObject *token = json_object_new();

    json_object_set_string_member(token, "hash", hash);
    json_object_set_int_member(token, "expires", expires_s);
    json_array_add_object_element(tokens, token);
    json_object_set_array_member(file, "tokens", tokens);
    return write_file(file);
}

char *
join_tokens_spend(const char *text, const char *secret, int64_t now_s, GError **error)
{
    g_autoptr(JsonObject) file = read_file(text);
    g_autofree char *hash = hash_of(secret);
    bool found = false;
    JsonArray *tokens = live_tokens(file, hash, now_s, &found);

    json_object_set_array_member(file, "tokens", tokens);
    if (!found) {
        q_set_error(error, Q_ERROR_DENIED,
                    "this join token is unknown, used or over; make another one: pvecm token");
        return NULL;
    }
    return write_file(file);
}

static JsonObject *
pending_nodes(JsonObject *file)
{
    JsonObject *nodes = q_json_object(file, "nodes");

    if (nodes == NULL) {
        nodes = json_object_new();
        json_object_set_object_member(file, "nodes", nodes);
    }
    return nodes;
}

char *
join_pending_add(const char *text, const char *node, const char *secret, int64_t votes,
                 int64_t now_s)
{
    g_autoptr(JsonObject) file = read_file(text);
    g_autofree char *hash = hash_of(secret);
    JsonObject *entry = json_object_new();

    json_object_set_string_member(entry, "hash", hash);
    json_object_set_int_member(entry, "votes", votes);
    json_object_set_int_member(entry, "added", now_s);
    json_object_set_object_member(pending_nodes(file), node, entry);
    return write_file(file);
}

char *
join_pending_remove(const char *text, const char *node)
{
    g_autoptr(JsonObject) file = read_file(text);

    json_object_remove_member(pending_nodes(file), node);
    return write_file(file);
}

bool
join_pending_get(const char *text, const char *node, JoinPending *pending)
{
    g_autoptr(JsonObject) file = read_file(text);
    JsonObject *entry = q_json_object(pending_nodes(file), node);

    if (entry == NULL)
        return false;
    pending->votes = q_json_int(entry, "votes", 1);
    pending->added_s = q_json_int(entry, "added", 0);
    return true;
}

bool
join_pending_knows(const char *text, const char *node, const char *secret)
{
    g_autoptr(JsonObject) file = read_file(text);
    JsonObject *entry = q_json_object(pending_nodes(file), node);
    g_autofree char *hash = hash_of(secret);

    return entry != NULL && same_hash(q_json_string(entry, "hash", ""), hash);
}

char **
join_pending_nodes(const char *text)
{
    g_autoptr(JsonObject) file = read_file(text);
    g_autoptr(GList) names = json_object_get_members(pending_nodes(file));
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    names = g_list_sort(names, (GCompareFunc)strcmp);
    for (GList *name = names; name != NULL; name = name->next)
        g_strv_builder_add(builder, name->data);
    return g_strv_builder_end(builder);
}
