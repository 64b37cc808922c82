#include <string.h>
#include "cfs/core/state.h"

/* Changes of the tree: what is allowed, and with which errno not (cfs.md 4 to 6). */

typedef struct {
    const TreeEntry *parent;
    const TreeEntry *entry; /* NULL: not there */
    char name[TREE_NAME_MAX + 1];
} Place;

static UpdateCode
check_name(const char *name, size_t length)
{
    if (length == 0 || (length == 1 && name[0] == '.')
        || (length == 2 && name[0] == '.' && name[1] == '.'))
        return UPDATE_DENIED;
    return length > TREE_NAME_MAX ? UPDATE_NAME_TOO_LONG : UPDATE_DONE;
}

/* Finds a path; its last part need not be there, everything above it must. */
static UpdateCode
find_place(const Tree *tree, const char *path, Place *place)
{
    const TreeEntry *at = tree_find(tree, TREE_ROOT);

    *place = (Place){ 0 };
    if (strlen(path) > TREE_PATH_MAX)
        return UPDATE_NAME_TOO_LONG;
    for (;;) {
        const char *end = strchrnul(path, '/');
        UpdateCode code = check_name(path, (size_t)(end - path));
        if (code != UPDATE_DONE)
            return code;
        if (at->type != TREE_DIR)
            return UPDATE_NOT_DIR;
        memcpy(place->name, path, (size_t)(end - path));
        place->name[end - path] = '\0';
        place->parent = at;
        place->entry = tree_child(tree, at->inode, place->name);
        if (*end == '\0')
            return UPDATE_DONE;
        if (place->entry == NULL)
            return UPDATE_NOT_FOUND;
        at = place->entry;
        path = end + 1;
    }
}

static UpdateCode
find_existing(const Tree *tree, const char *path, Place *place)
{
    UpdateCode code = find_place(tree, path, place);

    return code != UPDATE_DONE ? code : place->entry == NULL ? UPDATE_NOT_FOUND : UPDATE_DONE;
}

/* The guest id that a file at @path would register, and whether that is free for @inode to take. */
static UpdateCode
check_guest(const Tree *tree, const char *path, uint64_t inode, uint64_t replaced)
{
    uint32_t vmid;

    if (!tree_guest_path(path, NULL, NULL, &vmid))
        return UPDATE_DONE;
    uint64_t owner = tree_guest_inode(tree, vmid);
    return owner == 0 || owner == inode || owner == replaced ? UPDATE_DONE : UPDATE_GUEST_EXISTS;
}

static UpdateCode
check_room(const Tree *tree, size_t before, size_t after, bool fresh)
{
    TreeFigures figures = tree_figures(tree);

    if (after > TREE_FILE_MAX)
        return UPDATE_TOO_BIG;
    if (after > before && figures.bytes - before + after > TREE_BYTES_MAX)
        return UPDATE_FULL;
    return fresh && figures.entries >= TREE_ENTRIES_MAX ? UPDATE_FULL : UPDATE_DONE;
}

static UpdateCode
add_entry(Edit *edit, const Place *place, const char *path, TreeType type, GBytes *data,
          const UpdateEnvelope *envelope, uint32_t writer)
{
    size_t size = data == NULL ? 0 : g_bytes_get_size(data);
    UpdateCode code = check_room(edit->state->tree, 0, size, true);

    if (code == UPDATE_DONE && type == TREE_FILE)
        code = check_guest(edit->state->tree, path, 0, 0);
    if (code != UPDATE_DONE)
        return code;
    uint64_t version = edit_next_version(edit, writer, envelope->time_s);
    edit_put(edit, tree_entry_new(version, place->parent->inode, version, writer, envelope->time_s,
                                  type, place->name, data == NULL ? NULL : g_bytes_ref(data)));
    return UPDATE_DONE;
}

/* The same entry with other content, name or place; a new version in any case. */
static void
replace_entry(Edit *edit, const TreeEntry *old, uint64_t parent, const char *name, GBytes *data,
              uint32_t writer, int64_t mtime_s, int64_t time_s)
{
    uint64_t version = edit_next_version(edit, writer, time_s);

    edit_put(edit, tree_entry_new(old->inode, parent, version, writer, mtime_s, old->type, name,
                                  data == NULL ? NULL : g_bytes_ref(data)));
}

