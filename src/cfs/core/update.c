#include "cfs/core/update.h"
#include <errno.h>
#include "cfs/core/update_priv.h"

/* ------------------------------------------------------------------ outcomes */

/* clang-format off */
static const struct {
    int errnum;
    QError error;
    const char *text;
} codes[UPDATE_CODES] = {
    [UPDATE_DONE]          = { 0,            Q_ERROR_INTERNAL,  "done" },
    [UPDATE_CONFLICT]      = { ESTALE,       Q_ERROR_CONFLICT,  "it changed since it was read" },
    [UPDATE_NOT_FOUND]     = { ENOENT,       Q_ERROR_NOT_FOUND, "no such file or folder" },
    [UPDATE_NOT_DIR]       = { ENOTDIR,      Q_ERROR_INVALID,   "not a folder" },
    [UPDATE_IS_DIR]        = { EISDIR,       Q_ERROR_INVALID,   "is a folder" },
    [UPDATE_EXISTS]        = { EEXIST,       Q_ERROR_EXISTS,    "exists already" },
    [UPDATE_GUEST_EXISTS]  = { EEXIST,       Q_ERROR_EXISTS,    "the guest id is in use elsewhere in the cluster" },
    [UPDATE_NOT_EMPTY]     = { ENOTEMPTY,    Q_ERROR_INVALID,   "the folder is not empty" },
    [UPDATE_DENIED]        = { EACCES,       Q_ERROR_DENIED,    "not allowed" },
    [UPDATE_TOO_BIG]       = { EFBIG,        Q_ERROR_FULL,      "a file has at most 1 MiB" },
    [UPDATE_FULL]          = { ENOSPC,       Q_ERROR_FULL,      "the tree is full (128 MiB, 262144 entries)" },
    [UPDATE_NAME_TOO_LONG] = { ENAMETOOLONG, Q_ERROR_INVALID,   "a name has at most 256 bytes" },
    [UPDATE_BAD]           = { EINVAL,       Q_ERROR_INVALID,   "cannot be done" },
    [UPDATE_HELD]          = { EEXIST,       Q_ERROR_BUSY,      "another holds the lease" },
    [UPDATE_OVER]          = { EACCES,       Q_ERROR_CONFLICT,  "that generation of the lease is over" },
    [UPDATE_NO_QUORUM]     = { EACCES,       Q_ERROR_NO_QUORUM, "cluster not ready - no quorum?" },
    [UPDATE_UNKNOWN]       = { EIO,          Q_ERROR_UNKNOWN,   "not known whether it was done; it may still happen" },
    [UPDATE_CANCELLED]     = { EINTR,        Q_ERROR_TIMEOUT,   "given up; it was not done" },
    [UPDATE_OVERLOADED]    = { EBUSY,        Q_ERROR_BUSY,      "too many updates wait; it was not done" },
};
/* clang-format on */

int
update_code_errno(UpdateCode code)
{
    return codes[code].errnum;
}

QError
update_code_error(UpdateCode code)
{
    return codes[code].error;
}

const char *
update_code_text(UpdateCode code)
{
    return codes[code].text;
}

/* ------------------------------------------------------------------ building */

static void
condition_clear(gpointer data)
{
    g_free(((UpdateCondition *)data)->name);
}

static void
range_clear(gpointer data)
{
    g_clear_pointer(&((UpdateRange *)data)->data, g_bytes_unref);
}

static void
change_clear(gpointer data)
{
    UpdateChange *change = data;

    for (int i = 0; i < UPDATE_TEXTS; i++)
        g_free(change->text[i]);
    g_clear_pointer(&change->data, g_bytes_unref);
    g_clear_pointer(&change->ranges, g_array_unref);
}

Update *
update_new(void)
{
    Update *update = g_new(Update, 1);

    update->conditions = g_array_new(FALSE, TRUE, sizeof(UpdateCondition));
    g_array_set_clear_func(update->conditions, condition_clear);
    update->changes = g_array_new(FALSE, TRUE, sizeof(UpdateChange));
    g_array_set_clear_func(update->changes, change_clear);
    return update;
}

void
update_free(Update *update)
{
    if (update == NULL)
        return;
    g_array_unref(update->conditions);
    g_array_unref(update->changes);
    g_free(update);
}

bool
update_is_empty(const Update *update)
{
    return update->conditions->len == 0 && update->changes->len == 0;
}

