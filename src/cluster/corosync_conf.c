#include "cluster/corosync_conf_priv.h"
#include <stdlib.h>
#include <string.h>
#include "base/sorted.h"

#define CONF_DEPTH_MAX 8
#define COROSYNC_TOKEN_MS 3000 /* Corosync's defaults, where the file is silent */
#define COROSYNC_COEFFICIENT_MS 650

/* ------------------------------------------------------------------ blocks */

static void
conf_item_free(gpointer data)
{
    ConfItem *item = data;

    g_free(item->name);
    g_free(item->value);
    conf_block_free(item->block);
    g_free(item);
}

ConfBlock *
conf_block_new(void)
{
    ConfBlock *block = g_new0(ConfBlock, 1);

    block->items = g_ptr_array_new_with_free_func(conf_item_free);
    return block;
}

void
conf_block_free(ConfBlock *block)
{
    if (block == NULL)
        return;
    g_ptr_array_unref(block->items);
    g_free(block);
}

static ConfItem *
conf_item_add(ConfBlock *block, const char *name)
{
    ConfItem *item = g_new0(ConfItem, 1);

    item->name = g_strdup(name);
    g_ptr_array_add(block->items, item);
    return item;
}

ConfBlock *
conf_block_add(ConfBlock *block, const char *name)
{
    ConfItem *item = conf_item_add(block, name);

    item->block = conf_block_new();
    return item->block;
}

ConfBlock *
conf_block_child(const ConfBlock *block, const char *name)
{
    for (guint i = 0; i < block->items->len; i++) {
        const ConfItem *item = block->items->pdata[i];
        if (item->block != NULL && strcmp(item->name, name) == 0)
            return item->block;
    }
    return NULL;
}

/* The last one counts, as in Corosync, where a later line overwrites an earlier one. */
const char *
conf_block_get(const ConfBlock *block, const char *key)
{
    for (guint i = block->items->len; i-- > 0;) {
        const ConfItem *item = block->items->pdata[i];
        if (item->value != NULL && strcmp(item->name, key) == 0)
            return item->value;
    }
    return NULL;
}

void
conf_block_set(ConfBlock *block, const char *key, const char *value)
{
    for (guint i = block->items->len; i-- > 0;) {
        const ConfItem *item = block->items->pdata[i];
        if (item->value != NULL && strcmp(item->name, key) == 0)
            g_ptr_array_remove_index(block->items, i);
    }
    if (value != NULL)
        conf_item_add(block, key)->value = g_strdup(value);
}

bool
conf_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    guint64 number;

    if (text == NULL || !g_ascii_string_to_unsigned(text, 10, min, max, &number, NULL))
        return false;
    *value = number;
    return true;
}

/* ------------------------------------------------------------------ parsing */

typedef struct {
    ConfBlock *stack[CONF_DEPTH_MAX];
    int depth;
    int line;
} ConfReader;

static bool
conf_read_line(ConfReader *reader, char *line, GError **error)
{
    ConfBlock *block = reader->stack[reader->depth];

    g_strstrip(line);
    if (line[0] == '\0' || line[0] == '#')
        return true;

    size_t length = strlen(line);
    if (strcmp(line, "}") == 0) {
        if (reader->depth == 0)
            return q_set_error(error, Q_ERROR_INVALID, "line %d: '}' without a block",
                               reader->line);
        reader->depth--;
        return true;
    }
    if (line[length - 1] == '{') {
        line[length - 1] = '\0';
        g_strchomp(line);
        if (line[0] == '\0' || strpbrk(line, ":{} \t") != NULL)
            return q_set_error(error, Q_ERROR_INVALID, "line %d: expected 'BLOCK {'", reader->line);
        if (reader->depth + 1 == CONF_DEPTH_MAX)
            return q_set_error(error, Q_ERROR_INVALID, "line %d: blocks nest too deep",
                               reader->line);
        reader->stack[++reader->depth] = conf_block_add(block, line);
        return true;
    }

    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line || strpbrk(line, "{}") != NULL)
        return q_set_error(error, Q_ERROR_INVALID,
                           "line %d: expected 'KEY: VALUE', 'BLOCK {' or '}'", reader->line);
    *colon = '\0';
    g_strchomp(line);
    conf_item_add(block, line)->value = g_strdup(g_strchug(colon + 1));
    return true;
}