static UpdateCode
set_content(Edit *edit, const Place *place, GBytes *data, const UpdateEnvelope *envelope,
            uint32_t writer)
{
    UpdateCode code =
        check_room(edit->state->tree, tree_entry_size(place->entry), g_bytes_get_size(data), false);

    if (code == UPDATE_DONE)
        replace_entry(edit, place->entry, place->entry->parent, place->entry->name, data, writer,
                      envelope->time_s, envelope->time_s);
    return code;
}

static UpdateCode
apply_create(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
             uint32_t writer)
{
    Place place;
    UpdateCode code = find_place(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    if (place.entry == NULL)
        return add_entry(edit, &place, change->text[0], TREE_FILE, change->data, envelope, writer);
    if (change->flag)
        return UPDATE_EXISTS;
    return place.entry->type == TREE_DIR ? UPDATE_IS_DIR : UPDATE_DONE;
}

static UpdateCode
apply_write(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope, uint32_t writer)
{
    Place place;
    UpdateCode code = find_place(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    if (place.entry == NULL)
        return add_entry(edit, &place, change->text[0], TREE_FILE, change->data, envelope, writer);
    if (place.entry->type == TREE_DIR)
        return UPDATE_NOT_DIR;
    return set_content(edit, &place, change->data, envelope, writer);
}

static UpdateCode
apply_patch(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope, uint32_t writer)
{
    Place place;
    UpdateCode code = find_existing(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    if (place.entry->type == TREE_DIR)
        return UPDATE_NOT_DIR;
    gsize old_length;
    const void *old = g_bytes_get_data(place.entry->data, &old_length);
    uint64_t length = change->number < 0 ? old_length : (uint64_t)change->number;
    guint n_ranges = change->ranges == NULL ? 0 : change->ranges->len;
    uint64_t end = length;
    for (guint i = 0; i < n_ranges; i++) {
        UpdateRange *range = &g_array_index(change->ranges, UpdateRange, i);
        end = MAX(end, (uint64_t)range->offset + g_bytes_get_size(range->data));
    }
    if (end > TREE_FILE_MAX)
        return UPDATE_TOO_BIG;

    uint8_t *content = g_malloc0(end + 1); /* + 1: never NULL */
    memcpy(content, old, MIN(old_length, length));
    for (guint i = 0; i < n_ranges; i++) {
        UpdateRange *range = &g_array_index(change->ranges, UpdateRange, i);
        gsize size;
        const void *data = g_bytes_get_data(range->data, &size);
        if (size > 0)
            memcpy(content + range->offset, data, size);
    }
    g_autoptr(GBytes) data = g_bytes_new_take(content, end);
    return set_content(edit, &place, data, envelope, writer);
}

static UpdateCode
apply_mkdir(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope, uint32_t writer)
{
    Place place;
    UpdateCode code = find_place(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    return place.entry != NULL
               ? UPDATE_EXISTS
               : add_entry(edit, &place, change->text[0], TREE_DIR, NULL, envelope, writer);
}

static UpdateCode
apply_remove(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
             uint32_t writer)
{
    Place place;
    UpdateCode code = find_existing(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    if (tree_has_children(edit->state->tree, place.entry->inode))
        return UPDATE_NOT_EMPTY;
    edit_next_version(edit, writer, envelope->time_s);
    edit_drop(edit, place.entry->inode);
    return UPDATE_DONE;
}

/* May @from stand where @to is? Both are there, and not the same. */
static UpdateCode
check_replace(const Tree *tree, const TreeEntry *from, const TreeEntry *to)
{
    if (to->type == TREE_DIR && from->type == TREE_FILE)
        return UPDATE_IS_DIR;
    if (to->type == TREE_FILE && from->type == TREE_DIR)
        return UPDATE_NOT_DIR;
    return tree_has_children(tree, to->inode) ? UPDATE_NOT_EMPTY : UPDATE_DONE;
}

/* A plain file may replace a guest's configuration; the configuration of another guest may not. */
static UpdateCode
check_rename_guest(const Tree *tree, const UpdateChange *change, const Place *from, const Place *to)
{
    uint32_t vmid;
    bool is_guest = tree_guest_path(change->text[0], NULL, NULL, &vmid)
                    && tree_guest_inode(tree, vmid) == from->entry->inode;
    uint64_t replaced = to->entry != NULL && !is_guest ? to->entry->inode : 0;

    if (from->entry->type != TREE_FILE)
        return UPDATE_DONE;
    return check_guest(tree, change->text[1], from->entry->inode, replaced);
}

static UpdateCode
apply_rename(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
             uint32_t writer)
{
    const Tree *tree = edit->state->tree;
    Place from, to;
    UpdateCode code = find_existing(tree, change->text[0], &from);

    if (code == UPDATE_DONE)
        code = find_place(tree, change->text[1], &to);
    if (code != UPDATE_DONE)
        return code;
    if (to.entry != NULL && change->flag)
        return UPDATE_EXISTS;
    if (to.entry == from.entry)
        return UPDATE_DONE;
    if (from.entry->type == TREE_DIR) {
        if (g_str_has_prefix(change->text[0], "priv/lock/"))
            return UPDATE_DENIED;
        if (tree_has_children(tree, from.entry->inode))
            return UPDATE_NOT_EMPTY;
        if (to.parent == from.entry)
            return UPDATE_BAD;
    }
    if (to.entry != NULL)
        code = check_replace(tree, from.entry, to.entry);
    if (code == UPDATE_DONE)
        code = check_rename_guest(tree, change, &from, &to);
    if (code != UPDATE_DONE)
        return code;

    g_autoptr(GBytes) data = from.entry->data == NULL ? NULL : g_bytes_ref(from.entry->data);
    if (to.entry != NULL)
        edit_drop(edit, to.entry->inode);
    replace_entry(edit, from.entry, to.parent->inode, to.name, data, writer, from.entry->mtime_s,
                  envelope->time_s);
    return UPDATE_DONE;
}

/* A lock (cfs.md 6) is refreshed by its maker only; 0 asks for it to go, which is decided
 * elsewhere. */
static UpdateCode
apply_mtime(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope, uint32_t writer)
{
    Place place;
    UpdateCode code = find_existing(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    const TreeEntry *entry = place.entry;
    if (entry->type == TREE_DIR && tree_lock_name(change->text[0]) != NULL
        && (change->number == 0 || entry->writer != writer || change->number < entry->mtime_s))
        return UPDATE_DENIED;
    replace_entry(edit, entry, entry->parent, place.name, entry->data, writer, change->number,
                  envelope->time_s);
    return UPDATE_DONE;
}

static UpdateCode
apply_unlock(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
             uint32_t writer)
{
    Place place;
    UpdateCode code = find_existing(edit->state->tree, change->text[0], &place);

    if (code != UPDATE_DONE)
        return code;
    if (tree_lock_name(change->text[0]) == NULL || place.entry->version != (uint64_t)change->number)
        return UPDATE_CONFLICT; /* refreshed, or made anew, since its age was looked at */
    return apply_remove(edit, change, envelope, writer);
}

UpdateCode
tree_change_apply(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
                  const UpdatePlace *place)
{
    typedef UpdateCode (*Apply)(Edit *, const UpdateChange *, const UpdateEnvelope *, uint32_t);
    static const Apply kinds[] = {
        [CHANGE_CREATE] = apply_create, [CHANGE_WRITE] = apply_write,
        [CHANGE_PATCH] = apply_patch,   [CHANGE_REMOVE] = apply_remove,
        [CHANGE_MKDIR] = apply_mkdir,   [CHANGE_RENAME] = apply_rename,
        [CHANGE_MTIME] = apply_mtime,   [CHANGE_UNLOCK] = apply_unlock,
    };

    return kinds[change->kind](edit, change, envelope, place->id.node);
}
