#include "cluster/corosync_conf_priv.h"
#include <string.h>

static void
set_number(ConfBlock *block, const char *key, int64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);

    conf_block_set(block, key, text);
}

static ConfBlock *
make_block(ConfBlock *block, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        ConfBlock *child = conf_block_child(block, parts[i]);
        block = child != NULL ? child : conf_block_add(block, parts[i]);
    }
    return block;
}

void
corosync_conf_set(CorosyncConf *conf, const char *block, const char *key, const char *value)
{
    conf_block_set(make_block(conf->root, block), key, value);
}

void
corosync_conf_bump(CorosyncConf *conf)
{
    set_number(make_block(conf->root, "totem"), "config_version", corosync_conf_version(conf) + 1);
}

/* ------------------------------------------------------------------ links */

bool
corosync_link_parse(const char *text, CorosyncLink *link, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    const char *addr = NULL;
    uint64_t priority = 0;

    for (int i = 0; parts[i] != NULL; i++) {
        const char *part = g_strstrip(parts[i]);
        if (g_str_has_prefix(part, "priority=")) {
            if (!conf_number(part + strlen("priority="), 0, 255, &priority))
                return q_set_error(error, Q_ERROR_INVALID, "link '%s': priority must be 0..255",
                                   text);
            continue;
        }
        if (g_str_has_prefix(part, "address="))
            part += strlen("address=");
        if (addr != NULL || part[0] == '\0' || strpbrk(part, "= \t\n{}#") != NULL)
            return q_set_error(error, Q_ERROR_INVALID, "link '%s': expected ADDRESS[,priority=N]",
                               text);
        addr = part;
    }
    if (addr == NULL)
        return q_set_error(error, Q_ERROR_INVALID, "link '%s': expected ADDRESS[,priority=N]",
                           text);
    link->addr = g_strdup(addr);
    link->priority = (int)priority;
    return true;
}

void
corosync_links_clear(CorosyncLink links[COROSYNC_LINKS])
{
    for (int i = 0; i < COROSYNC_LINKS; i++)
        g_clear_pointer(&links[i].addr, g_free);
}

/* ------------------------------------------------------------------ nodes */

static void
append_node(CorosyncConf *conf, const CorosyncNode *node)
{
    ConfBlock *block = conf_block_add(make_block(conf->root, "nodelist"), "node");

    conf_block_set(block, "name", node->name);
    set_number(block, "nodeid", node->id);
    set_number(block, "quorum_votes", node->votes);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        char key[] = "ring0_addr";
        key[4] = (char)('0' + i);
        conf_block_set(block, key, node->addr[i]);
    }
}

static ConfBlock *
find_node(const CorosyncConf *conf, const char *name, guint *index)
{
    ConfBlock *list = conf_block_child(conf->root, "nodelist");

    for (guint i = 0; list != NULL && i < list->items->len; i++) {
        const ConfItem *item = list->items->pdata[i];
        if (item->block == NULL || strcmp(item->name, "node") != 0
            || strcmp(conf_node(item->block).name, name) != 0)
            continue;
        if (index != NULL)
            *index = i;
        return item->block;
    }
    return NULL;
}

static int
count_links(const CorosyncNode *node)
{
    int count = 0;

    for (int i = 0; i < COROSYNC_LINKS; i++)
        count += node->addr[i] != NULL;
    return count;
}

static bool
addresses_free(const GArray *nodes, const CorosyncNode *node, GError **error)
{
    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *other = &g_array_index(nodes, CorosyncNode, i);
        if (strcmp(other->name, node->name) == 0)
            continue; /* its own old entry */
        for (int a = 0; a < COROSYNC_LINKS; a++)
            for (int b = 0; b < COROSYNC_LINKS; b++)
                if (node->addr[a] != NULL && g_strcmp0(node->addr[a], other->addr[b]) == 0)
                    return q_set_error(error, Q_ERROR_EXISTS,
                                       "corosync: address '%s' already used on link ring%d_addr by "
                                       "node '%s'",
                                       node->addr[a], b, other->name);
    }
    return true;
}

static bool
links_match(const CorosyncNode *present, const CorosyncNode *node, GError **error)
{
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        if (present->addr[i] != NULL && node->addr[i] == NULL)
            return q_set_error(
                error, Q_ERROR_INVALID,
                "corosync: link %d exists in cluster config but wasn't specified for new "
                "node",
                i);
        if (present->addr[i] == NULL && node->addr[i] != NULL)
            return q_set_error(
                error, Q_ERROR_INVALID,
                "corosync: link %d specified for new node doesn't exist in cluster config", i);
    }
    return true;
}

