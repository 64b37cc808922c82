#include "cfs/core/tree.h"
#include <inttypes.h>
#include <string.h>
#include "base/error.h"
#include "cfs/core/tree_priv.h"

/* A folder's entries by name, and what is needed to compare it without looking inside. */
typedef struct {
    GHashTable *by_name; /* name (borrowed from the entry) → TreeEntry */
    Digest digest;
} Folder;

typedef struct {
    TreeEntry *entry;
    Folder *folder; /* NULL for files */
} Node;

struct Tree {
    GHashTable *nodes;  /* inode (borrowed from the entry) → Node */
    GHashTable *guests; /* vmid → GuestSlot */
    uint64_t version, bytes, entries;
    uint32_t writer;
    int64_t mtime_s;
    Digest digest;
};

/* ------------------------------------------------------------------ entries */

static Digest
entry_digest(const TreeEntry *entry)
{
    g_autoptr(GByteArray) bytes = g_byte_array_sized_new(128);

    q_put_u64(bytes, entry->inode);
    q_put_u64(bytes, entry->parent);
    q_put_u64(bytes, entry->version);
    q_put_u64(bytes, (uint64_t)entry->mtime_s);
    q_put_u32(bytes, entry->writer);
    q_put_u8(bytes, entry->type);
    q_put_text(bytes, entry->name);
    if (entry->data == NULL)
        return digest_bytes(bytes->data, bytes->len);
    Digest head = digest_bytes(bytes->data, bytes->len);
    gsize length;
    const void *data = g_bytes_get_data(entry->data, &length);
    return digest_chain(head, data, length);
}

TreeEntry *
tree_entry_new(uint64_t inode, uint64_t parent, uint64_t version, uint32_t writer, int64_t mtime_s,
               TreeType type, const char *name, GBytes *data)
{
    TreeEntry *entry = g_new0(TreeEntry, 1);

    if (type == TREE_FILE && data == NULL)
        data = g_bytes_new_static("", 0);
    *entry = (TreeEntry){ .inode = inode,
                          .parent = parent,
                          .version = version,
                          .writer = writer,
                          .mtime_s = mtime_s,
                          .type = type,
                          .data = data,
                          .name = g_strdup(name),
                          .references = 1 };
    entry->digest = entry_digest(entry);
    return entry;
}

TreeEntry *
tree_entry_ref(TreeEntry *entry)
{
    entry->references++;
    return entry;
}

void
tree_entry_unref(TreeEntry *entry)
{
    if (entry == NULL || --entry->references > 0)
        return;
    g_clear_pointer(&entry->data, g_bytes_unref);
    g_free(entry->name);
    g_free(entry);
}

size_t
tree_entry_size(const TreeEntry *entry)
{
    return entry->data == NULL ? 0 : g_bytes_get_size(entry->data);
}

void
tree_entry_encode(const TreeEntry *entry, GByteArray *bytes)
{
    q_put_var(bytes, entry->inode);
    q_put_var(bytes, entry->parent);
    q_put_var(bytes, entry->version);
    q_put_svar(bytes, entry->mtime_s);
    q_put_var(bytes, entry->writer);
    q_put_u8(bytes, entry->type);
    q_put_text(bytes, entry->name);
    if (entry->type == TREE_FILE)
        q_put_bytes(bytes, entry->data);
}

TreeEntry *
tree_entry_decode(QReader *reader)
{
    uint64_t inode = q_get_var(reader);
    uint64_t parent = q_get_var(reader);
    uint64_t version = q_get_var(reader);
    int64_t mtime_s = q_get_svar(reader);
    uint64_t writer = q_get_var(reader);
    uint8_t type = q_get_u8(reader);
    g_autofree char *name = q_get_text(reader, TREE_NAME_MAX);

    if ((type != TREE_DIR && type != TREE_FILE) || writer > UINT32_MAX || inode == TREE_ROOT)
        reader->failed = true;
    g_autoptr(GBytes) data = type == TREE_FILE ? q_get_bytes(reader, TREE_FILE_MAX) : NULL;
    if (reader->failed)
        return NULL;
    return tree_entry_new(inode, parent, version, (uint32_t)writer, mtime_s, type, name,
                          g_steal_pointer(&data));
}

/* ------------------------------------------------------------------ the tree */

static Node *
node_new(TreeEntry *entry)
{
    Node *node = g_new0(Node, 1);

    node->entry = entry;
    if (entry->type == TREE_DIR) {
        node->folder = g_new0(Folder, 1);
        node->folder->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    }
    return node;
}