static UpdateCondition *
add_condition(Update *update, UpdateConditionKind kind, const char *name)
{
    UpdateCondition condition = { .kind = kind, .name = g_strdup(name != NULL ? name : "") };

    g_array_append_val(update->conditions, condition);
    return &g_array_index(update->conditions, UpdateCondition, update->conditions->len - 1);
}

void
update_if_version(Update *update, const char *path, uint64_t version)
{
    add_condition(update, IF_VERSION, path)->version = version;
}

void
update_if_lease(Update *update, const char *lease, Generation generation)
{
    add_condition(update, IF_LEASE, lease)->generation = generation;
}

void
update_if_fenced(Update *update, const char *node, Generation generation)
{
    add_condition(update, IF_FENCED, node)->generation = generation;
}

void
update_if_run(Update *update, uint32_t vmid, const char *start_id)
{
    UpdateCondition *condition = add_condition(update, IF_RUN, start_id);

    condition->vmid = vmid;
    condition->absent = start_id == NULL;
}

void
update_if_dead(Update *update, uint32_t vmid)
{
    add_condition(update, IF_DEAD, NULL)->vmid = vmid;
}

void
update_if_mig(Update *update, uint32_t vmid, const char *mig_id)
{
    UpdateCondition *condition = add_condition(update, IF_MIG, mig_id);

    condition->vmid = vmid;
    condition->absent = mig_id == NULL;
}

UpdateChange *
update_add_change(Update *update, UpdateChangeKind kind)
{
    UpdateChange change = { .kind = kind };

    g_array_append_val(update->changes, change);
    return &g_array_index(update->changes, UpdateChange, update->changes->len - 1);
}

static UpdateChange *
add_text(Update *update, UpdateChangeKind kind, const char *text)
{
    UpdateChange *change = update_add_change(update, kind);

    change->text[0] = g_strdup(text);
    return change;
}

void
update_create(Update *update, const char *path, GBytes *content, bool exclusive)
{
    UpdateChange *change = add_text(update, CHANGE_CREATE, path);

    change->data = content == NULL ? g_bytes_new(NULL, 0) : g_bytes_ref(content);
    change->flag = exclusive;
}

void
update_write(Update *update, const char *path, GBytes *content)
{
    add_text(update, CHANGE_WRITE, path)->data = g_bytes_ref(content);
}

void
update_patch(Update *update, const char *path, int64_t truncate_to, const UpdateRange *ranges,
             size_t n_ranges)
{
    UpdateChange *change = add_text(update, CHANGE_PATCH, path);

    change->number = truncate_to;
    change->ranges = g_array_new(FALSE, TRUE, sizeof(UpdateRange));
    g_array_set_clear_func(change->ranges, range_clear);
    for (size_t i = 0; i < n_ranges; i++) {
        UpdateRange range = { ranges[i].offset, g_bytes_ref(ranges[i].data) };
        g_array_append_val(change->ranges, range);
    }
}

void
update_remove(Update *update, const char *path)
{
    add_text(update, CHANGE_REMOVE, path);
}

void
update_mkdir(Update *update, const char *path)
{
    add_text(update, CHANGE_MKDIR, path);
}

static void
add_rename(Update *update, const char *from, const char *to, bool fresh)
{
    UpdateChange *change = add_text(update, CHANGE_RENAME, from);

    change->text[1] = g_strdup(to);
    change->flag = fresh;
}

void
update_rename(Update *update, const char *from, const char *to)
{
    add_rename(update, from, to, false);
}

void
update_rename_new(Update *update, const char *from, const char *to)
{
    add_rename(update, from, to, true);
}

void
update_mtime(Update *update, const char *path, int64_t mtime_s)
{
    add_text(update, CHANGE_MTIME, path)->number = mtime_s;
}

void
update_run(Update *update, uint32_t vmid, const char *node, const char *boot, const char *start_id,
           Generation guard)
{
    UpdateChange *change = add_text(update, CHANGE_RUN, node);

    change->vmid = vmid;
    change->text[1] = g_strdup(boot);
    change->text[2] = g_strdup(start_id);
    change->generation = guard;
}

void
update_run_clear(Update *update, uint32_t vmid)
{
    update_add_change(update, CHANGE_RUN_CLEAR)->vmid = vmid;
}

void
update_guard(Update *update, uint32_t vmid, Generation guard)
{
    UpdateChange *change = update_add_change(update, CHANGE_GUARD);

    change->vmid = vmid;
    change->generation = guard;
}

