#include "cfs/guard.h"
#include <string.h>
#include "cluster/corosync_conf.h"

static char *
text_of(GBytes *bytes)
{
    gsize length;
    const char *data = g_bytes_get_data(bytes, &length);

    return g_strndup(length > 0 ? data : "", length);
}

bool
cfs_guard_content(const Tree *tree, const char *path, GBytes *content, const char *node,
                  Update *update, GError **error)
{
    if (strcmp(path, CFS_GUARDED_PATH) != 0) {
        return true;
    }
    const TreeEntry *present = tree_lookup(tree, path);
    bool is_file = present != NULL && present->type == TREE_FILE;
    g_autofree char *old_text = is_file ? text_of(present->data) : NULL;
    g_autofree char *new_text = text_of(content);

    /* A file that is no configuration (an empty one just made) is no measure for its successor. */
    g_autoptr(CorosyncConf) old = old_text != NULL ? corosync_conf_parse(old_text, NULL) : NULL;
    if (old == NULL || !corosync_conf_check(old, NULL, NULL)) {
        g_clear_pointer(&old_text, g_free);
    }
    if (!corosync_conf_check_change(old_text, new_text, node, NULL, error)) {
        return q_prefix_error(error, "'%s' stays as it is: ", path);
    }
    update_if_version(update, path, present != NULL ? present->version : 0);
    return true;
}

bool
cfs_guard_remove(const char *path, bool local, GError **error)
{
    return local || strcmp(path, CFS_GUARDED_PATH) != 0
           || q_set_error(error, Q_ERROR_DENIED,
                          "'%s' stays where it is: without it every node would be a cluster of its "
                          "own; a node leaves by 'pvecm leave' or 'pvecm delnode'",
                          path);
}

bool
cfs_guard_rename(const Tree *tree, const char *from, const char *to, const char *node, bool local,
                 Update *update, GError **error)
{
    const TreeEntry *source = tree_lookup(tree, from);

    if (source != NULL && strcmp(from, to) != 0 && !cfs_guard_remove(from, local, error)) {
        return false;
    }
    if (strcmp(to, CFS_GUARDED_PATH) != 0 || source == NULL || source->type != TREE_FILE
        || strcmp(from, to) == 0) {
        return true; /* what else is wrong with it, the update says */
    }
    update_if_version(update, from, source->version);
    return cfs_guard_content(tree, to, source->data, node, update, error);
}