static void
node_free(gpointer data)
{
    Node *node = data;

    if (node->folder != NULL) {
        g_hash_table_unref(node->folder->by_name);
        g_free(node->folder);
    }
    tree_entry_unref(node->entry);
    g_free(node);
}

static Node *
tree_node(const Tree *tree, uint64_t inode)
{
    return g_hash_table_lookup(tree->nodes, &inode);
}

static Tree *
tree_skeleton(void)
{
    Tree *tree = g_new0(Tree, 1);

    tree->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free);
    tree->guests = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return tree;
}

Tree *
tree_new(void)
{
    Tree *tree = tree_skeleton();
    TreeEntry *root = tree_entry_new(TREE_ROOT, TREE_ROOT, 0, 0, 0, TREE_DIR, "", NULL);

    g_hash_table_insert(tree->nodes, &root->inode, node_new(root));
    return tree;
}

void
tree_free(Tree *tree)
{
    if (tree == NULL)
        return;
    g_hash_table_unref(tree->guests);
    g_hash_table_unref(tree->nodes);
    g_free(tree);
}

const TreeEntry *
tree_find(const Tree *tree, uint64_t inode)
{
    Node *node = tree_node(tree, inode);

    return node == NULL ? NULL : node->entry;
}

const TreeEntry *
tree_child(const Tree *tree, uint64_t parent, const char *name)
{
    Node *node = tree_node(tree, parent);

    return node == NULL || node->folder == NULL ? NULL
                                                : g_hash_table_lookup(node->folder->by_name, name);
}

const TreeEntry *
tree_lookup(const Tree *tree, const char *path)
{
    const TreeEntry *entry = tree_find(tree, TREE_ROOT);
    char name[TREE_NAME_MAX + 1];

    while (*path != '\0' && entry != NULL) {
        const char *end = strchrnul(path, '/');
        size_t length = (size_t)(end - path);
        if (length == 0 || length > TREE_NAME_MAX)
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        entry = tree_child(tree, entry->inode, name);
        path = *end == '/' ? end + 1 : end;
    }
    return entry;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp((*(TreeEntry *const *)a)->name, (*(TreeEntry *const *)b)->name);
}

GPtrArray *
tree_list(const Tree *tree, uint64_t inode)
{
    Node *node = tree_node(tree, inode);
    GHashTableIter iter;
    gpointer entry;

    if (node == NULL || node->folder == NULL)
        return NULL;
    GPtrArray *list = g_ptr_array_sized_new(g_hash_table_size(node->folder->by_name));
    g_hash_table_iter_init(&iter, node->folder->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &entry))
        g_ptr_array_add(list, entry);
    g_ptr_array_sort(list, compare_names); /* the order of the table must not be seen */
    return list;
}

bool
tree_has_children(const Tree *tree, uint64_t inode)
{
    Node *node = tree_node(tree, inode);

    return node != NULL && node->folder != NULL && g_hash_table_size(node->folder->by_name) > 0;
}

char *
tree_path(const Tree *tree, const TreeEntry *entry)
{
    GString *path = g_string_new(NULL);

    while (entry != NULL && entry->inode != TREE_ROOT) {
        if (path->len > 0)
            g_string_prepend_c(path, '/');
        g_string_prepend(path, entry->name);
        entry = tree_find(tree, entry->parent);
    }
    return g_string_free(path, FALSE);
}

TreeFigures
tree_figures(const Tree *tree)
{
    TreeFigures figures = { .version = tree->version,
                            .writer = tree->writer,
                            .mtime_s = tree->mtime_s,
                            .entries = tree->entries,
                            .bytes = tree->bytes };
    uint64_t head[3] = { GUINT64_TO_LE(tree->version), GUINT64_TO_LE((uint64_t)tree->writer),
                         GUINT64_TO_LE((uint64_t)tree->mtime_s) };

    figures.digest = digest_add(tree->digest, digest_bytes(head, sizeof head));
    return figures;
}

void
tree_set_figures(Tree *tree, uint64_t version, uint32_t writer, int64_t mtime_s)
{
    tree->version = version;
    tree->writer = writer;
    tree->mtime_s = mtime_s;
}

Digest
tree_folder_digest(const Tree *tree, uint64_t inode)
{
    Node *node = tree_node(tree, inode);

    return node == NULL || node->folder == NULL ? (Digest){ 0 } : node->folder->digest;
}