static bool
identity_free(const GArray *nodes, CorosyncNode *node, bool force, GError **error)
{
    uint32_t lowest = 1;

    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *other = &g_array_index(nodes, CorosyncNode, i);
        if (strcmp(other->name, node->name) != 0)
            continue;
        if (!force)
            return q_set_error(error, Q_ERROR_EXISTS, "can't add existing node '%s'", node->name);
        if ((node->id != 0 && node->id != other->id) || node->votes != other->votes)
            return q_set_error(error, Q_ERROR_EXISTS,
                               "can't add existing node '%s': its entry has nodeid %u and %u votes",
                               node->name, other->id, other->votes);
        node->id = other->id;
        return true;
    }
    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *other = &g_array_index(nodes, CorosyncNode, i);
        if (node->id != 0 && node->id == other->id)
            return q_set_error(error, Q_ERROR_EXISTS, "nodeid %u is already used by node '%s'",
                               node->id, other->name);
    }
    for (guint i = 0; i < nodes->len; i++) /* as often as needed: ids are not sorted */
        for (guint k = 0; k < nodes->len; k++)
            lowest += g_array_index(nodes, CorosyncNode, k).id == lowest;
    if (node->id == 0)
        node->id = lowest;
    return true;
}

bool
corosync_conf_add_node(CorosyncConf *conf, const CorosyncNode *asked, bool force,
                       const char *fallback_addr, GError **error)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    CorosyncNode node = *asked;

    if (nodes->len == 0)
        return q_set_error(error, Q_ERROR_INVALID, "corosync.conf has no nodes");
    const CorosyncNode *present = &g_array_index(nodes, CorosyncNode, 0);
    if (count_links(&node) == 0) {
        if (count_links(present) > 1 || present->addr[0] == NULL)
            return q_set_error(
                error, Q_ERROR_INVALID,
                "no links given but multiple links found on other nodes, fallback only "
                "supported on single-link clusters");
        if (fallback_addr == NULL)
            return q_set_error(error, Q_ERROR_INVALID,
                               "no links given: one of 'link0' and 'new_node_ip' is needed");
        node.addr[0] = fallback_addr;
    }
    if (!addresses_free(nodes, &node, error) || !links_match(present, &node, error)
        || !identity_free(nodes, &node, force, error))
        return false;
    corosync_conf_remove_node(conf, node.name);
    append_node(conf, &node);
    return true;
}

/* safety.md S38: T = 1 s to 8 nodes, 62.5 ms more for each beyond. */
static int64_t
own_token_ms(guint nodes)
{
    return nodes <= 8 ? 1000 : 1000 + ((int64_t)(nodes - 8) * 125 + 1) / 2;
}

void
corosync_conf_fit_token(CorosyncConf *conf, guint nodes_before)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    g_autofree char *own = g_strdup_printf("%" G_GINT64_FORMAT, own_token_ms(nodes_before));

    if (g_strcmp0(corosync_conf_get(conf, "totem", "token_coefficient"), "0") == 0
        && g_strcmp0(corosync_conf_get(conf, "totem", "token"), own) == 0)
        set_number(make_block(conf->root, "totem"), "token", own_token_ms(nodes->len));
}

bool
corosync_conf_remove_node(CorosyncConf *conf, const char *name)
{
    guint index;

    if (find_node(conf, name, &index) == NULL)
        return false;
    g_ptr_array_remove_index(conf_block_child(conf->root, "nodelist")->items, index);
    return true;
}

bool
corosync_conf_set_votes(CorosyncConf *conf, const char *name, uint32_t votes)
{
    ConfBlock *node = find_node(conf, name, NULL);

    if (node == NULL)
        return false;
    set_number(node, "quorum_votes", votes);
    return true;
}

/* ------------------------------------------------------------------ a new cluster */

CorosyncConf *
corosync_conf_new(const CorosyncConfNew *options)
{
    CorosyncConf *conf = g_new0(CorosyncConf, 1);
    CorosyncNode node = { .name = options->node,
                          .id = options->node_id != 0 ? options->node_id : 1,
                          .votes = options->votes };

    conf->root = conf_block_new();
    corosync_conf_set(conf, "logging", "debug", "off");
    corosync_conf_set(conf, "logging", "to_syslog", "yes");
    corosync_conf_set(conf, "quorum", "provider", "corosync_votequorum");
    ConfBlock *totem = make_block(conf->root, "totem");
    conf_block_set(totem, "cluster_name", options->cluster_name);
    set_number(totem, "config_version", 1);
    conf_block_set(totem, "ip_version", "ipv4-6");
    conf_block_set(totem, "link_mode", "passive");
    conf_block_set(totem, "secauth", "on");
    conf_block_set(totem, "version", "2");
    if (options->token_ms > 0)
        set_number(totem, "token", options->token_ms);
    if (options->token_coefficient >= 0)
        set_number(totem, "token_coefficient", options->token_coefficient);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        const CorosyncLink *link = &options->links[i];
        if (link->addr == NULL)
            continue;
        ConfBlock *interface = conf_block_add(totem, "interface");
        set_number(interface, "linknumber", i);
        if (link->priority > 0)
            set_number(interface, "knet_link_priority", link->priority);
        node.addr[i] = link->addr;
    }
    append_node(conf, &node);
    return conf;
}