CorosyncConf *
corosync_conf_parse(const char *text, GError **error)
{
    g_autoptr(CorosyncConf) conf = g_new0(CorosyncConf, 1);
    ConfReader reader = { 0 };
    g_auto(GStrv) lines = NULL;

    conf->root = conf_block_new();
    reader.stack[0] = conf->root;
    if (!g_utf8_validate(text, -1, NULL)) {
        q_set_error(error, Q_ERROR_INVALID, "corosync.conf is not UTF-8 text");
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (int i = 0; lines[i] != NULL; i++) {
        reader.line = i + 1;
        if (!conf_read_line(&reader, lines[i], error)) {
            q_prefix_error(error, "corosync.conf, ");
            return NULL;
        }
    }
    if (reader.depth > 0) {
        q_set_error(error, Q_ERROR_INVALID, "corosync.conf: a block is not closed at the end");
        return NULL;
    }
    return g_steal_pointer(&conf);
}

static ConfBlock *
conf_block_copy(const ConfBlock *block)
{
    ConfBlock *copy = conf_block_new();

    for (guint i = 0; i < block->items->len; i++) {
        const ConfItem *item = block->items->pdata[i];
        ConfItem *twin = conf_item_add(copy, item->name);
        twin->value = g_strdup(item->value);
        twin->block = item->block != NULL ? conf_block_copy(item->block) : NULL;
    }
    return copy;
}

CorosyncConf *
corosync_conf_copy(const CorosyncConf *conf)
{
    CorosyncConf *copy = g_new0(CorosyncConf, 1);

    copy->root = conf_block_copy(conf->root);
    return copy;
}

void
corosync_conf_free(CorosyncConf *conf)
{
    if (conf == NULL)
        return;
    conf_block_free(conf->root);
    g_free(conf);
}

/* ------------------------------------------------------------------ printing */

/* Blocks of one name: nodes by name, interfaces by link number, others as they stood. */
static int
conf_block_order(const char *name, const ConfBlock *a, const ConfBlock *b)
{
    if (strcmp(name, "node") == 0) {
        CorosyncNode node_a = conf_node(a), node_b = conf_node(b);
        return g_strcmp0(node_a.name, node_b.name);
    }
    if (strcmp(name, "interface") == 0) {
        uint64_t link_a = 0, link_b = 0;
        conf_number(conf_block_get(a, "linknumber"), 0, G_MAXUINT32, &link_a);
        conf_number(conf_block_get(b, "linknumber"), 0, G_MAXUINT32, &link_b);
        return (link_a > link_b) - (link_a < link_b);
    }
    return 0;
}

static int
conf_item_order(gconstpointer a, gconstpointer b)
{
    const ConfItem *item_a = *(ConfItem *const *)a, *item_b = *(ConfItem *const *)b;
    int order = strcmp(item_a->name, item_b->name);

    if (order == 0 && item_a->block != NULL && item_b->block != NULL)
        order = conf_block_order(item_a->name, item_a->block, item_b->block);
    return order;
}

static void
conf_print(GString *text, const ConfBlock *block, int depth)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new();

    for (guint i = 0; i < block->items->len; i++)
        g_ptr_array_add(items, block->items->pdata[i]);
    g_ptr_array_sort(items, conf_item_order); /* stable */
    for (guint i = 0; i < items->len; i++) {
        const ConfItem *item = items->pdata[i];
        if (item->value != NULL) {
            g_string_append_printf(text, "%*s%s: %s\n", depth * 2, "", item->name, item->value);
            continue;
        }
        g_string_append_printf(text, "%*s%s {\n", depth * 2, "", item->name);
        conf_print(text, item->block, depth + 1);
        g_string_append_printf(text, "%*s}\n%s", depth * 2, "", depth == 0 ? "\n" : "");
    }
}

char *
corosync_conf_text(const CorosyncConf *conf)
{
    GString *text = g_string_new(NULL);

    conf_print(text, conf->root, 0);
    return g_string_free(text, FALSE);
}

/* ------------------------------------------------------------------ looking */

static const ConfBlock *
conf_find(const CorosyncConf *conf, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    const ConfBlock *block = conf->root;

    for (int i = 0; parts[i] != NULL && block != NULL; i++)
        block = conf_block_child(block, parts[i]);
    return block;
}

const char *
corosync_conf_get(const CorosyncConf *conf, const char *block, const char *key)
{
    const ConfBlock *found = conf_find(conf, block);

    return found != NULL ? conf_block_get(found, key) : NULL;
}

bool
corosync_conf_has_block(const CorosyncConf *conf, const char *block)
{
    return conf_find(conf, block) != NULL;
}

char **
corosync_conf_keys(const CorosyncConf *conf, const char *path)
{
    const ConfBlock *block = conf_find(conf, path);
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; block != NULL && i < block->items->len; i++) {
        const ConfItem *item = block->items->pdata[i];
        if (item->value != NULL)
            g_ptr_array_add(keys, item->name);
    }
    g_ptr_array_sort(keys, q_strcmp_ptr);
    for (guint i = 0; i < keys->len; i++)
        if (i == 0 || strcmp(keys->pdata[i], keys->pdata[i - 1]) != 0)
            g_strv_builder_add(builder, keys->pdata[i]);
    return g_strv_builder_end(builder);
}