static int
compare_inodes(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

GArray *
tree_folders(const Tree *tree)
{
    GArray *folders = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, tree->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Node *node = value;
        if (node->folder != NULL)
            g_array_append_val(folders, node->entry->inode);
    }
    g_array_sort(folders, compare_inodes);
    return folders;
}

static int
compare_entries(gconstpointer a, gconstpointer b)
{
    return compare_inodes(&(*(TreeEntry *const *)a)->inode, &(*(TreeEntry *const *)b)->inode);
}

GPtrArray *
tree_all(const Tree *tree)
{
    GPtrArray *all = g_ptr_array_sized_new((guint)tree->entries);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, tree->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        TreeEntry *entry = ((Node *)value)->entry;
        if (entry->inode != TREE_ROOT)
            g_ptr_array_add(all, entry);
    }
    g_ptr_array_sort(all, compare_entries);
    return all;
}

/* ------------------------------------------------------------------ guests */

static const struct {
    const char *folder, *name;
} guest_types[] = {
    [TREE_QEMU] = { "qemu-server", "qemu" },
    [TREE_LXC] = { "lxc", "lxc" },
    [TREE_OPENVZ] = { "openvz", "openvz" },
};

const char *
tree_guest_type_name(TreeGuestType type)
{
    return guest_types[type].name;
}

static bool
guest_folder(const char *name, TreeGuestType *type)
{
    for (guint i = 0; i < G_N_ELEMENTS(guest_types); i++) {
        if (strcmp(guest_types[i].folder, name) == 0) {
            *type = (TreeGuestType)i;
            return true;
        }
    }
    return false;
}

/* "100.conf" → 100; 0 if it is an ordinary name. */
static uint32_t
guest_id(const char *name)
{
    uint64_t id = 0;

    if (*name < '1' || *name > '9')
        return 0;
    for (; *name >= '0' && *name <= '9'; name++) {
        id = id * 10 + (uint64_t)(*name - '0');
        if (id > UINT32_MAX)
            return 0;
    }
    return strcmp(name, ".conf") == 0 ? (uint32_t)id : 0;
}

static bool
guest_node_name(const char *name)
{
    if (!g_ascii_isalnum(*name))
        return false;
    for (; *name != '\0'; name++) {
        if (!g_ascii_isalnum(*name) && *name != '-')
            return false;
    }
    return true;
}

/* The guest whose configuration an entry is, by where it stands; vmid 0 if it is none. */
static uint32_t
guest_of(const Tree *tree, const TreeEntry *entry, TreeGuestType *type, const char **node)
{
    uint32_t vmid = entry->type == TREE_FILE ? guest_id(entry->name) : 0;

    if (vmid == 0)
        return 0;
    const TreeEntry *folder = tree_find(tree, entry->parent);
    if (folder == NULL || folder->inode == TREE_ROOT || !guest_folder(folder->name, type))
        return 0;
    const TreeEntry *owner = tree_find(tree, folder->parent);
    if (owner == NULL || owner->inode == TREE_ROOT || !guest_node_name(owner->name))
        return 0;
    const TreeEntry *nodes = tree_find(tree, owner->parent);
    if (nodes == NULL || nodes->inode == TREE_ROOT || nodes->parent != TREE_ROOT
        || strcmp(nodes->name, "nodes") != 0)
        return 0;
    *node = owner->name;
    return vmid;
}

typedef struct {
    int64_t vmid;
    uint64_t inode;
} GuestSlot;

uint64_t
tree_guest_inode(const Tree *tree, uint32_t vmid)
{
    int64_t key = vmid;
    GuestSlot *slot = g_hash_table_lookup(tree->guests, &key);

    return slot == NULL ? 0 : slot->inode;
}

static void
guest_register(Tree *tree, const TreeEntry *entry)
{
    TreeGuestType type;
    const char *node;
    uint32_t vmid = guest_of(tree, entry, &type, &node);

    if (vmid == 0)
        return;
    int64_t key = vmid;
    GuestSlot *slot = g_hash_table_lookup(tree->guests, &key);
    if (slot == NULL) {
        slot = g_new(GuestSlot, 1);
        slot->vmid = vmid;
        g_hash_table_insert(tree->guests, &slot->vmid, slot);
    }
    slot->inode = entry->inode;
}

static void
guest_forget(Tree *tree, const TreeEntry *entry)
{
    TreeGuestType type;
    const char *node;
    int64_t key = guest_of(tree, entry, &type, &node);
    GuestSlot *slot = key == 0 ? NULL : g_hash_table_lookup(tree->guests, &key);

    /* Within one update the new place may be registered before the old one goes. */
    if (slot != NULL && slot->inode == entry->inode)
        g_hash_table_remove(tree->guests, &key);
}

