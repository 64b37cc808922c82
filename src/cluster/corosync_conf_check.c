#include "cluster/corosync_conf_priv.h"
#include <string.h>

#define NODE_NAME_MAX 63
#define CLUSTER_NAME_MAX 15

static bool
name_ok(const char *name, size_t max)
{
    size_t length = strlen(name);

    if (length == 0 || length > max || name[0] == '-' || name[length - 1] == '-')
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && *p != '-')
            return false;
    return true;
}

bool
corosync_node_name_ok(const char *name)
{
    return name_ok(name, NODE_NAME_MAX);
}

bool
corosync_cluster_name_ok(const char *name)
{
    return name_ok(name, CLUSTER_NAME_MAX);
}

static void complain(GPtrArray *list, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
complain(GPtrArray *list, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(list, g_strdup_vprintf(format, args));
    va_end(args);
}

static void
check_number(const CorosyncConf *conf, const char *key, uint64_t min, uint64_t max,
             GPtrArray *errors)
{
    const char *text = corosync_conf_get(conf, "totem", key);
    uint64_t number;

    if (text != NULL && !conf_number(text, min, max, &number))
        complain(errors, "totem: %s '%s' is no number from %" G_GUINT64_FORMAT, key, text, min);
}

static void
check_totem(const CorosyncConf *conf, GPtrArray *errors, GPtrArray *warnings)
{
    const char *version = corosync_conf_get(conf, "totem", "version");
    const char *transport = corosync_conf_get(conf, "totem", "transport");
    const char *provider = corosync_conf_get(conf, "quorum", "provider");

    if (!corosync_conf_has_block(conf, "totem")) {
        complain(errors, "no totem block");
        return;
    }
    if (g_strcmp0(version, "2") != 0)
        complain(errors, "totem: version must be 2");
    if (corosync_conf_cluster_name(conf)[0] == '\0')
        complain(errors, "totem: cluster_name is missing");
    if (corosync_conf_version(conf) == 0)
        complain(errors, "totem: config_version must be a number from 1");
    check_number(conf, "token", 1, G_MAXINT32, errors);
    check_number(conf, "token_coefficient", 0, G_MAXINT32, errors);
    if (transport != NULL && strcmp(transport, "knet") != 0)
        complain(warnings, "transport is '%s', not knet", transport);
    if (!corosync_conf_encrypted(conf))
        complain(warnings, "cluster traffic is not encrypted (totem: secauth)");
    if (g_strcmp0(provider, "corosync_votequorum") != 0)
        complain(errors, "quorum: provider must be corosync_votequorum");
}

/* What a node's block says in itself. */
static void
check_node(const ConfBlock *block, GPtrArray *errors)
{
    CorosyncNode node = conf_node(block);
    const char *votes = conf_block_get(block, "quorum_votes");
    uint64_t number;
    bool linked = false;

    for (int i = 0; i < COROSYNC_LINKS; i++)
        linked |= node.addr[i] != NULL;
    if (node.name[0] == '\0') {
        complain(errors, "nodelist: a node has no name");
        return;
    }
    if (conf_block_get(block, "name") != NULL && !corosync_node_name_ok(node.name))
        complain(errors, "nodelist: '%s' is no valid node name", node.name);
    if (node.id == 0)
        complain(errors, "node '%s': nodeid must be a number from 1", node.name);
    if (votes != NULL && !conf_number(votes, 0, G_MAXINT32, &number))
        complain(errors, "node '%s': quorum_votes '%s' is no number", node.name, votes);
    if (!linked)
        complain(errors, "node '%s' has no address (ring0_addr)", node.name);
}

static void
check_pair(const CorosyncNode *a, const CorosyncNode *b, GPtrArray *errors)
{
    if (strcmp(a->name, b->name) == 0)
        complain(errors, "node '%s' is listed twice", a->name);
    if (a->id != 0 && a->id == b->id)
        complain(errors, "nodes '%s' and '%s' have the same nodeid %u", a->name, b->name, a->id);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        if ((a->addr[i] == NULL) != (b->addr[i] == NULL))
            complain(errors, "link %d: node '%s' has no address on it, node '%s' has", i,
                     a->addr[i] == NULL ? a->name : b->name,
                     a->addr[i] == NULL ? b->name : a->name);
        for (int k = 0; k < COROSYNC_LINKS; k++)
            if (a->addr[i] != NULL && g_strcmp0(a->addr[i], b->addr[k]) == 0)
                complain(errors, "address '%s' is used by nodes '%s' and '%s'", a->addr[i], a->name,
                         b->name);
    }
}

static void
check_nodes(const CorosyncConf *conf, GPtrArray *errors)
{
    const ConfBlock *list = conf_block_child(conf->root, "nodelist");
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    uint64_t votes = 0;

    for (guint i = 0; list != NULL && i < list->items->len; i++) {
        const ConfItem *item = list->items->pdata[i];
        if (item->block != NULL && strcmp(item->name, "node") == 0)
            check_node(item->block, errors);
    }
    if (nodes->len == 0) {
        complain(errors, "nodelist: no nodes");
        return;
    }
    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(nodes, CorosyncNode, i);
        votes += node->votes;
        for (guint k = i + 1; k < nodes->len; k++)
            check_pair(node, &g_array_index(nodes, CorosyncNode, k), errors);
    }
    if (votes == 0)
        complain(errors, "nodelist: no node has a vote");
}

