#include <string.h>
#include "base/random.h"
#include "cfs/core/update_priv.h"
#include "cfs/writing.h"

/* What one writer does to a file, against a plain array that does the same; and whether the patch
 * that comes out of it, applied to the base, gives that array. */

enum { ROUNDS = 3000, STEPS = 8, LENGTH_MAX = 60 };

static void
model_resize(GByteArray *model, size_t length)
{
    size_t old = model->len;

    g_byte_array_set_size(model, length);
    if (length > old) {
        memset(model->data + old, 0, length - old);
    }
}

static void
model_write(GByteArray *model, size_t offset, const void *data, size_t length)
{
    if (length > 0 && offset + length > model->len) {
        model_resize(model, offset + length);
    }
    if (length > 0) {
        memcpy(model->data + offset, data, length);
    }
}

/* As update_patch() is documented. */
static void
apply_patch(const Update *update, GByteArray *file)
{
    g_assert_cmpuint(update->changes->len, ==, 1);
    const UpdateChange *change = &g_array_index(update->changes, UpdateChange, 0);
    g_assert_cmpint(change->kind, ==, CHANGE_PATCH);
    if (change->number >= 0) {
        model_resize(file, change->number);
    }
    for (guint i = 0; change->ranges != NULL && i < change->ranges->len; i++) {
        const UpdateRange *range = &g_array_index(change->ranges, UpdateRange, i);
        gsize length;
        const void *data = g_bytes_get_data(range->data, &length);
        model_write(file, range->offset, data, length);
    }
}

static void
one_step(QRandom *random, WriteBuffer *buffer, GByteArray *model)
{
    char data[LENGTH_MAX];

    if (q_random_chance(random, 0.3)) {
        size_t length = q_random_below(random, LENGTH_MAX);
        write_buffer_truncate(buffer, length);
        model_resize(model, length);
        return;
    }
    size_t offset = q_random_below(random, LENGTH_MAX);
    size_t length = q_random_below(random, LENGTH_MAX / 3);
    memset(data, 'a' + q_random_below(random, 26), sizeof data);
    write_buffer_write(buffer, offset, data, length);
    model_write(model, offset, data, length);
}

static void
one_round(uint64_t seed)
{
    QRandom random;
    q_random_seed(&random, seed);
    g_autoptr(GByteArray) file = g_byte_array_new();
    model_resize(file, q_random_below(&random, LENGTH_MAX));
    memset(file->data, '.', file->len);
    g_autoptr(GBytes) base = g_bytes_new(file->data, file->len);
    g_autoptr(GByteArray) model = g_byte_array_new();
    g_byte_array_append(model, file->data, file->len);
    g_autoptr(WriteBuffer) buffer = write_buffer_new(base);

    for (int flush = 0; flush < 2; flush++) {
        for (uint64_t i = q_random_below(&random, STEPS); i > 0; i--) {
            one_step(&random, buffer, model);
        }
        g_assert_cmpmem(write_buffer_data(buffer), write_buffer_length(buffer), model->data,
                        model->len);
        g_autoptr(Update) update = update_new();
        write_buffer_flush(buffer, "f", update);
        g_assert_false(write_buffer_dirty(buffer));
        apply_patch(update, file);
        g_assert_cmpmem(file->data, file->len, model->data, model->len);
    }
}

static void
test_random(void)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        g_test_message("seed %" G_GUINT64_FORMAT, seed);
        one_round(seed);
    }
}

/* Two nodes change different parts of one file: both changes are there in the end. */
static void
test_two_writers(void)
{
    g_autoptr(GBytes) base = g_bytes_new("aaaabbbbcccc", 12);
    g_autoptr(GByteArray) file = g_byte_array_new();
    g_autoptr(WriteBuffer) one = write_buffer_new(base);
    g_autoptr(WriteBuffer) two = write_buffer_new(base);
    g_autoptr(Update) first = update_new();
    g_autoptr(Update) second = update_new();

    g_byte_array_append(file, (const guint8 *)"aaaabbbbcccc", 12);
    write_buffer_write(one, 0, "1111", 4);
    write_buffer_write(two, 8, "2222", 4);
    write_buffer_flush(one, "f", first);
    write_buffer_flush(two, "f", second);
    apply_patch(first, file);
    apply_patch(second, file);
    g_assert_cmpmem(file->data, file->len, "1111bbbb2222", 12);
}

/* What was cut off does not come back when the file grows again. */
static void
test_cut_and_grown(void)
{
    g_autoptr(GBytes) base = g_bytes_new("secret", 6);
    g_autoptr(GByteArray) file = g_byte_array_new();
    g_autoptr(WriteBuffer) buffer = write_buffer_new(base);
    g_autoptr(Update) update = update_new();

    g_byte_array_append(file, (const guint8 *)"secret", 6);
    write_buffer_truncate(buffer, 0);
    write_buffer_truncate(buffer, 6);
    write_buffer_flush(buffer, "f", update);
    apply_patch(update, file);
    g_assert_cmpmem(file->data, file->len, "\0\0\0\0\0\0", 6);
}

static void
test_unchanged(void)
{
    g_autoptr(GBytes) base = g_bytes_new("same", 4);
    g_autoptr(WriteBuffer) buffer = write_buffer_new(base);

    g_assert_false(write_buffer_dirty(buffer));
    write_buffer_truncate(buffer, 0);
    write_buffer_write(buffer, 0, "same", 4);
    g_assert_true(write_buffer_dirty(buffer));
    g_assert_true(write_buffer_equals(buffer, base));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/writing/random", test_random);
    g_test_add_func("/cfs/writing/two-writers", test_two_writers);
    g_test_add_func("/cfs/writing/cut-and-grown", test_cut_and_grown);
    g_test_add_func("/cfs/writing/unchanged", test_unchanged);
    return g_test_run();
}