bool
tree_guest(const Tree *tree, uint32_t vmid, TreeGuest *guest)
{
    const TreeEntry *entry = tree_find(tree, tree_guest_inode(tree, vmid));

    if (entry == NULL || entry->inode == TREE_ROOT)
        return false;
    guest->vmid = vmid;
    guest->entry = entry;
    return guest_of(tree, entry, &guest->type, &guest->node) != 0;
}

static int
compare_guests(gconstpointer a, gconstpointer b)
{
    uint32_t x = ((const TreeGuest *)a)->vmid, y = ((const TreeGuest *)b)->vmid;

    return x < y ? -1 : x > y;
}

GArray *
tree_guests(const Tree *tree)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(TreeGuest));
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, tree->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        TreeGuest guest;
        if (tree_guest(tree, (uint32_t)((GuestSlot *)value)->vmid, &guest))
            g_array_append_val(list, guest);
    }
    g_array_sort(list, compare_guests);
    return list;
}

bool
tree_guest_path(const char *path, char **node, TreeGuestType *type, uint32_t *vmid)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 5);
    TreeGuestType found;

    if (g_strv_length(parts) != 4 || strcmp(parts[0], "nodes") != 0 || !guest_node_name(parts[1])
        || !guest_folder(parts[2], &found) || guest_id(parts[3]) == 0)
        return false;
    if (node != NULL)
        *node = g_strdup(parts[1]);
    if (type != NULL)
        *type = found;
    if (vmid != NULL)
        *vmid = guest_id(parts[3]);
    return true;
}

/* ------------------------------------------------------------------ changing */

/* Takes an entry out of its folder, the sums and the guests; its node stays. */
static void
unlink_entry(Tree *tree, TreeEntry *entry)
{
    Node *parent = tree_node(tree, entry->parent);

    guest_forget(tree, entry);
    if (parent != NULL && parent->folder != NULL) {
        if (g_hash_table_lookup(parent->folder->by_name, entry->name) == entry)
            g_hash_table_remove(parent->folder->by_name, entry->name);
        parent->folder->digest = digest_remove(parent->folder->digest, entry->digest);
    }
    tree->digest = digest_remove(tree->digest, entry->digest);
    tree->bytes -= tree_entry_size(entry);
}

static void
link_entry(Tree *tree, TreeEntry *entry)
{
    Node *parent = tree_node(tree, entry->parent);

    if (parent != NULL && parent->folder != NULL) {
        g_hash_table_replace(parent->folder->by_name, entry->name, entry);
        parent->folder->digest = digest_add(parent->folder->digest, entry->digest);
    }
    tree->digest = digest_add(tree->digest, entry->digest);
    tree->bytes += tree_entry_size(entry);
    guest_register(tree, entry);
}

void
tree_put(Tree *tree, TreeEntry *entry)
{
    Node *node = tree_node(tree, entry->inode);

    tree_entry_ref(entry);
    if (node == NULL) {
        node = node_new(entry);
        tree->entries++;
        g_hash_table_insert(tree->nodes, &entry->inode, node);
        link_entry(tree, entry);
        return;
    }
    TreeEntry *old = node->entry;
    unlink_entry(tree, old);
    g_hash_table_steal(tree->nodes, &old->inode); /* the key lives in the old entry */
    node->entry = entry;
    g_hash_table_insert(tree->nodes, &entry->inode, node);
    link_entry(tree, entry);
    tree_entry_unref(old);
}

void
tree_drop(Tree *tree, uint64_t inode)
{
    Node *node = tree_node(tree, inode);

    if (node == NULL)
        return;
    unlink_entry(tree, node->entry);
    tree->entries--;
    g_hash_table_remove(tree->nodes, &inode);
}

static void
clone_guests(Tree *to, const Tree *from)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, from->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GuestSlot *slot = g_memdup2(value, sizeof(GuestSlot));
        g_hash_table_insert(to->guests, &slot->vmid, slot);
    }
}