void
update_mig(Update *update, uint32_t vmid, const char *mig_id, const char *start_id,
           const char *target, const char *target_boot, const char *phase)
{
    UpdateChange *change = add_text(update, CHANGE_MIG, mig_id);

    change->vmid = vmid;
    change->text[1] = g_strdup(start_id);
    change->text[2] = g_strdup(target);
    change->text[3] = g_strdup(target_boot);
    change->text[4] = g_strdup(phase);
}

void
update_mig_clear(Update *update, uint32_t vmid)
{
    update_add_change(update, CHANGE_MIG_CLEAR)->vmid = vmid;
}

void
update_off(Update *update, const char *node, const char *boot, Generation manager,
           int64_t deadline_s, OffState state)
{
    UpdateChange *change = add_text(update, CHANGE_OFF, node);

    change->text[1] = g_strdup(boot);
    change->generation = manager;
    change->number = deadline_s;
    change->flag = (uint8_t)state;
}

void
update_dead(Update *update, uint32_t vmid, const char *statement)
{
    add_text(update, CHANGE_DEAD, statement)->vmid = vmid;
}

void
update_lease_give(Update *update, const char *node)
{
    add_text(update, CHANGE_LEASE_GIVE, node);
}

/* ------------------------------------------------------------------ encoding */

static void
encode_condition(GByteArray *bytes, const UpdateCondition *condition)
{
    q_put_u8(bytes, (uint8_t)(condition->kind | (condition->absent ? 0x80 : 0)));
    q_put_var(bytes, condition->vmid);
    q_put_var(bytes, condition->version);
    generation_put(bytes, condition->generation);
    q_put_text(bytes, condition->name);
}

static void
encode_change(GByteArray *bytes, const UpdateChange *change)
{
    guint n_ranges = change->ranges == NULL ? 0 : change->ranges->len;
    uint8_t texts = 0;

    for (int i = 0; i < UPDATE_TEXTS; i++)
        texts |= (uint8_t)((change->text[i] != NULL) << i);
    q_put_u8(bytes, change->kind);
    q_put_u8(bytes, change->flag);
    q_put_u8(bytes, (uint8_t)(texts | (change->data != NULL ? 0x80 : 0)));
    q_put_var(bytes, change->vmid);
    q_put_svar(bytes, change->number);
    q_put_svar(bytes, change->number2);
    generation_put(bytes, change->generation);
    for (int i = 0; i < UPDATE_TEXTS; i++) {
        if (change->text[i] != NULL)
            q_put_text(bytes, change->text[i]);
    }
    if (change->data != NULL)
        q_put_bytes(bytes, change->data);
    q_put_var(bytes, n_ranges);
    for (guint i = 0; i < n_ranges; i++) {
        UpdateRange *range = &g_array_index(change->ranges, UpdateRange, i);
        q_put_var(bytes, range->offset);
        q_put_bytes(bytes, range->data);
    }
}

GBytes *
update_encode(const Update *update)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_var(bytes, update->conditions->len);
    for (guint i = 0; i < update->conditions->len; i++)
        encode_condition(bytes, &g_array_index(update->conditions, UpdateCondition, i));
    q_put_var(bytes, update->changes->len);
    for (guint i = 0; i < update->changes->len; i++)
        encode_change(bytes, &g_array_index(update->changes, UpdateChange, i));
    return g_byte_array_free_to_bytes(bytes);
}

static void
decode_condition(QReader *reader, Update *update)
{
    uint8_t kind = q_get_u8(reader);
    uint64_t vmid = q_get_var(reader);
    uint64_t version = q_get_var(reader);
    Generation generation = generation_get(reader);
    g_autofree char *name = q_get_text(reader, TREE_PATH_MAX);

    if ((kind & 0x7f) > IF_MIG || vmid > UINT32_MAX) {
        reader->failed = true;
        return;
    }
    UpdateCondition *condition = add_condition(update, kind & 0x7f, name);
    condition->absent = (kind & 0x80) != 0;
    condition->vmid = (uint32_t)vmid;
    condition->version = version;
    condition->generation = generation;
}

static void
decode_ranges(QReader *reader, UpdateChange *change)
{
    size_t n = q_get_count(reader, 2);

    if (n > UPDATE_PARTS_MAX)
        reader->failed = true;
    if (change->kind != CHANGE_PATCH) {
        reader->failed |= n != 0;
        return;
    }
    change->ranges = g_array_new(FALSE, TRUE, sizeof(UpdateRange));
    g_array_set_clear_func(change->ranges, range_clear);
    for (size_t i = 0; i < n && !reader->failed; i++) {
        uint64_t offset = q_get_var(reader);
        UpdateRange range = { (uint32_t)MIN(offset, UINT32_MAX),
                              q_get_bytes(reader, UPDATE_BYTES_MAX) };
        g_array_append_val(change->ranges, range);
    }
}