bool
corosync_conf_interface(const CorosyncConf *conf, int link, int *priority)
{
    const ConfBlock *totem = conf_block_child(conf->root, "totem");

    for (guint i = 0; totem != NULL && i < totem->items->len; i++) {
        const ConfItem *item = totem->items->pdata[i];
        uint64_t number = 0;
        if (item->block == NULL || strcmp(item->name, "interface") != 0)
            continue;
        conf_number(conf_block_get(item->block, "linknumber"), 0, COROSYNC_LINKS - 1, &number);
        if ((int)number != link)
            continue;
        number = 0;
        conf_number(conf_block_get(item->block, "knet_link_priority"), 0, 255, &number);
        *priority = (int)number;
        return true;
    }
    return false;
}

int64_t
corosync_conf_version(const CorosyncConf *conf)
{
    uint64_t version;

    return conf_number(corosync_conf_get(conf, "totem", "config_version"), 1, G_MAXINT64, &version)
               ? (int64_t)version
               : 0;
}

const char *
corosync_conf_cluster_name(const CorosyncConf *conf)
{
    const char *name = corosync_conf_get(conf, "totem", "cluster_name");

    return name != NULL ? name : "";
}

/* secauth is only short for the two; a cipher or hash that is named wins over it. */
bool
corosync_conf_encrypted(const CorosyncConf *conf)
{
    const char *secauth = corosync_conf_get(conf, "totem", "secauth");
    const char *cipher = corosync_conf_get(conf, "totem", "crypto_cipher");

    if (cipher != NULL)
        return strcmp(cipher, "none") != 0;
    return secauth != NULL && strcmp(secauth, "on") == 0;
}

CorosyncNode
conf_node(const ConfBlock *block)
{
    CorosyncNode node = { .votes = 1 };
    uint64_t number;

    if (conf_number(conf_block_get(block, "nodeid"), 1, COROSYNC_NODE_ID_MAX, &number))
        node.id = (uint32_t)number;
    if (conf_number(conf_block_get(block, "quorum_votes"), 0, G_MAXINT32, &number))
        node.votes = (uint32_t)number;
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        char key[] = "ring0_addr";
        key[4] = (char)('0' + i);
        node.addr[i] = conf_block_get(block, key);
    }
    node.name = conf_block_get(block, "name");
    if (node.name == NULL)
        node.name = node.addr[0] != NULL ? node.addr[0] : "";
    return node;
}

static int
conf_node_order(gconstpointer a, gconstpointer b)
{
    return strcmp(((const CorosyncNode *)a)->name, ((const CorosyncNode *)b)->name);
}

GArray *
corosync_conf_nodes(const CorosyncConf *conf)
{
    GArray *nodes = g_array_new(FALSE, FALSE, sizeof(CorosyncNode));
    const ConfBlock *list = conf_block_child(conf->root, "nodelist");

    for (guint i = 0; list != NULL && i < list->items->len; i++) {
        const ConfItem *item = list->items->pdata[i];
        if (item->block == NULL || strcmp(item->name, "node") != 0)
            continue;
        CorosyncNode node = conf_node(item->block);
        g_array_append_val(nodes, node);
    }
    g_array_sort(nodes, conf_node_order);
    return nodes;
}

bool
corosync_conf_node(const CorosyncConf *conf, const char *name, CorosyncNode *node)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);

    /* Names first: an address could look like another node's name. */
    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < nodes->len; i++) {
            const CorosyncNode *each = &g_array_index(nodes, CorosyncNode, i);
            bool found = pass == 0 && strcmp(each->name, name) == 0;
            for (int link = 0; pass == 1 && link < COROSYNC_LINKS; link++)
                found |= g_strcmp0(each->addr[link], name) == 0;
            if (!found)
                continue;
            if (node != NULL)
                *node = *each;
            return true;
        }
    }
    return false;
}

bool
corosync_conf_is_sample(const CorosyncConf *conf)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);

    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(nodes, CorosyncNode, i);
        for (int link = 0; link < COROSYNC_LINKS; link++)
            if (node->addr[link] != NULL && !g_str_has_prefix(node->addr[link], "127.")
                && strcmp(node->addr[link], "::1") != 0)
                return false;
    }
    return true;
}

int64_t
corosync_conf_token_ms(const CorosyncConf *conf)
{
    uint64_t token = COROSYNC_TOKEN_MS, coefficient = COROSYNC_COEFFICIENT_MS;
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);

    conf_number(corosync_conf_get(conf, "totem", "token"), 1, G_MAXINT32, &token);
    conf_number(corosync_conf_get(conf, "totem", "token_coefficient"), 0, G_MAXINT32, &coefficient);
    return (int64_t)(token + (nodes->len > 2 ? (nodes->len - 2) * coefficient : 0));
}