Tree *
tree_copy(const Tree *tree)
{
    Tree *copy = tree_skeleton();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, tree->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Node *node = value;
        g_hash_table_insert(copy->nodes, &node->entry->inode,
                            node_new(tree_entry_ref(node->entry)));
    }
    g_hash_table_iter_init(&iter, copy->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        TreeEntry *entry = ((Node *)value)->entry;
        if (entry->inode == TREE_ROOT)
            continue;
        Node *parent = tree_node(copy, entry->parent);
        g_hash_table_insert(parent->folder->by_name, entry->name, entry);
        parent->folder->digest = digest_add(parent->folder->digest, entry->digest);
    }
    clone_guests(copy, tree);
    copy->version = tree->version;
    copy->bytes = tree->bytes;
    copy->entries = tree->entries;
    copy->writer = tree->writer;
    copy->mtime_s = tree->mtime_s;
    copy->digest = tree->digest;
    return copy;
}

/* ------------------------------------------------------------------ loading */

/* true if the root is reached from every entry; a loop would not reach it within all entries. */
static bool
check_reaches_root(const Tree *tree, const TreeEntry *entry)
{
    for (uint64_t steps = 0; steps <= tree->entries; steps++) {
        if (entry == NULL)
            return false;
        if (entry->inode == TREE_ROOT)
            return true;
        entry = tree_find(tree, entry->parent);
    }
    return false;
}

static bool
load_link(Tree *tree, TreeEntry *entry, GError **error)
{
    Node *parent = tree_node(tree, entry->parent);

    if (parent == NULL || parent->folder == NULL)
        return q_set_error(error, Q_ERROR_INVALID,
                           "entry %" PRIu64 " ('%s'): its folder %" PRIu64 " is missing",
                           entry->inode, entry->name, entry->parent);
    if (g_hash_table_contains(parent->folder->by_name, entry->name))
        return q_set_error(error, Q_ERROR_INVALID,
                           "entry %" PRIu64 ": name '%s' stands twice in "
                           "folder %" PRIu64,
                           entry->inode, entry->name, entry->parent);
    link_entry(tree, entry);
    return true;
}

static bool
load_check(Tree *tree, TreeEntry *entry, GError **error)
{
    TreeGuestType type;
    const char *node;

    if (!check_reaches_root(tree, entry))
        return q_set_error(error, Q_ERROR_INVALID, "entry %" PRIu64 " ('%s') is in a loop",
                           entry->inode, entry->name);
    /* When entries were linked, folders above them may still have been missing. */
    uint32_t vmid = guest_of(tree, entry, &type, &node);
    if (vmid == 0)
        return true;
    uint64_t other = tree_guest_inode(tree, vmid);
    if (other != 0 && other != entry->inode)
        return q_set_error(error, Q_ERROR_INVALID,
                           "guest %u has two configurations (entries %" PRIu64 " and %" PRIu64 ")",
                           vmid, other, entry->inode);
    guest_register(tree, entry);
    return true;
}

Tree *
tree_load(GPtrArray *entries, uint64_t version, uint32_t writer, int64_t mtime_s, GError **error)
{
    g_autoptr(Tree) tree = tree_new();

    for (guint i = 0; i < entries->len; i++) {
        TreeEntry *entry = entries->pdata[i];
        if (entry->inode == TREE_ROOT || tree_node(tree, entry->inode) != NULL) {
            q_set_error(error, Q_ERROR_INVALID, "entry %" PRIu64 " stands twice", entry->inode);
            return NULL;
        }
        g_hash_table_insert(tree->nodes, &entry->inode, node_new(tree_entry_ref(entry)));
        tree->entries++;
    }
    for (guint i = 0; i < entries->len; i++) {
        if (!load_link(tree, entries->pdata[i], error))
            return NULL;
    }
    g_hash_table_remove_all(tree->guests);
    for (guint i = 0; i < entries->len; i++) {
        if (!load_check(tree, entries->pdata[i], error))
            return NULL;
    }
    tree_set_figures(tree, version, writer, mtime_s);
    return g_steal_pointer(&tree);
}

/* ------------------------------------------------------------------ paths */

bool
tree_path_is_private(const char *path)
{
    if (g_str_has_prefix(path, "priv") && (path[4] == '\0' || path[4] == '/'))
        return true;
    if (!g_str_has_prefix(path, "nodes/"))
        return false;
    const char *below = strchr(path + strlen("nodes/"), '/');
    return below != NULL && g_str_has_prefix(below, "/priv")
           && (below[5] == '\0' || below[5] == '/');
}

const char *
tree_lock_name(const char *path)
{
    const char *prefix = "priv/lock/";

    if (!g_str_has_prefix(path, prefix))
        return NULL;
    const char *name = path + strlen(prefix);
    return *name == '\0' || strchr(name, '/') != NULL ? NULL : name;
}