static void
decode_change(QReader *reader, Update *update)
{
    uint8_t kind = q_get_u8(reader);
    uint8_t flag = q_get_u8(reader);
    uint8_t present = q_get_u8(reader);
    uint64_t vmid = q_get_var(reader);

    if (kind >= CHANGE_KINDS || vmid > UINT32_MAX) {
        reader->failed = true;
        return;
    }
    UpdateChange *change = update_add_change(update, kind);
    change->flag = flag;
    change->vmid = (uint32_t)vmid;
    change->number = q_get_svar(reader);
    change->number2 = q_get_svar(reader);
    change->generation = generation_get(reader);
    for (int i = 0; i < UPDATE_TEXTS; i++) {
        if ((present & 1 << i) != 0)
            change->text[i] = q_get_text(reader, TREE_PATH_MAX);
    }
    if ((present & 0x80) != 0)
        change->data = q_get_bytes(reader, UPDATE_BYTES_MAX);
    decode_ranges(reader, change);
}

/* Each kind with the texts and data that it cannot do without. */
static bool
change_is_complete(const UpdateChange *change)
{
    static const uint8_t texts[CHANGE_KINDS] = {
        [CHANGE_CREATE] = 1,     [CHANGE_WRITE] = 1,      [CHANGE_PATCH] = 1,
        [CHANGE_REMOVE] = 1,     [CHANGE_MKDIR] = 1,      [CHANGE_RENAME] = 2,
        [CHANGE_MTIME] = 1,      [CHANGE_UNLOCK] = 1,     [CHANGE_RUN] = 3,
        [CHANGE_MIG] = 5,        [CHANGE_OFF] = 2,        [CHANGE_DEAD] = 1,
        [CHANGE_LEASE_GIVE] = 1, [CHANGE_LEASE_TAKE] = 2, [CHANGE_LEASE_RELEASE] = 1,
    };
    bool needs_data = change->kind == CHANGE_CREATE || change->kind == CHANGE_WRITE
                      || change->kind == CHANGE_CONFIG || change->kind == CHANGE_EPOCH;

    for (int i = 0; i < texts[change->kind]; i++) {
        if (change->text[i] == NULL)
            return false;
    }
    return change->data != NULL || !needs_data;
}

Update *
update_decode(QReader *reader)
{
    g_autoptr(Update) update = update_new();

    size_t n = q_get_count(reader, 5);
    for (size_t i = 0; i < n && !reader->failed; i++)
        decode_condition(reader, update);
    size_t m = q_get_count(reader, 8);
    for (size_t i = 0; i < m && !reader->failed; i++)
        decode_change(reader, update);
    if (n > UPDATE_PARTS_MAX || m > UPDATE_PARTS_MAX)
        reader->failed = true;
    for (guint i = 0; i < update->changes->len && !reader->failed; i++)
        reader->failed = !change_is_complete(&g_array_index(update->changes, UpdateChange, i));
    return reader->failed ? NULL : g_steal_pointer(&update);
}

void
envelope_encode(GByteArray *bytes, const UpdateEnvelope *envelope, GBytes *update)
{
    gsize length;
    const void *data = g_bytes_get_data(update, &length);

    q_put_var(bytes, envelope->settled);
    q_put_svar(bytes, envelope->time_s);
    q_put_text(bytes, envelope->node);
    q_put_text(bytes, envelope->boot);
    g_byte_array_append(bytes, data, (guint)length);
}

bool
envelope_decode(GBytes *bytes, UpdateEnvelope *envelope)
{
    QReader reader;

    *envelope = (UpdateEnvelope){ 0 };
    q_reader_init_bytes(&reader, bytes);
    envelope->settled = q_get_var(&reader);
    envelope->time_s = q_get_svar(&reader);
    q_get_text_into(&reader, envelope->node, sizeof envelope->node);
    q_get_text_into(&reader, envelope->boot, sizeof envelope->boot);
    envelope->update = update_decode(&reader);
    if (envelope->update != NULL && !q_reader_done(&reader))
        g_clear_pointer(&envelope->update, update_free);
    return envelope->update != NULL;
}