/* If there are interface blocks, they and the nodes' addresses must name the same links. */
static void
check_interfaces(const CorosyncConf *conf, GPtrArray *errors)
{
    const ConfBlock *totem = conf_block_child(conf->root, "totem");
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    bool listed[COROSYNC_LINKS] = { false }, any = false;
    uint64_t number;

    for (guint i = 0; totem != NULL && i < totem->items->len; i++) {
        const ConfItem *item = totem->items->pdata[i];
        if (item->block == NULL || strcmp(item->name, "interface") != 0)
            continue;
        const char *link = conf_block_get(item->block, "linknumber");
        const char *priority = conf_block_get(item->block, "knet_link_priority");
        if (!conf_number(link != NULL ? link : "0", 0, COROSYNC_LINKS - 1, &number)) {
            complain(errors, "interface: linknumber '%s' is not 0..%d", link, COROSYNC_LINKS - 1);
            continue;
        }
        if (listed[number])
            complain(errors, "interface: link %d is listed twice", (int)number);
        listed[number] = any = true;
        if (priority != NULL && !conf_number(priority, 0, 255, &number))
            complain(errors, "interface: knet_link_priority '%s' is not 0..255", priority);
    }
    if (!any || nodes->len == 0)
        return;
    const CorosyncNode *first = &g_array_index(nodes, CorosyncNode, 0);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        if (listed[i] && first->addr[i] == NULL)
            complain(errors, "link %d has an interface block but no addresses", i);
        else if (!listed[i] && first->addr[i] != NULL)
            complain(errors, "link %d has addresses but no interface block", i);
    }
}

bool
corosync_conf_check(const CorosyncConf *conf, GPtrArray **warnings, GError **error)
{
    g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) remarks = g_ptr_array_new_with_free_func(g_free);

    check_totem(conf, errors, remarks);
    check_nodes(conf, errors);
    check_interfaces(conf, errors);
    if (errors->len > 0) {
        g_ptr_array_add(errors, NULL);
        g_autofree char *all = g_strjoinv("; ", (char **)errors->pdata);
        return q_set_error(error, Q_ERROR_INVALID, "invalid corosync.conf: %s", all);
    }
    if (warnings != NULL)
        *warnings = g_steal_pointer(&remarks);
    return true;
}

/* A node id that changes hands would let one node's messages count as another's. */
static bool
check_identities(const CorosyncConf *old, const CorosyncConf *fresh, GError **error)
{
    g_autoptr(GArray) before = corosync_conf_nodes(old), after = corosync_conf_nodes(fresh);

    for (guint i = 0; i < before->len; i++) {
        const CorosyncNode *was = &g_array_index(before, CorosyncNode, i);
        for (guint k = 0; k < after->len; k++) {
            const CorosyncNode *is = &g_array_index(after, CorosyncNode, k);
            if ((was->id == is->id) != (strcmp(was->name, is->name) == 0))
                return q_set_error(error, Q_ERROR_INVALID,
                                   "node '%s' has nodeid %u and node '%s' %u: an id stays with its "
                                   "name; remove the node and add it again",
                                   was->name, was->id, is->name, is->id);
        }
    }
    return true;
}

bool
corosync_conf_check_change(const char *old_text, const char *new_text, const char *own_name,
                           CorosyncConf **fresh, GError **error)
{
    g_autoptr(CorosyncConf) old = NULL, conf = corosync_conf_parse(new_text, error);

    if (conf == NULL || !corosync_conf_check(conf, NULL, error))
        return false;
    if (own_name != NULL && !corosync_conf_node(conf, own_name, NULL))
        return q_set_error(error, Q_ERROR_INVALID, "corosync.conf: this node, '%s', is not in it",
                           own_name);
    /* An old file that does not parse is what the new one repairs. */
    old = old_text != NULL ? corosync_conf_parse(old_text, NULL) : NULL;
    if (old != NULL) {
        if (corosync_conf_version(conf) <= corosync_conf_version(old))
            return q_set_error(error, Q_ERROR_INVALID,
                               "corosync.conf: config_version %" G_GINT64_FORMAT
                               " is not higher than the present %" G_GINT64_FORMAT,
                               corosync_conf_version(conf), corosync_conf_version(old));
        if (strcmp(corosync_conf_cluster_name(conf), corosync_conf_cluster_name(old)) != 0)
            return q_set_error(error, Q_ERROR_INVALID,
                               "corosync.conf: cluster_name '%s' cannot become '%s'",
                               corosync_conf_cluster_name(old), corosync_conf_cluster_name(conf));
        if (!check_identities(old, conf, error))
            return q_prefix_error(error, "corosync.conf: ");
    }
    if (fresh != NULL)
        *fresh = g_steal_pointer(&conf);
    return true;
}
